"""What there is in a folder of customer data: names, files and identity, metadata only.

``customer`` (Parquet or CSV, or a folder of Parquet files) is the unified profiles with a column ``customer_id``;
``segments/NAME.parquet|.csv`` holds members as ``customer_id``, ``segments/NAME.sql`` one SELECT that yields it;
``tables/NAME.parquet|.csv`` is any other table. What is not a regular file inside the folder is not listed, nor are
names that begin with a dot or hold characters nobody can see (rule S23).
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from django.utils.translation import gettext as _

CUSTOMER = "customer"
CUSTOMER_ID = "customer_id"
DATA_SUFFIXES = (".parquet", ".csv")
SQL_SUFFIX = ".sql"
# what the engine takes for a pattern of several files
PATTERN = "*?["

Identity = tuple[tuple[str, int, int], ...]


class Kind(StrEnum):
    """What an item is; the values are those of an export's items."""

    SEGMENT = "segment"
    TABLE = "table"


@dataclass(frozen=True)
class Item:
    """A segment or table: ``files`` are absolute paths, all of one format; ``problem`` says why they are not read."""

    kind: Kind
    name: str
    files: tuple[Path, ...]
    problem: str = ""

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
