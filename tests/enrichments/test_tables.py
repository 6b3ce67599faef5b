"""Names and folders of output tables: published in one step, tidied by age, and nothing outside is ever touched."""

import datetime as dt
import os
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from enrichments import tables
from tests.data import write_customers
from tests.enrichments.results import run_name, write_result

SCORES = {"customer_id": ["c1"], "score": [7]}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, settings: Settings) -> Path:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'customer-data')}"
    settings.ENRICHMENTS_DIR = tmp_path / "enrichments"
    settings.ENRICHMENTS_DIR.mkdir()
    return settings.ENRICHMENTS_DIR


def later(hours: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)


def tidy(*known: str, hours: float = 1.1) -> int:
    return tables.tidy_old(now=later(hours), known=known)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "required"),
        ("   ", "required"),
        ("2scores", "invalid"),
        ("_scores", "invalid"),
        ("my scores", "invalid"),
        ("scores;drop", "invalid"),
        ("../scores", "invalid"),
        ("scores/x", "invalid"),
        ("Größe", "invalid"),
        ("scores٣", "invalid"),
        ("scores\n.x", "invalid"),
        ("scores\0", "invalid"),
        ("a" * 61, "too_long"),
        ("customer", "taken"),
        ("Orders", "taken"),
        ("ORDERS", "taken"),
    ],
)
def test_names_that_are_no_names(text: str, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        tables.valid_table_name(text)
    assert refused.value.code == code


@pytest.mark.parametrize("text", ["Scores", "s", "a" * 60, "Scores_2", " Scores "])
def test_names(text: str) -> None:
    assert tables.valid_table_name(text) == text.strip()


def test_customer_is_taken_also_while_there_are_no_customers(settings: Settings, tmp_path: Path) -> None:
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'not-there'}"
    with pytest.raises(ValidationError, match="has a table with this name"):
        tables.valid_table_name("Customer")


def test_publishing_replaces_in_one_step_and_may_be_repeated() -> None:
    first = write_result("Scores", SCORES)
    assert tables.current_folder("Scores") == first
    second = write_result("Scores", SCORES, publish=False)
    assert tables.current_folder("Scores") == first
    for _attempt in range(2):
        tables.publish("Scores", second.name)
        assert tables.current_folder("Scores") == second
    assert sorted(path.name for path in second.parent.iterdir()) == sorted(
        ["current", first.name, second.name]
    )


@pytest.mark.parametrize("name", ["run-x", "..", "", "current", "run-" + "0" * 32 + "-" + "0" * 8])
def test_only_a_runs_folder_that_is_there_is_published(name: str) -> None:
    folder = write_result("Scores", SCORES)
    with pytest.raises(OSError, match="no "):
        tables.publish("Scores", name)
    assert tables.current_folder("Scores") == folder


def test_a_folder_in_the_place_of_the_link_is_not_replaced() -> None:
    folder = write_result("Scores", SCORES, publish=False)
    (folder.parent / "current").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # whatever the system calls it
        tables.publish("Scores", folder.name)
    assert sorted(path.name for path in folder.parent.iterdir()) == sorted(["current", folder.name])


def test_discard_deletes_what_an_attempt_wrote_and_not_what_is_shown() -> None:
    current = write_result("Scores", SCORES)
    tables.discard(current)
    attempt = write_result("Scores", SCORES, publish=False)
    tables.staging_folder(attempt).mkdir()
    for _again in range(2):
        tables.discard(attempt)
        assert sorted(path.name for path in current.parent.iterdir()) == sorted(["current", current.name])


def test_deleting_a_table_takes_everything_of_it(results: Path) -> None:
    write_result("Scores", SCORES)
    write_result("Scores", SCORES, publish=False)
    for _again in range(2):
        tables.delete_table("Scores")
        assert list(results.iterdir()) == []


def test_old_folders_are_tidied_and_what_is_shown_or_being_written_is_kept(results: Path) -> None:
    current = write_result("Scores", SCORES)
    earlier = write_result("Scores", SCORES, publish=False)
    tables.staging_folder(earlier).mkdir()
    assert tidy("scores", hours=0.9) == 0
    assert tidy("scores") == 2
    assert sorted(path.name for path in current.parent.iterdir()) == sorted(["current", current.name])

    growing = write_result("Scores", SCORES, publish=False)
    os.utime(growing, (0, 0))  # made long ago, and its file is written to still
    assert tables.tidy_old(now=later(0), known={"Scores"}) == 0
    assert growing.exists()


