"""*Set up* through its pages, against a real server: verify, trust, agree, save, and everything that can be wrong."""

import datetime as dt
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections.models import Connection, ConnectionDraft, ConnectionSecret, Consent
from connections.permissions import can_use
from connections_portal.models import AuditEntry, User
from connections_portal.sandbox.server import SandboxServer
from tests.connectors.servers import SandboxFactory, Server
from tests.fixtures import make_person

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/settings/connections/new/sftp/"
HTMX = {"HX-Request": "true"}


@dataclass
class Setting:
    """A person at the set-up pane: ``form`` is what is typed, ``posted`` what every button sends."""

    client: Client
    server: Server
    box: SandboxServer
    form: dict[str, Any] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    def press(self, action: str, *, script: bool = True, **more: Any) -> HttpResponse:
        answer = self.client.post(URL, self.form | {"action": action} | more, headers=HTMX if script else {})
        self.answers.append(answer.content.decode())
        for name in ("draft", "fingerprint", "wording"):
            if found := re.search(rf'name="{name}" value="([^"]*)"', self.answers[-1]):
                self.form[name] = found[1]
        return answer  # type: ignore[return-value]

    @property
    def page(self) -> str:
        return self.answers[-1]

    def verified(self) -> None:
        """Everything up to six green steps."""
        self.press("verify")
        self.press("trust")
        assert self.page.count('<li class="ok">') == 6, self.page

    def wording_hash(self) -> None:
        self.press("terms")


@pytest.fixture
def pane(
    admin: User,
    sandbox_server: SandboxFactory,
    allow_outgoing: Callable[[int], None],
    client_of: Callable[[User | None], Client],
) -> Iterator[Setting]:
    with sandbox_server() as (server, box):
        allow_outgoing(server.port)
        form = {
            "name": "Newsletter, sandbox",
            "access": "contributors",
            "auth_method": "password",
            "username": server.username,
            "hostname": f"127.0.0.1:{server.port}",
            "export_folder": "incoming",
            "password": server.password,
        }
        yield Setting(client_of(admin), server, box, form)


def test_looking_writes_nothing(pane: Setting) -> None:
    answer = pane.client.get(URL)
    assert answer.status_code == 200
    assert "Before you start" in answer.content.decode()
    assert not ConnectionDraft.objects.exists()


def test_an_unknown_server_is_asked_about_before_anything_is_sent(pane: Setting) -> None:
    assert pane.press("verify").status_code == 200
    assert "Trust this server" in pane.page
    assert "SHA256:" in pane.page
    assert pane.box.seen.requests == []
    assert not AuditEntry.objects.filter(action="secret.used").exists()


def test_from_verify_to_save(pane: Setting, contributor: User, admin: User) -> None:
    pane.verified()
    pane.wording_hash()
    answer = pane.press("save", agree="on")
    connection = Connection.objects.get()
    assert (answer.status_code, answer["HX-Redirect"]) == (
        204,
        reverse("connections:detail", args=[connection.uuid]) + "?next=1",
    )
    assert connection.settings["hostname"] == f"127.0.0.1:{pane.server.port}"
    assert pane.server.password not in str(connection.settings)
    assert connection.host_key.split()[1] == pane.server.public_key.split()[1]
    assert [secret.field for secret in connection.secrets.all()] == ["password"]
    consent = Consent.objects.get()
    assert connection.consent == consent
    assert (consent.person_id, consent.connection_uuid) == (admin.pk, connection.uuid)
    assert consent.wording_hash == pane.form["wording"]
    assert f"127.0.0.1:{pane.server.port}" in consent.wording
    assert can_use(contributor, connection)
    assert not ConnectionDraft.objects.exists()
    assert AuditEntry.objects.filter(action="connection.created", object_uuid=connection.uuid).count() == 1
    assert not any(pane.server.password in text for text in pane.answers)


def test_without_script(pane: Setting) -> None:
    answer = pane.press("verify", script=False)
    assert answer.status_code == 303
    assert re.fullmatch(rf"{URL}\?draft=[0-9a-f-]{{36}}", answer["Location"])
    page = pane.client.get(answer["Location"]).content.decode()
    assert "Kept for this set-up until" in page
    assert "Newsletter, sandbox" in page
    assert pane.server.password not in page


def test_save_too_early_says_everything_that_is_missing(pane: Setting) -> None:
    answer = pane.press("save")
    assert answer.status_code == 422
    assert "Verify the connection first" in pane.page
    assert "Read the text and agree to it." in pane.page
    assert pane.form["username"] in pane.page
    assert ConnectionSecret.objects.filter(draft__uuid=pane.form["draft"]).count() == 1
    assert pane.server.password not in pane.page
    assert "Kept for this set-up until" in pane.page


