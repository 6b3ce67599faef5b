"""The file to bring in that *make run* lays at the sandbox server: it fits the invented customers and is read whole."""

import csv
import json
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from connections_portal import launcher
from connections_portal.customer_data import sample_data, sample_import
from connections_portal.customer_data.sample_import import COLUMNS, FILE, MODEL, UNKNOWN, write_sample_import
from enrichments.importing import model


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / FILE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_it_is_written_once_and_the_same_each_time(tmp_path: Path) -> None:
    assert write_sample_import(tmp_path / "one", people=500)
    assert write_sample_import(tmp_path / "two", people=500)
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()
    (tmp_path / "one" / FILE).write_text("changed by somebody")
    assert not write_sample_import(tmp_path / "one", people=500)
    assert (tmp_path / "one" / FILE).read_text() == "changed by somebody"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_it_is_about_part_of_the_customers_and_a_few_unknown_ones(tmp_path: Path) -> None:
    write_sample_import(tmp_path / "import", people=1_000)
    ids = [row["customer_id"] for row in rows(tmp_path / "import")]
    customers = {f"C{number:07d}" for number in range(1, 1_001)}
    assert len(ids) == len(set(ids))
    assert len(set(ids) - customers) == UNKNOWN
    assert 500 < len(set(ids) & customers) < 700


def test_its_description_says_what_the_file_holds(tmp_path: Path) -> None:
    write_sample_import(tmp_path / "import", people=100)
    described = model.parse((tmp_path / "import" / MODEL).read_bytes(), FILE)
    assert described.key == "customer_id"
    assert [attribute.name for attribute in described.attributes] == list(rows(tmp_path / "import")[0])
    assert [attribute.label for attribute in described.attributes] == [label for _n, label, _k in COLUMNS]
    assert [attribute.type for attribute in described.values] == [
        model.WHOLE,
        model.TEXT,
        model.DATE,
        model.DECIMAL,
    ]
    assert "location" not in json.dumps(json.loads((tmp_path / "import" / MODEL).read_text()))


def test_what_make_run_prints_is_what_lies_there() -> None:
    assert (launcher.SAMPLE_FOLDER, launcher.SAMPLE_FILE) == (sample_import.FOLDER, sample_import.FILE)


@pytest.mark.django_db
def test_seed_demo_lays_it_at_the_sandbox(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEV, settings.DEMO_PASSWORD = True, "correct horse battery staple"
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'data'}"
    monkeypatch.setattr(sample_data.write_sample, "__kwdefaults__", {"people": 200, "seed": 1})
    call_command("seed_demo", "--sandbox-files", str(tmp_path / "files"))
    assert sorted(path.name for path in (tmp_path / "files" / "import").iterdir()) == [FILE, MODEL]
