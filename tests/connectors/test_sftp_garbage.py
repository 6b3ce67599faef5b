"""Servers that greet as SSH and then send what follows no rule: a verification ends as a step, never as an error."""

import random
import struct

import pytest

from connections.connectors.base import StepStatus
from tests.connectors.test_sftp_verify import speaking, steps_of, stranger

GREETING = b"SSH-2.0-x\r\n"


def packet(payload: bytes, padding: int = 10) -> bytes:
    """An SSH packet before encryption (RFC 4253, section 6)."""
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def samples() -> list[bytes]:
    """Handmade nonsense, and seeded random packets of every kind that may come before the keys are exchanged."""
    dice = random.Random(20)
    made = [
        bytes(64),
        b"\xff" * 64,
        b"\0\0\0\x0c\x0a\x14" + bytes(40),
        b"\0\0\0\x0c\x0a\x15" + bytes(40),
        b"A" * 5000,
        packet(b"\x14" + bytes(16) + struct.pack(">I", 2**31)),
        packet(b"\x01" + b"\xff" * 12),
    ]
    kinds = [1, 2, 3, 4, 20, 21, 30, 31, 33, 50, 52, 80, 255]
    for number in range(40):
        body = bytes(dice.randrange(256) for _byte in range(dice.randrange(60)))
        made.append(packet(bytes([kinds[number % len(kinds)]]) + body, dice.choice([4, 10])))
    return made


@pytest.mark.parametrize("number", range(len(samples())))
def test_garbage_is_a_step(number: int) -> None:
    with speaking(GREETING + samples()[number]) as port:
        last = steps_of(stranger(port))[-1]
    assert last.status is StepStatus.FAILED
    assert last.key == "identity"
    assert last.code in {"garbled", "line_cut", "server_ended", "exchange_cut", "not_ssh", "no_common_method"}
