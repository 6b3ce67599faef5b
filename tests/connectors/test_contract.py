"""What every connection type keeps, whatever the service."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import pytest

from connections import connectors
from connections.connectors import CONNECTORS, person, planned
from connections.connectors.base import Connector, FieldKind, StepStatus
from connections.connectors.errors import InvalidSettings
from connections.connectors.http import trying
from connections.connectors.http.connector import HttpConnector
from connections.connectors.records import Added, Of, Shape
from connections.gateway import OutgoingGateway
from connections_portal import icons

ROOT = Path(connectors.__file__).parents[2]

# Settings that are right, for types whose fields a made-up value does not fit.
EXAMPLES: dict[str, dict[str, str]] = {
    "sftp": {
        "auth_method": "password",
        "username": "ana",
        "hostname": "Files.Example.com:2222",
        "export_folder": "In",
    },
    "sftp_custom_import": {
        "auth_method": "password",
        "username": "ana",
        "hostname": "Files.Example.com:2222",
    },
    "mailchimp": {"data_center": " US21 "},
    "hubspot": {"account": " 12345678 "},
    "webhook": {"url": "https://Hooks.Example.com/customers"},
}

# Answers to the questions asked of each enrichment that are right.
OPTIONS: dict[str, dict[str, str]] = {
    "sftp_custom_import": {"path": " in//Scores/ ", "filename": " Scores.csv "},
}

# Answers to the questions asked of each export that are right.
EXPORT_OPTIONS: dict[str, dict[str, str]] = {
    "mailchimp": {"audience": " abc123def4 "},
    "hubspot": {"list": "42"},
}

# The same, but at an address that the gateway refuses.
INSIDE: dict[str, dict[str, str]] = {
    "sftp": {"hostname": "127.0.0.1:9"},
    "sftp_custom_import": {"hostname": "127.0.0.1:9"},
    "webhook": {"url": "https://127.0.0.1:9/customers"},
}

every_type = pytest.mark.parametrize("connector", CONNECTORS, ids=lambda connector: connector.key)


def test_keys_and_names_are_unique():
    assert len({c.key for c in CONNECTORS}) == len(CONNECTORS)
    assert len({c.connection_name for c in CONNECTORS}) == len(CONNECTORS)
    for connector in CONNECTORS:
        assert connectors.get(connector.key) is connector
    assert connectors.get("no-such-type") is None


def test_planned_names_are_not_built_and_not_twice():
    names = [name for _category, some in planned.PLANNED for name in some]
    assert len(names) == len(set(names))
    assert not set(names) & {c.connection_name for c in CONNECTORS}
    assert len({category for category, _names in planned.PLANNED}) == len(planned.PLANNED)


@every_type
def test_declaration_is_complete(connector: type[Connector]):
    for text in (connector.name, connector.provider, connector.category, connector.description):
        assert text.strip() == text != ""
    assert connector.direction in ("export", "enrichment", "both")
    assert icons.drawing(connector.icon)
    assert connector.not_tested.endswith(".")
    assert all(sentence.endswith(".") for sentence in connector.requires)
    steps = [key for key, _label in connector.steps]
    assert steps
    assert len(steps) == len(set(steps))
    assert all(label for _key, label in connector.steps)


@every_type
def test_fields_are_sound(connector: type[Connector]):
    keys = [field.key for field in connector.fields]
    assert len(keys) == len(set(keys))
    for field in (*connector.fields, *connector.export_options, *connector.enrichment_options):
        assert field.label
        assert (field.kind is FieldKind.CHOICE) == bool(field.choices)
        if field.choices:
            values = [choice.value for choice in field.choices]
            assert len(values) == len(set(values))
            assert field.default in values
        if field.secret:
            assert not field.target
            assert not field.default
        if field.shown_when:
            other, value = field.shown_when
            choices = next(f for f in connector.fields if f.key == other).choices
            assert value in [choice.value for choice in choices]
        assert all(key in keys for _part, key in field.fills)
    for options in (connector.export_options, connector.enrichment_options):
        assert not any(option.secret or option.target for option in options)


@every_type
def test_every_text_is_marked_for_translation(connector: type[Connector]):
    written = {
        Path(inspect.getfile(c)) for c in connector.__mro__ if issubclass(c, Connector) and c is not Connector
    }
    shared = [Path(inspect.getfile(person)), Path(inspect.getfile(trying))]
    marked = {
        call.args[0].value
        for path in (*written, *shared)
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "N_"
        and isinstance(call.args[0], ast.Constant)
    }
    fields = (*connector.fields, *connector.export_options, *connector.enrichment_options)
    texts = [text for f in fields for text in (f.label, f.help, f.rule) if text]
    texts += [c.label for f in fields for c in f.choices]
    texts += [label for _key, label in connector.steps]
    texts += [connector.category, connector.description, connector.not_tested, *connector.requires]
    texts += [text for target in connector.targets for text in (target.label, target.help) if text]
    texts += [names.rule for names in (connector.attribute_names,) if names]
    texts += [revocation.text for revocation in connector.revoke]
    assert set(texts) - marked == set()


@every_type
def test_cleaning_is_stable_and_keeps_no_secret(connector: type[Connector]):
    cleaned = connector.clean(EXAMPLES[connector.key] | {"password": "canary-secret"})
    assert connector.clean(cleaned) == cleaned
    assert connector.clean(dict(cleaned)) == cleaned
    assert all(isinstance(value, str) for value in cleaned.values())
    secret = {field.key for field in connector.fields if field.secret}
    assert not secret & cleaned.keys()
    assert "canary-secret" not in cleaned.values()


@every_type
def test_target_follows_from_the_target_fields(connector: type[Connector]):
    cleaned = connector.clean(EXAMPLES[connector.key])
    target = connector.target(cleaned)
    assert target
    assert set(target) <= {"scheme", "host", "port", "account", "region", "tenant", "base_url", "url"}
    assert connector.target_label(cleaned)
    free = [f.key for f in connector.fields if not f.target and not f.secret and not f.choices]
    for key in free:
        assert connector.target(connector.clean(cleaned | {key: "other"})) == target
    assert any(f.target for f in connector.fields)


@every_type
def test_nothing_typed_is_an_error_at_fields_that_exist(connector: type[Connector]):
    with pytest.raises(InvalidSettings) as caught:
        connector.clean({})
    keys = {field.key for field in connector.fields}
    assert caught.value.errors
    assert set(caught.value.errors) <= keys
    assert all(message.endswith(".") for message in caught.value.errors.values())
    for field in connector.fields:
        if field.secret and field.required:
            with pytest.raises(InvalidSettings) as caught:
                connector.clean_secret(field.key, "", {})
            assert set(caught.value.errors) <= keys


@every_type
def test_directions_have_their_verb_their_options_and_their_limits(connector: type[Connector]):
    assert connector.takes_files() + connector.takes_records() == connector.serves("export")
    assert connector.brings_files() == connector.serves("enrichment")
    assert connector.serves("export") or connector.serves("enrichment")
    if not connector.serves("export"):
        assert not connector.export_options
    if not connector.serves("enrichment"):
        assert not connector.enrichment_options
        assert connector.limits.max_enrichments is None


@every_type
def test_answers_to_the_options_of_enrichments_are_cleaned_once(connector: type[Connector]):
    cleaned = connector.clean_options(OPTIONS.get(connector.key, {}) | {"unknown": "x"})
    assert list(cleaned) == [field.key for field in connector.enrichment_options]
    assert connector.clean_options(cleaned) == cleaned
    if any(field.required for field in connector.enrichment_options):
        with pytest.raises(InvalidSettings) as caught:
            connector.clean_options({})
        assert set(caught.value.errors) <= set(cleaned)


@every_type
def test_verification_yields_the_declared_steps_and_never_raises(
    connector: type[Connector], monkeypatch: pytest.MonkeyPatch
):
    # Without any permission the gateway refuses the loopback interface, so that nothing is reached.
    if issubclass(connector, HttpConnector):
        monkeypatch.setattr(connector, "base_url", "https://127.0.0.1:9")
    settings = connector.clean(EXAMPLES[connector.key] | INSIDE.get(connector.key, {}))
    steps = list(connector(settings, {}, OutgoingGateway()).verify())
    assert [step.key for step in steps] == [key for key, _label in connector.steps][: len(steps)]
    assert steps[-1].status is StepStatus.FAILED
    assert all(step.status is StepStatus.DONE for step in steps[:-1])
    assert steps[-1].cause
    assert steps[-1].remedy
    assert "127.0.0.1" not in steps[-1].cause


@every_type
def test_limits_are_positive(connector: type[Connector]):
    limits = connector.limits
    for number in (
        limits.max_profiles,
        limits.min_profiles,
        limits.max_files_per_table,
        limits.max_enrichments,
    ):
        assert number is None or number > 0
    if limits.max_profiles and limits.min_profiles:
        assert limits.min_profiles <= limits.max_profiles


@every_type
def test_documentation_says_what_it_was_tested_against(connector: type[Connector]):
    lines = (ROOT / "docs" / "connectors.md").read_text().splitlines()
    assert [line for line in lines if line.startswith(f"| {connector.connection_name} (`{connector.key}`) |")]
    assert (ROOT / connector.doc).is_file()


@every_type
def test_records_have_a_shape_of_the_declared_targets(connector: type[Connector]):
    assert connector.takes_records() == bool(connector.shape)
    in_shape = list(_entries(connector.shape))
    targets = [target.key for target in connector.targets]
    assert len(targets) == len(set(targets))
    assert {entry.target for entry in in_shape if isinstance(entry, Of)} == set(targets)
    assert any(isinstance(entry, Added) for entry in in_shape) == connector.adds_attributes
    assert connector.adds_attributes or connector.attribute_names is None
    if connector.takes_records():
        assert any(target.required for target in connector.targets)
        assert 1 <= connector.record_limits.parallel <= 20
        assert connector.record_limits.rows >= 1
        assert 100_000 <= connector.record_limits.bytes <= 100_000_000


def _entries(shape: Shape) -> Iterator[object]:
    for entry in shape.values():
        yield from _entries(entry) if isinstance(entry, Mapping) else (entry,)


@every_type
def test_export_options_are_cleaned_once(connector: type[Connector]):
    for field in connector.export_options:
        given = EXPORT_OPTIONS.get(connector.key, {}).get(field.key, field.default)
        cleaned = connector.clean_option(field, given)
        assert connector.clean_option(field, cleaned) == cleaned
        for odd in ("../members", "a b", "abc\r\n", "x" * 500, "ab/cd"):
            with pytest.raises(ValueError, match=r"\.$"):
                connector.clean_option(field, odd)


def test_documentation_has_one_line_with_a_date_for_every_type_and_no_other():
    text = (ROOT / "docs" / "connectors.md").read_text()
    table = text.partition("| type |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert {len(row) for row in rows} == {4}
    keys = [re.fullmatch(r".+ \(`([a-z_]+)`\)", row[0]) for row in rows]
    assert [found and found[1] for found in keys] == [connector.key for connector in CONNECTORS]
    for connector, (_name, against, how, when) in zip(CONNECTORS, rows, strict=True):
        date.fromisoformat(when)
        assert all((ROOT / path).is_file() for path in re.findall(r"`(tests/[\w/]+\.py)`", how))
        assert connector.preview == against.startswith("Preview."), connector.key
