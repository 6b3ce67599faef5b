"""S23: names have no characters that hide or reorder, folders are the portal's own and never collide."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.names import clean_name, folder_slug, name_key
from exports.item import Item
from exports.models import Export, ExportRun, ItemKind
from exports.operations.edit import free_folder_name
from tests.exports.filling import filled
from tests.factories import make_connection
from tests.runs.helpers import Delivery, carry, lines, make_export, start, tree

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

HIDDEN = {
    "control": "\x07",
    "new line": "\n",
    "tab": "\t",
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "line separator": "\u2028",
    "private": "\ue000",
    "unassigned": "\u0378",
}


@pytest.mark.parametrize("character", HIDDEN.values(), ids=HIDDEN)
def test_characters_that_do_not_show_are_refused(character: str) -> None:
    with pytest.raises(ValidationError):
        clean_name(f"a{character}b")


@pytest.mark.parametrize("character", HIDDEN.values(), ids=HIDDEN)
def test_nor_do_they_stay_at_the_ends(character: str) -> None:
    """What counts as a space is trimmed, everything else refused; neither gets into a name."""
    for name in (f"{character}ab", f"ab{character}"):
        try:
            assert clean_name(name) == "ab"
        except ValidationError:
            assert not character.isspace()


def test_a_name_is_trimmed_composed_and_measured() -> None:
    assert clean_name("  Zu\u0308rich und Łódź ") == "Zürich und Łódź"
    assert clean_name("u\u0308" * 100) == "ü" * 100
    for name in ("", "   ", "ü" * 101):
        with pytest.raises(ValidationError):
            clean_name(name)
    assert name_key("STRASSE") == name_key("Straße") == name_key("ＳＴＲＡＳＳＥ")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("../../etc/passwd", "etcpasswd"),
        ("C:\\Windows", "cwindows"),
        (".hidden", "hidden"),
        ("~root", "root"),
        ("a/b;rm -rf", "abrm-rf"),
        ("=HYPERLINK(1)", "hyperlink1"),
        ("--", "export"),
        ("你好", "export"),
        ("Zürich", "zurich"),
        ("x" * 100, "x" * 60),
        ("CON", "con"),
    ],
)
def test_a_folder_is_plain_letters_whatever_the_name(name: str, slug: str) -> None:
    assert folder_slug(name) == slug


def test_folders_are_unique_after_lower_casing(customer_data: Path, admin: User) -> None:
    connection = make_connection(actor=admin)
    names = ("Mailing", "MAILING!", "mailing?", "mailing-2", "Máiling")
    folders = [make_export(connection, actor=admin, name=name).folder_name for name in names]
    assert folders[:3] == ["mailing", "mailing-2", "mailing-3"]
    assert len({folder.lower() for folder in folders}) == len(names)
    assert all(folder == folder.lower() for folder in folders)
    # a longer name that only begins alike takes nobody's place
    assert free_folder_name("Mail") == "mail"
    with pytest.raises(OperationError) as refused:
        make_export(connection, actor=admin, name="mAILING")
    assert "name" in refused.value.fields


@pytest.mark.parametrize("character", ["\u202e", "\u200b", "\x07"])
def test_the_form_of_exports_refuses_them(
    customer_data: Path, admin: User, client_of: Callable[[User | None], Client], character: str
) -> None:
    connection = make_connection(actor=admin)
    answer = client_of(admin).post("/data/exports/new/", filled(connection, name=f"May{character}ling"))
    assert answer.status_code == 422
    assert "cannot be seen" in answer.content.decode()
    assert not Export.objects.exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"formulas": "apostrophe"}, ('"\'=cmd","n"', {'"\'=1+1",-1', '"plain",2'})),
        ({"formulas": "keep"}, ('"=cmd","n"', {'"=1+1",-1', '"plain",2'})),
        # saved before there was such an option
        (None, ('"=cmd","n"', {'"=1+1",-1', '"plain",2'})),
    ],
)
def test_a_delivery_escapes_spreadsheet_formulas_by_option(
    delivery: Delivery, options: Mapping[str, str] | None, expected: tuple[str, set[str]]
) -> None:
    table = pa.table({"=cmd": ["=1+1", "plain"], "n": [-1, 2]})
    pq.write_table(table, delivery.data / "tables" / "odd.parquet")
    odd = Item(kind=ItemKind.TABLE, source="odd", fields=("=cmd", "n"))
    export = delivery.export(odd, options=options)
    if options is None:
        before = {"compression": "none", "delimiter": "comma"}
        Export.objects.filter(pk=export.pk).update(options=before)
    run = start(export)
    assert carry(run) == "successful"
    assert (run.sent, run.read) == (2, 2)
    assert ("formulas" in ExportRun.objects.get().options) == (options is not None)
    files = tree(delivery.at_server / run.final_folder)
    assert lines(files["odd_1.csv"]) == (*expected, 2)
    names = [column["name"] for column in json.loads(files["model.json"])["entities"][0]["attributes"]]
    assert names == ["=cmd", "n"]


def test_an_export_from_before_the_option_shows_and_keeps_what_it_does(
    admin: User, client_of: Callable[[User | None], Client]
) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    Export.objects.filter(pk=export.pk).update(options={"compression": "none", "delimiter": "tab"})
    client = client_of(admin)
    shown = client.get(f"/data/exports/{export.uuid}/").content.decode()
    assert "Spreadsheet formulas" in shown
    assert "Leave as they are" in shown
    form = client.get(f"/data/exports/{export.uuid}/edit/").content.decode()
    assert '<option value="keep" selected>Leave as they are</option>' in form
