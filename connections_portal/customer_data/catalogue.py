"""What there is in a folder of customer data: names, files and identity, metadata only.

``customer`` (Parquet or CSV, or a folder of Parquet files) is the unified profiles with a column ``customer_id``;
``segments/NAME.parquet|.csv`` holds members as ``customer_id``, ``segments/NAME.sql`` one SELECT that yields it;
``tables/NAME.parquet|.csv`` is any other table. What is not a regular file inside the folder is not listed, nor are
names that begin with a dot or hold characters nobody can see (rule S23).

What enrichments brought in lies apart from it, on the portal's side: ``TABLE/current`` in the folder of results is a
link to the folder of one run beside it, whose Parquet files are the table.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from django.utils.translation import gettext as _

CUSTOMER = "customer"
CUSTOMER_ID = "customer_id"
DATA_SUFFIXES = (".parquet", ".csv")
SQL_SUFFIX = ".sql"
# what the engine takes for a pattern of several files
PATTERN = "*?["
# output tables of enrichments, the folders of their runs, and the link that names the one to read
TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}", re.ASCII)
RUN_FOLDER = re.compile(r"run-[0-9a-f]{32}-[0-9a-f]{8}", re.ASCII)
CURRENT = "current"
# the view of what a run staged: no table can have this name
STAGED = "portal:staged"

Identity = tuple[tuple[str, int, int], ...]


class Kind(StrEnum):
    """What an item is; the values are those of an export's items."""

    SEGMENT = "segment"
    TABLE = "table"


class Origin(StrEnum):
    """Whose an item is: the company's own data, or the output of an enrichment."""

    SOURCE = "source"
    ENRICHMENT = "enrichment"


@dataclass(frozen=True)
class Item:
    """A segment or table: ``files`` are absolute paths, all of one format; ``problem`` says why they are not read."""

    kind: Kind
    name: str
    files: tuple[Path, ...]
    problem: str = ""
    origin: Origin = Origin.SOURCE

    @property
    def label(self) -> str:
        """The name as people read it: ``loyalty_gold`` → *Loyalty gold*."""
        words = self.name.replace("_", " ").replace("-", " ").strip()
        return words[:1].upper() + words[1:]

    @property
    def is_sql(self) -> bool:
        """Whether the item is written as a query."""
        return self.files[0].suffix == SQL_SUFFIX

    def identity(self) -> Identity:
        """Name, size in bytes and modification time in ns of every file (rule S28)."""
        stats = [(path.name, path.stat()) for path in self.files]
        return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def read(folder: Path) -> dict[tuple[Kind, str], Item]:
    """Every item in the folder, the customers first, then by name. An absent folder gives nothing."""
    root = folder.resolve()
    items: dict[tuple[Kind, str], Item] = {}
    found: dict[tuple[Kind, str], list[Path]] = {}
    customer = _customer(root)
    if customer:
        items[Kind.TABLE, CUSTOMER] = customer
    for kind, place, suffixes in (
        (Kind.TABLE, "tables", DATA_SUFFIXES),
        (Kind.SEGMENT, "segments", (*DATA_SUFFIXES, SQL_SUFFIX)),
    ):
        for name, path in _regular_files(root, root / place, suffixes):
            if (kind, name) != (Kind.TABLE, CUSTOMER):
                found.setdefault((kind, name), []).append(path)
    for (kind, name), paths in found.items():
        items[kind, name] = _item(kind, name, paths[:1], ambiguous=len(paths) > 1)
    return items


def read_results(folder: Path, source: Iterable[str]) -> list[Item]:
    """The output tables of enrichments in ``folder``, by name; one without a finished run is none.

    ``current`` is followed once, here. A name that a table of the ``source`` has, whatever its capitals, stays the
    source's: the output is listed with a problem, and under another name where the two are the same.
    """
    root = folder.resolve()
    taken = {name.casefold(): name for name in source}
    items = []
    for place in _folders(root):
        run = current_run(place) if TABLE_NAME.fullmatch(place.name) else None
        files = [path for _name, path in _regular_files(run, run, (".parquet",))] if run else []
        if not files:
            continue
        item = replace(_item(Kind.TABLE, place.name, files, ambiguous=False), origin=Origin.ENRICHMENT)
        other = taken.get(item.name.casefold())
        if other is not None:
            name = item.name if item.name != other else f"{item.name} (enrichment)"
            problem = _(
                "The customer data has a table with this name too, which is used instead. Rename that one, or "
                "add the enrichment again with another output table name."
            )
            item = replace(item, name=name, problem=problem)
        items.append(item)
    return items


def current_run(place: Path) -> Path | None:
    """The run's folder that ``current`` in a table's folder leads to: a real one beside it, else None."""
    try:
        name = str((place / CURRENT).readlink())
    except OSError:
        return None
    if not RUN_FOLDER.fullmatch(name):
        return None
    run = place / name
    return run if run.is_dir() and not run.is_symlink() else None


def _folders(root: Path) -> list[Path]:
    """The real folders directly in ``root``, by name; links are none."""
    try:
        found = sorted(root.iterdir())
    except OSError:
        return []
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def staged(path: Path, root: Path) -> Item:
    """A Parquet file that a run put down inside ``root``, the folder of results, to read it once. Not listed."""
    resolved = path.resolve()
    inside = resolved == path and resolved.is_relative_to(root.resolve())
    problem = "" if inside and path.is_file() and path.suffix == ".parquet" else _("The file cannot be read.")
    item = _item(Kind.TABLE, STAGED, [path], ambiguous=False)
    return replace(item, problem=problem or item.problem, origin=Origin.ENRICHMENT)


def _customer(root: Path) -> Item | None:
    single = [path for name, path in _regular_files(root, root, DATA_SUFFIXES) if name == CUSTOMER]
    folder = [path for _name, path in _regular_files(root, root / CUSTOMER, (".parquet",))]
    parts = single[:1] or folder
    ambiguous = len(single) + bool(folder) > 1
    return _item(Kind.TABLE, CUSTOMER, parts, ambiguous=ambiguous) if parts else None


def _item(kind: Kind, name: str, files: list[Path], *, ambiguous: bool) -> Item:
    """The item, with its problem if what it stands for is not certain: people would be sent who are not meant."""
    problem = ""
    if ambiguous:
        problem = _("There is more than one file with this name. Keep one of them.")
    elif any(character in str(path) for path in files for character in PATTERN):
        problem = _(
            "The name of the file or its folder holds one of * ? [ and would stand for other files too."
        )
    return Item(kind, name, tuple(files), problem)


def _regular_files(root: Path, folder: Path, suffixes: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Names and files of these formats directly in ``folder`` which, links resolved, lie inside ``root``.

    A link keeps its own name and stands for the file it leads to now.
    """
    if not folder.is_dir() or not folder.resolve().is_relative_to(root):
        return []
    found = []
    for path in sorted(folder.iterdir()):
        # a name that cannot be printed: control, bidi and zero-width characters, bytes that are no UTF-8
        if path.suffix not in suffixes or path.name.startswith(".") or not path.name.isprintable():
            continue
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError):  # a link that leads to itself
            continue
        if resolved.is_file() and resolved.is_relative_to(root) and resolved.suffix == path.suffix:
            found.append((path.stem, resolved))
    return found
