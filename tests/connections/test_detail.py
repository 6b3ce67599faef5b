"""The page of one connection."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest
from django.test import Client
from django.urls import reverse

from connections import host_keys
from connections.models import Access
from connections_portal.models import User
from tests.connections.filling import text_of
from tests.factories import make_connection

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
def test_the_fingerprint_is_the_one_that_ssh_keygen_prints(
    admin: User, client_of: Clients, tmp_path: Path, kind: str
) -> None:
    line = asyncssh.generate_private_key(kind).export_public_key().decode()
    file = tmp_path / "key.pub"
    file.write_text(line)
    printed = subprocess.run(
        ["ssh-keygen", "-l", "-E", "sha256", "-f", str(file)], check=True, capture_output=True, text=True
    ).stdout.split()[1]
    connection = make_connection(actor=admin, host_key=" ".join(line.split()[:2]))
    page = text_of(
        client_of(admin).get(reverse("connections:detail", args=[connection.uuid])).content.decode()
    )
    assert f"{kind} {printed}" in page


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 not-base64!", " "])
def test_what_is_no_key_has_no_fingerprint(line: str) -> None:
    assert host_keys.fingerprint(line) == ""


def test_agreement_settings_and_people_are_shown(
    admin: User, contributor: User, outsider: User, client_of: Clients
) -> None:
    connection = make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor, outsider])
    page = text_of(
        client_of(admin).get(reverse("connections:detail", args=[connection.uuid])).content.decode()
    )
    assert connection.consent is not None
    for paragraph in connection.consent.wording.split("\n\n"):
        assert paragraph in page
    for words in (
        "Agreed by Lena Hofmann",
        "Password Stored, never shown",
        "Hostname sftp://files.example.com",
        "Export folder in",
        "Authentication Username and password",
        "Administrators, Ana Weber and 1 more Ana Weber, Ben Okafor",
    ):
        assert words in page, words
    # fields of the way to sign in that was not chosen are not there
    assert "Private key" not in page