@pytest.mark.parametrize(
    "change", [{"export_folder": "elsewhere"}, {"password": "another"}, {"username": "eve"}]
)
def test_what_was_verified_is_what_is_saved(pane: Setting, change: dict[str, Any]) -> None:
    pane.verified()
    pane.wording_hash()
    answer = pane.press("save", agree="on", **change)
    assert answer.status_code == 422
    assert "Verify the connection first" in pane.page
    assert not Connection.objects.exists()


def test_a_verification_is_good_for_half_an_hour(pane: Setting) -> None:
    pane.verified()
    pane.wording_hash()
    ConnectionDraft.objects.update(verified_at=timezone.now() - dt.timedelta(minutes=31))
    assert pane.press("save", agree="on").status_code == 422
    ConnectionDraft.objects.update(verified_at=timezone.now() - dt.timedelta(minutes=29))
    assert pane.press("save", agree="on").status_code == 204


def test_the_secret_need_not_be_typed_twice(pane: Setting) -> None:
    pane.verified()
    pane.wording_hash()
    revision = ConnectionSecret.objects.get().revision
    assert pane.press("save", agree="on", password="").status_code == 204
    assert ConnectionSecret.objects.get().revision == revision


def test_another_target_asks_for_the_secret_and_for_agreement_again(
    pane: Setting, allow_outgoing: Callable[[int], None]
) -> None:
    pane.verified()
    pane.wording_hash()
    old = pane.form["wording"]
    answer = pane.press("save", agree="on", password="", hostname="127.0.0.1:9")
    assert answer.status_code == 422
    assert "The target has changed, so this has to be typed again." in pane.page
    assert not re.search(r'id="id_agree" checked', pane.page)
    pane.press("terms", agree="on", wording=old, hostname="127.0.0.1:9")
    assert "your agreement was taken back" in pane.page
    assert pane.form["wording"] != old


def test_an_old_wording_is_not_agreed_to(pane: Setting) -> None:
    pane.verified()
    assert pane.press("save", agree="on", wording="0" * 64).status_code == 422
    assert "The text has changed since you agreed" in pane.page
    assert not Connection.objects.exists()


def test_another_fingerprint_is_not_trusted(pane: Setting) -> None:
    pane.press("verify")
    assert pane.press("trust", fingerprint="SHA256:somethingelse").status_code == 409
    assert "The server has shown another key since" in pane.page
    assert ConnectionDraft.objects.get().host_key_trusted == ""
    assert pane.box.seen.requests == []


def test_another_key_between_verify_and_trust_gets_no_password(
    pane: Setting, sandbox_server: SandboxFactory, allow_outgoing: Callable[[int], None]
) -> None:
    import asyncssh

    pane.press("verify")
    draft = ConnectionDraft.objects.get()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    seen = draft.verification
    seen[-1]["identity"]["public_key"] = other
    ConnectionDraft.objects.update(host_key_seen=other, verification=seen)
    pane.press("trust")
    assert "another key" in pane.page
    assert pane.box.seen.passwords == 0


def test_a_wrong_password_is_said_at_its_step_and_stays_fixable(pane: Setting) -> None:
    pane.press("verify", password="wrong-password")
    pane.press("trust", password="wrong-password")
    assert '<li class="bad">' in pane.page
    assert "Signed in" in pane.page
    pane.press("verify")
    assert pane.page.count('<li class="ok">') == 6


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"hostname": ""}, "Enter the host name."),
        ({"hostname": "no-such-host.invalid"}, '<li class="bad">'),
        ({"hostname": "127.0.0.1:1"}, '<li class="bad">'),
        ({"hostname": "10.0.0.1"}, '<li class="bad">'),
        ({"hostname": "http://example.com"}, 'id="id_hostname_error"'),
        ({"hostname": "sftp://ana:canary-pass@example.com/in"}, 'id="id_hostname_error"'),
        ({"hostname": "example.com:99999"}, 'id="id_hostname_error"'),
        ({"hostname": "exa mple.com"}, 'id="id_hostname_error"'),
        ({"hostname": "x" * 5_000}, 'id="id_hostname_error"'),
        ({"username": ""}, 'id="id_username_error"'),
        ({"username": "a\u202eb"}, 'id="id_username_error"'),
        ({"export_folder": "../secret"}, 'id="id_export_folder_error"'),
        ({"export_folder": "a/../../b"}, 'id="id_export_folder_error"'),
        ({"export_folder": "a\x00b"}, 'id="id_export_folder_error"'),
        ({"password": ""}, 'id="id_password_error"'),
        ({"password": "line\nbreak"}, 'id="id_password_error"'),
        ({"auth_method": "telepathy"}, 'id="id_auth_method_error"'),
        ({"auth_method": "key", "private_key": "no key"}, 'id="id_private_key_error"'),
    ],
)
def test_bad_input_is_said_at_its_place(pane: Setting, typed: dict[str, Any], said: str) -> None:
    answer = pane.press("verify", **typed)
    assert answer.status_code in (200, 422)
    assert said in pane.page
    assert "canary-pass" not in pane.page
    kept = typed.get("export_folder", "incoming")
    if answer.status_code == 422 and "\x00" not in kept:
        assert f'value="{kept}"' in pane.page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Enter a name."),
        ("   ", "Enter a name."),
        ("n" * 101, "101 characters"),
        ("zero\u200bwidth", "cannot be seen"),
        ("right\u202eleft", "cannot be seen"),
        ("tab\there", "cannot be seen"),
    ],
)
def test_bad_names(pane: Setting, name: str, said: str) -> None:
    pane.verified()
    pane.wording_hash()
    assert pane.press("save", agree="on", name=name).status_code == 422
    assert said in pane.page
    assert not Connection.objects.exists()