def test_what_somebody_has_yet_to_publish_is_kept_however_long_it_takes() -> None:
    current = write_result("Scores", SCORES)
    waiting = write_result("Scores", SCORES, publish=False)
    tables.staging_folder(waiting).mkdir()
    assert tables.tidy_old(now=later(50), known={"Scores"}, kept={waiting.name, ""}) == 0
    tables.publish("Scores", waiting.name)
    assert tables.current_folder("Scores") == waiting
    assert tidy("Scores") == 2
    assert not current.exists()


def test_a_new_link_that_a_stop_left_goes_after_an_hour(results: Path) -> None:
    current = write_result("Scores", SCORES)
    (results / "Scores" / ".current-0a1b2c3d").symlink_to(current.name)
    for hours, left in ((0.9, 3), (1.1, 2)):
        tidy("Scores", hours=hours)
        assert len(list((results / "Scores").iterdir())) == left
    assert tables.current_folder("Scores") == current


def test_a_table_that_no_enrichment_writes_goes_after_an_hour(results: Path) -> None:
    write_result("Scores", SCORES)
    write_result("Others", SCORES)
    (results / ".deleted-1").mkdir()
    assert tables.tidy_old(now=later(0.9), known=["others"]) == 1  # what a stop left half deleted
    assert tidy("others") == 1
    assert [path.name for path in results.iterdir()] == ["Others"]


# ---- links that lead out, and what the portal has not put there


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    place = tmp_path / "outside"
    run = place / run_name()
    run.mkdir(parents=True)
    (run / "part-1.parquet").write_bytes(b"precious")
    return place


def untouched(outside: Path) -> bool:
    (run,) = [path for path in outside.iterdir() if path.name.startswith("run-")]
    return len(list(outside.iterdir())) == 1 and (run / "part-1.parquet").read_bytes() == b"precious"


def test_a_table_that_is_a_link_is_left_alone(results: Path, outside: Path) -> None:
    (results / "Scores").symlink_to(outside)
    (name,) = [path.name for path in outside.iterdir()]
    for act in (tables.publish, tables.new_folder):
        with pytest.raises(OSError, match="is a link"):
            act("Scores", name)
    tables.delete_table("Scores")
    tables.discard(results / "Scores" / name)
    assert tidy() == 0
    assert tidy("Scores") == 0
    assert tables.current_folder("Scores") is None
    assert untouched(outside)


def test_a_run_that_is_a_link_is_left_alone(results: Path, outside: Path) -> None:
    (run,) = outside.iterdir()
    (results / "Scores").mkdir()
    (results / "Scores" / run.name).symlink_to(run)
    with pytest.raises(OSError, match="no folder"):
        tables.publish("Scores", run.name)
    tables.discard(results / "Scores" / run.name)
    assert tidy("Scores") == 0
    assert untouched(outside)
    tables.delete_table("Scores")
    assert untouched(outside)
    assert list(results.iterdir()) == []


def test_a_link_within_a_run_goes_and_what_it_leads_to_stays(results: Path, outside: Path) -> None:
    folder = write_result("Scores", SCORES, publish=False)
    (folder / "more").symlink_to(outside)
    (folder / "more.parquet").symlink_to(next(outside.iterdir()) / "part-1.parquet")
    tables.discard(folder)
    assert not folder.exists()
    assert untouched(outside)


@pytest.mark.parametrize("place", ["", "..", "../outside", "customer-data", "Scores/../../outside"])
def test_names_that_lead_elsewhere_delete_nothing(tmp_path: Path, outside: Path, place: str) -> None:
    (name,) = [path.name for path in outside.iterdir()]
    tables.delete_table(place)
    tables.discard(tmp_path / "enrichments" / place / name)
    tables.discard(outside / name)
    assert untouched(outside)
    assert (tmp_path / "customer-data" / "customer.parquet").exists()


def test_what_the_portal_did_not_put_there_stays(results: Path) -> None:
    (results / "notes.txt").write_text("mine")
    (results / "my-folder").mkdir()
    write_result("Scores", SCORES)
    (results / "Scores" / "notes").mkdir()
    assert tidy("Scores") == 0
    assert (results / "my-folder").is_dir()
    assert (results / "Scores" / "notes").is_dir()
