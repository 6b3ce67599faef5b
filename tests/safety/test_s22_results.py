"""S22: of the outputs of enrichments the engine reads what is current and real; of what a run staged, that one file."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connections_portal.customer_data import (
    STAGED,
    BrokenItem,
    CustomerDataError,
    Kind,
    Origin,
    UnknownItem,
)
from connections_portal.customer_data.engine import DuckDBEngine, Limits
from tests.data import write_customers

RUN = f"run-{'a' * 32}-{'b' * 8}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_customers(tmp_path / "data")


@pytest.fixture
def results(tmp_path: Path, folder: Path) -> Path:
    """A folder of results with one good table, and a file of another kind of secret beside it."""
    results = tmp_path / "enrichments"
    write_scores(results / "Scores" / RUN)
    (results / "Scores" / "current").symlink_to(RUN)
    pq.write_table(pa.table({"customer_id": ["canary"]}), results / "secret.parquet")
    return results


def write_scores(run: Path) -> None:
    run.mkdir(parents=True)
    pq.write_table(pa.table({"customer_id": ["c1"], "score": [7]}), run / "part-1.parquet")


def allowed(engine: DuckDBEngine) -> set[str]:
    return set(engine.rows("SELECT current_setting('allowed_paths')")[0][0])


def current_leads(results: Path, target: str) -> None:
    (results / "odd").mkdir()
    (results / "odd" / "current").symlink_to(target)


def current_leads_out(results: Path) -> None:
    write_scores(results.parent / "outside" / RUN)
    current_leads(results, f"../../outside/{RUN}")


def current_leads_to_another_table(results: Path) -> None:
    current_leads(results, f"../Scores/{RUN}")


def current_leads_up(results: Path) -> None:
    current_leads(results, "..")


def current_is_absolute(results: Path) -> None:
    current_leads(results, str(results / "Scores" / RUN))


def current_leads_to_nothing(results: Path) -> None:
    current_leads(results, RUN)


def current_is_a_folder(results: Path) -> None:
    write_scores(results / "odd" / "current")


def current_leads_to_an_unfinished_folder(results: Path) -> None:
    current_leads(results, f".{RUN}")
    write_scores(results / "odd" / f".{RUN}")


def run_is_a_link(results: Path) -> None:
    write_scores(results.parent / "outside")
    current_leads(results, RUN)
    (results / "odd" / RUN).symlink_to(results.parent / "outside")


def table_is_a_link(results: Path) -> None:
    (results / "odd").symlink_to(results / "Scores")


def part_is_a_link(results: Path) -> None:
    current_leads(results, RUN)
    (results / "odd" / RUN).mkdir()
    (results / "odd" / RUN / "part-1.parquet").symlink_to(results / "secret.parquet")


def part_is_a_pipe(results: Path) -> None:
    current_leads(results, RUN)
    (results / "odd" / RUN).mkdir()
    os.mkfifo(results / "odd" / RUN / "part-1.parquet")


@pytest.mark.parametrize(
    "make",
    [
        current_leads_out,
        current_leads_to_another_table,
        current_leads_up,
        current_is_absolute,
        current_leads_to_nothing,
        current_is_a_folder,
        current_leads_to_an_unfinished_folder,
        run_is_a_link,
        table_is_a_link,
        part_is_a_link,
        part_is_a_pipe,
    ],
)
def test_an_output_table_is_regular_files_of_one_run(
    folder: Path, results: Path, make: Callable[[Path], None]
) -> None:
    make(results)
    with DuckDBEngine(folder, Limits(), results=results) as engine:
        names = {item.name for item in engine.items() if item.origin is Origin.ENRICHMENT}
        assert names == {"Scores"}
        assert {path for path in allowed(engine) if not path.startswith(str(folder))} == {
            str(results / "Scores" / RUN / "part-1.parquet")
        }
        with pytest.raises(CustomerDataError):
            engine.rows(f"SELECT * FROM read_parquet('{results}/secret.parquet')")


@pytest.mark.parametrize("name", ["1odd", "od-d", "o d", ".odd", "o" * 61, "odd\u202e"])
def test_a_folder_with_another_kind_of_name_is_no_output_table(
    folder: Path, results: Path, name: str
) -> None:
    write_scores(results / name / RUN)
    (results / name / "current").symlink_to(RUN)
    with DuckDBEngine(folder, Limits(), results=results) as engine:
        assert {i.name for i in engine.items() if i.origin is Origin.ENRICHMENT} == {"Scores"}


def test_without_results_or_with_an_absent_folder_there_are_none(folder: Path, results: Path) -> None:
    for place in (None, results / "not there"):
        with DuckDBEngine(folder, Limits(), results=place) as engine:
            assert not [item for item in engine.items() if item.origin is Origin.ENRICHMENT]


def test_a_staged_file_is_read_by_its_run_alone_and_listed_nowhere(folder: Path, results: Path) -> None:
    staged = results / "Scores" / f".{RUN}" / "staged.parquet"
    write_scores(staged.parent)
    (staged.parent / "part-1.parquet").rename(staged)
    with DuckDBEngine(folder, Limits(), results=results, staged=staged) as engine:
        assert engine.rows(f'SELECT score FROM "{engine.view(Kind.TABLE, STAGED)}"') == [(7,)]
        assert STAGED not in {item.name for item in engine.items()}
        assert str(staged) in allowed(engine)
    with DuckDBEngine(folder, Limits(), results=results) as engine:
        with pytest.raises(UnknownItem):
            engine.view(Kind.TABLE, STAGED)
        with pytest.raises(CustomerDataError):
            engine.rows(f"SELECT * FROM read_parquet('{staged}')")


def linked_away(results: Path) -> Path:
    (results / "staged.parquet").symlink_to(results.parent / "data" / "customer.parquet")
    return results / "staged.parquet"


def in_a_linked_folder(results: Path) -> Path:
    (results / "linked").symlink_to(results.parent / "data")
    return results / "linked" / "customer.parquet"


@pytest.mark.parametrize(
    "stage",
    [
        linked_away,
        in_a_linked_folder,
        lambda results: results.parent / "data" / "customer.parquet",
        lambda results: results / ".." / "data" / "customer.parquet",
        lambda results: results / "not-there.parquet",
        lambda results: results / "Scores",
        lambda results: Path("/etc/passwd"),
    ],
)
def test_nothing_else_can_be_staged(folder: Path, results: Path, stage: Callable[[Path], Path]) -> None:
    path = stage(results)
    with DuckDBEngine(folder, Limits(), results=results, staged=path) as engine:
        with pytest.raises(BrokenItem):
            engine.view(Kind.TABLE, STAGED)
        given = allowed(engine)
    with DuckDBEngine(folder, Limits(), results=results) as engine:
        assert given == allowed(engine)
