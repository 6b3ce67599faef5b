"""Private keys: what OpenSSH writes is accepted; the rest is refused at the right field with the remedy."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from connections.connectors.errors import InvalidSettings
from connections.connectors.sftp import Sftp
from tests.connectors.servers import make_key

PASSPHRASE = "open sesame"
Make = Callable[..., str]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """A function that makes a key with ssh-keygen's options and returns its text."""
    return lambda *options, passphrase="": make_key(tmp_path / "key", *options, passphrase=passphrase)


def check(text: str, passphrase: str = "") -> str:
    return Sftp.clean_secret("private_key", text, {"private_key": text, "passphrase": passphrase})


def refusal(text: str, passphrase: str = "") -> tuple[str, str]:
    """The field and the sentence of the refusal."""
    with pytest.raises(InvalidSettings) as caught:
        check(text, passphrase)
    ((field, message),) = caught.value.errors.items()
    assert passphrase not in message or not passphrase
    return field, message


@pytest.mark.parametrize("form", [(), ("-m", "PEM"), ("-m", "PKCS8")], ids=["openssh", "pem", "pkcs8"])
@pytest.mark.parametrize(
    "kind",
    [
        ("-t", "rsa", "-b", "2048"),
        ("-t", "ecdsa", "-b", "256"),
        ("-t", "ecdsa", "-b", "384"),
        ("-t", "ecdsa", "-b", "521"),
        ("-t", "ed25519"),
    ],
    ids=["rsa", "p256", "p384", "p521", "ed25519"],
)
def test_usable_keys_with_and_without_passphrase(made: Make, tmp_path: Path, kind: tuple[str, ...], form):
    plain = made(*kind, *form)
    assert check(plain) == plain
    assert check(plain, "not needed") == plain
    (tmp_path / "key").unlink()
    protected = made(*kind, *form, passphrase=PASSPHRASE)
    assert check(protected, PASSPHRASE) == protected
    assert refusal(protected)[0] == "passphrase"
    field, message = refusal(protected, "wrong one")
    assert (field, message) == ("passphrase", "The passphrase does not open the private key.")


def test_line_ends_and_spaces_of_the_clipboard_do_not_matter(made: Make):
    text = made("-t", "ed25519")
    assert check("\n\n  " + text.replace("\n", " \r\n") + "  ") == text


def test_ed25519_in_pkcs8_form():
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem").decode()
    assert check(key) == key


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "Paste the private key"),
        ("hello", "not a private key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFoo ana@laptop", "without .pub"),
        ("ssh-rsa AAAAB3NzaC1yc2E", "without .pub"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "without .pub"),
        ("-----BEGIN RSA PUBLIC KEY-----\nMIIB\n-----END RSA PUBLIC KEY-----", "without .pub"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "without .pub"),
        ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56\n---- END SSH2", "ssh-keygen -i -f"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "puttygen"),
        ("-----BEGIN DSA PRIVATE KEY-----\nMIIB\n-----END DSA PRIVATE KEY-----", "ssh-keygen -t ed25519"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "certificate"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----",
            "ssh-keygen -p -m PEM",
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\n%%%%\n-----END OPENSSH PRIVATE KEY-----",
            "ssh-keygen -p -m PEM",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", "ssh-keygen -p -m PEM"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nb3Bl\n-----END ENCRYPTED PRIVATE KEY-----",
            "ssh-keygen -p -m PEM",
        ),
        ("x" * 16_385, "16 KB"),
    ],
)
def test_what_is_no_usable_key_is_refused_with_its_remedy(text: str, remedy: str):
    field, message = refusal(text, PASSPHRASE)
    assert field == "private_key"
    assert remedy in message


def test_short_rsa_and_dsa_and_other_kinds(made: Make):
    assert "2048" in refusal(made("-t", "rsa", "-b", "1024"))[1]
    dsa = asyncssh.generate_private_key("ssh-dss")
    for form in ("openssh", "pkcs1-pem", "pkcs8-pem"):
        field, message = refusal(dsa.export_private_key(form).decode())
        assert field == "private_key"
        assert "DSA" in message
    ed448 = asyncssh.generate_private_key("ssh-ed448").export_private_key("pkcs8-pem").decode()
    assert "Keys of this kind" in refusal(ed448)[1]


def test_half_a_key_is_refused(made: Make):
    text = made("-t", "rsa", "-b", "2048")
    assert refusal(text[:600])[0] == "private_key"
    assert refusal(text[:300] + text[400:])[0] == "private_key"


def test_rounds_are_limited_before_the_passphrase_is_tried(made: Make, tmp_path: Path):
    """Rule S21: 256 rounds of bcrypt, and a limit for PKCS #8 as well."""
    over = made("-t", "ed25519", "-a", "257", passphrase=PASSPHRASE)
    assert "ssh-keygen -p -a 24" in refusal(over, PASSPHRASE)[1]
    plain = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    plain.write_private_key(tmp_path / "plain", "pkcs8-pem")
    for options, remedy in (
        (["-iter", "2000001"], "ssh-keygen -p -a 24"),
        (["-scrypt"], "ssh-keygen -p -m PEM"),
    ):
        subprocess.run(
            [
                *(
                    "openssl",
                    "pkcs8",
                    "-topk8",
                    "-in",
                    str(tmp_path / "plain"),
                    "-out",
                    str(tmp_path / "slow"),
                ),
                *("-passout", f"pass:{PASSPHRASE}", *options),
            ],
            check=True,
        )
        field, message = refusal((tmp_path / "slow").read_text(), PASSPHRASE)
        assert field == "private_key"
        assert remedy in message