def test_a_name_is_taken_once_per_type_whatever_its_case(pane: Setting) -> None:
    pane.verified()
    pane.wording_hash()
    assert pane.press("save", agree="on").status_code == 204
    del pane.form["draft"]
    pane.verified()
    assert pane.press("save", agree="on", name="  NEWSLETTER, Sandbox ").status_code == 422
    assert "already has this name" in pane.page
    assert Connection.objects.count() == 1


def test_a_silent_server_does_not_stop_the_page(pane: Setting, allow_outgoing: Callable[[int], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        allow_outgoing(port)
        started = timezone.now()
        pane.press("verify", hostname=f"127.0.0.1:{port}")
    assert '<li class="bad">' in pane.page
    assert timezone.now() - started < dt.timedelta(seconds=12)


def test_a_folder_that_cannot_be_written_to(pane: Setting) -> None:
    pane.box.faults.read_only = True
    pane.press("verify")
    pane.press("trust")
    assert re.search(r'<li class="bad">.*Folder writable', pane.page, re.S)


def test_a_draft_belongs_to_whoever_made_it(
    pane: Setting, client_of: Callable[[User | None], Client]
) -> None:
    from connections_portal.roles import Role

    pane.press("verify")
    other = client_of(make_person("otto", Role.ADMINISTRATOR))
    for action in ("verify", "trust", "save"):
        answer = other.post(URL, pane.form | {"action": action, "password": ""})
        assert answer.status_code == 422
        assert pane.form["draft"] not in answer.content.decode()
    assert other.get(f"{URL}?draft={pane.form['draft']}").status_code == 404
    for junk in ("x", "00000000-0000-4000-8000-000000000000", "\x00"):
        answer = pane.client.post(URL, pane.form | {"action": "save", "draft": junk, "password": ""})
        assert answer.status_code == 422
        assert "Newsletter, sandbox" in answer.content.decode()
    assert pane.client.get("/settings/connections/new/telepathy/").status_code == 404


def test_an_expired_draft_keeps_what_was_typed_but_not_the_secret(pane: Setting) -> None:
    pane.verified()
    ConnectionDraft.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    answer = pane.press("save", agree="on", password="")
    assert answer.status_code == 422
    assert "Fill in this field." in pane.page
    assert "Newsletter, sandbox" in pane.page
    assert not ConnectionSecret.objects.exists()


def test_ten_verifications_a_minute(pane: Setting) -> None:
    for _attempt in range(10):
        assert pane.press("verify").status_code == 200
    assert pane.press("verify").status_code == 429
    assert "Ten verifications a minute" in pane.page
    assert "Newsletter, sandbox" in pane.form["name"]


def test_five_refused_sign_ins_pause_the_account(pane: Setting) -> None:
    pane.press("verify", password="wrong-password")
    pane.press("trust", password="wrong-password")
    for attempt in range(4):
        pane.press("verify", password=f"wrong-password-{attempt}")
    seen = pane.box.seen.passwords
    assert pane.press("verify").status_code == 429
    assert "refused this account five times" in pane.page
    assert pane.box.seen.passwords == seen


def test_added_from_inside_another_form(pane: Setting) -> None:
    pane.verified()
    pane.wording_hash()
    answer = pane.client.post(
        f"{URL}?then=choose", pane.form | {"action": "save", "agree": "on"}, headers=HTMX
    )
    # the toast is all that it holds
    assert (answer.status_code, answer["HX-Retarget"]) == (200, "#toast-inbox")
    assert "connectionsChanged" in answer["HX-Trigger"]
    assert "closeDialogs" in answer["HX-Trigger"]
    assert pane.client.session["set_up_connection"] == str(Connection.objects.get().uuid)
