"""Every action of the audit has its sentence, made when it is read; what no sentence fits is still told."""

import uuid
from typing import Any

import pytest
from django.utils import timezone

from connections_portal import audit, audit_listing
from connections_portal.audit_sentences import SENTENCES
from connections_portal.audit_story import action_words, describe, details, sentence
from connections_portal.models import AuditEntry

NEWSLETTER = "Newsletter, SFTP EU"


def entry(action: str, label: str = NEWSLETTER, **given: Any) -> AuditEntry:
    values: dict[str, Any] = {
        "action": action,
        "actor_id": 7,
        "actor_label": "Ana Weber",
        "object_label": label,
        "object_uuid": uuid.uuid4(),
        "at": timezone.now(),
        "details": given.pop("details", {}),
    }
    return AuditEntry(**values | given)


# action: what its operation keeps, and what is read later; most of it as the operations write it (see test_recorded)
SAID: dict[str, list[tuple[dict[str, Any], str]]] = {
    "connection.shared": [
        (
            {
                "access": "specific",
                "people": ["Ben Okafor"],
                "groups": ["A", "B"],
                "gained": ["Ben Okafor"],
                "lost": [],
            },
            f'Ana Weber shared "{NEWSLETTER}" with Ben Okafor and 2 groups',
        ),
        (
            {"access": "administrators", "people": [], "groups": [], "gained": [], "lost": ["Ben", "Maja"]},
            f'Ana Weber set who can use "{NEWSLETTER}": nobody but administrators; Ben and Maja cannot use it any more',
        ),
        (
            {"access": "specific", "people": list("abcde"), "groups": ["Team"], "gained": ["a"], "lost": []},
            f'Ana Weber shared "{NEWSLETTER}" with a, b, 3 more people and the group "Team"',
        ),
    ],
    "secret.used": [
        (
            {"purpose": "run", "run": "r", "item": "Loyalty mailing", "fields": ["password"]},
            f'The portal used the secrets of "{NEWSLETTER}" for a run of "Loyalty mailing", on behalf of Ana Weber',
        ),
        ({"purpose": "verify"}, f'Ana Weber used the secrets of "{NEWSLETTER}" to verify it'),
    ],
    "connection.created": [
        (
            {"access": "contributors", "people": [], "groups": []},
            f'Ana Weber set up "{NEWSLETTER}" and shared it with all contributors',
        )
    ],
    "connection.edited": [
        (
            {"changed": ["hostname", "export_folder"], "target_changed": True},
            f'Ana Weber edited "{NEWSLETTER}": hostname and export folder (data goes to another place now)',
        )
    ],
    "connection.paused": [({"canceled": 2}, f'Ana Weber paused "{NEWSLETTER}" and canceled 2 runs')],
    "export.run_finished": [
        (
            {"state": "successful", "read": 12345, "sent": 12000},
            f'A run of "{NEWSLETTER}" was successful: 12,000 of 12,345 rows sent',
        )
    ],
    "export.run_canceled": [
        ({}, f'Ana Weber canceled a run of "{NEWSLETTER}"'),
        ({"reason": "stuck"}, f'Ana Weber canceled a run of "{NEWSLETTER}": stuck'),
    ],
    "person.changed": [
        (
            {"role": "Viewer", "active": True, "joined": ["Team"], "left": []},
            f"Ana Weber changed the account of {NEWSLETTER}: the role is viewer, joined Team",
        )
    ],
}


@pytest.mark.parametrize("action", sorted(audit.WORDS))
def test_every_action_has_a_sentence(action: str) -> None:
    """One that is added without any fails here."""
    assert action in SENTENCES, f"{action} has words for filters and no sentence (audit_sentences.py)"
    assert action_words(action)
    assert action.partition(".")[0] in audit_listing.groups()


def test_no_sentence_is_left_over() -> None:
    assert set(SENTENCES) <= set(audit.WORDS)


@pytest.mark.parametrize("action", sorted(SAID))
def test_what_is_said(action: str) -> None:
    for given, words in SAID[action]:
        assert describe(entry(action, details=given)) == words


def test_what_the_portal_does_by_itself_says_so() -> None:
    by_itself = entry(
        "connection.needs_attention", actor_id=None, actor_label="system", details={"code": "x"}
    )
    assert describe(by_itself) == f'The portal marked "{NEWSLETTER}" as needing attention (x)'
    of_schedule = entry(
        "secret.used", actor_id=None, actor_label="system", details={"purpose": "run", "item": "Mailing"}
    )
    assert describe(of_schedule) == f'The portal used the secrets of "{NEWSLETTER}" for a run of "Mailing"'


@pytest.mark.parametrize(
    ("action", "given", "words"),
    [
        ("satellite.launched", {"speed": 3}, f'Ana Weber: satellite: launched ("{NEWSLETTER}")'),
        ("connection.created", {"of": "another shape"}, f'Ana Weber: set up the connection ("{NEWSLETTER}")'),
        ("connection.tidied", {}, f'Ana Weber: deleted unfinished files of earlier runs ("{NEWSLETTER}")'),
    ],
)  # fmt: skip
def test_an_unknown_entry_is_still_read(action: str, given: dict[str, Any], words: str) -> None:
    assert describe(entry(action, details=given)) == words
    assert len(details(entry(action, details=given), for_administrators=True)) == len(given)


@pytest.mark.parametrize("action", sorted({*audit.WORDS, "satellite.launched"}))
def test_whatever_is_kept_is_escaped_and_no_template(action: str) -> None:
    """Names and details are text: markup, places of a sentence and links in them do nothing."""
    evil = "<script>alert(1)</script>%(actor)s{{ x }}%"
    names = (
        "before",
        "connection",
        "code",
        "page",
        "purpose",
        "schedule",
        "state",
        "step",
        "reason",
        "item",
        "role",
    )
    listed = ("changed", "people", "groups", "gained", "lost", "used_by", "joined", "left", "deleted")
    kept = dict.fromkeys(names, evil) | {name: [evil] for name in listed} | {"access": "specific", "count": 1}
    row = entry(action, label=evil, actor_label=evil, details=kept)
    html = sentence(row).html({"object": "/x/?a=1&b=2"})
    assert "<script" not in html
    assert "{{ x }}" not in html or "%(actor)s" in html
    assert html.count("<a ") == html.count('<a href="/x/?a=1&amp;b=2">') <= 1


def test_days_of_the_week_are_named() -> None:
    given = {"kind": "weekly", "weekdays": [0, 4], "times": ["06:00", "18:00"], "zone": "UTC"}
    row = entry("refresh.scheduled", label="", details=given)
    said = "Ana Weber set the system refresh to every Monday and Friday at 06:00 and 18:00 (UTC)"
    assert describe(row) == said
    assert "0, 4" not in {line.value for line in details(row, for_administrators=True)}


def test_where_a_connection_leads_is_for_administrators() -> None:
    kept = {
        "fingerprint": "SHA256:abc",
        "deleted": ["in/x"],
        "options": {"a": "b"},
        "host": "d1",
        "code": "network",
    }
    row = entry("connection.tidied", details=kept)
    seen = {line.key for line in details(row, for_administrators=True)}
    assert seen == {"fingerprint", "deleted", "options", "code"}
    assert {line.key for line in details(row, for_administrators=False)} == {"code"}
