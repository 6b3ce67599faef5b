"""What can go wrong is declared: every word that the code raises stands on the type's help page, in its own words."""

import ast
import re
from pathlib import Path

import pytest

from connections import connectors, gateway
from connections.connectors import CONNECTORS, network_errors
from connections.connectors.base import Connector
from connections.connectors.errors import ConnectorError, NeedsAttention, RemoteRejected, TryLater

HERE = Path(gateway.__file__).parent

# asked of a person, not a failure; and a remedy that comes with the key
ASKED = {"identity_unknown"}
TOLD_BY_THE_KEY = {"key_unusable"}


def raised(path: Path) -> set[str]:
    """Every ``code="…"`` in a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
            found.add(str(node.value.value))
    return found


@pytest.mark.parametrize("connector", CONNECTORS)
def test_failures_belong_to_steps_and_say_who_acts(connector: type[Connector]) -> None:
    assert set(connector.failures) - {""} == {key for key, _label in connector.steps}
    for key, failures in connector.failures.items():
        assert len({(f.code, f.cause) for f in failures}) == len(failures), key
        for failure in failures:
            assert isinstance(failure, NeedsAttention | TryLater | RemoteRejected)
            assert re.fullmatch(r"[a-z_]+", failure.code)
            assert failure.cause.endswith(".")
            assert failure.remedy.endswith(".") or failure.code in TOLD_BY_THE_KEY, failure.code
            assert failure.detail == ""


# Words that only the modules of another type over SFTP raise.
READING = raised(HERE / "connectors/file_errors.py")
WRITING = {"folder_not_writable", "folder_is_file", "no_space", "file_incomplete", "files_gone"} | {
    "already_there",
    "too_many_files",
}


@pytest.mark.parametrize(
    ("key", "not_raised"),
    [("sftp", READING - {"folder_missing", "server_failure"}), ("sftp_custom_import", WRITING)],
)
def test_types_over_sftp_declare_every_failure_that_their_modules_raise(
    key: str, not_raised: set[str]
) -> None:
    modules = [
        HERE / "gateway.py",
        *(HERE / "connectors").glob("s[fs]*.py"),
        HERE / "connectors/network_errors.py",
        HERE / "connectors/file_errors.py",
    ]
    assert len(modules) >= 9
    words = set().union(*(raised(path) for path in modules)) - ASKED
    connector = connectors.get(key)
    assert connector is not None
    declared = {f.code for failures in connector.failures.values() for f in failures}
    assert words - not_raised == declared


# What runs alone end with stands with them, or belongs to no row (a link that no connector follows yet).
NOT_YET = {"foreign_link"}


@pytest.mark.parametrize("connector", [c for c in CONNECTORS if c.takes_records()])
def test_types_over_https_declare_every_failure_that_their_modules_raise(connector: type[Connector]) -> None:
    base = ("answers", "client", "sending", "trying", "connector")
    modules = [
        HERE / "gateway.py",
        HERE / "connectors/network_errors.py",
        *(HERE / f"connectors/http/{name}.py" for name in base),
        HERE / f"connectors/{connector.key}.py",
    ]
    rejections = {"not_confirmed", "not_in_list"}
    words = set().union(*(raised(path) for path in modules)) - NOT_YET - rejections
    declared = {f.code for failures in connector.failures.values() for f in failures}
    assert words == declared


def test_the_network_is_the_same_for_every_type() -> None:
    made = [getattr(network_errors, name) for name in dir(network_errors) if name[0].islower()]
    errors = [make("detail") for make in made if callable(make)]
    assert len(errors) == 5
    assert all(isinstance(error, ConnectorError) and error.detail == "detail" for error in errors)
