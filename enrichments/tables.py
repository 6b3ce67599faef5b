"""Output tables of enrichments on disk: names, the folders of runs, and which of them a table shows.

``ENRICHMENTS_DIR/TABLE/run-<uuid>-<token8>/*.parquet`` is what one attempt wrote; ``TABLE/current``, a link replaced in
one step, names the one that is read. Nothing outside is ever written or deleted: a table's folder or a run's that is a
link is left alone.
"""

import datetime as dt
import logging
import os
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from connections_portal import customer_data
from connections_portal.customer_data import CUSTOMER, RUN_FOLDER, TABLE_NAME
from connections_portal.customer_data.catalogue import CURRENT

logger = logging.getLogger(__name__)

MAX_NAME = 60
KEPT_SECONDS = 3600
# what is being deleted, and what a run keeps beside its folder while it works
DELETED, STAGING = ".deleted-", "."
_NEW_LINK = f".{CURRENT}-"


def valid_table_name(text: str) -> str:
    """The name of an output table as it is stored: a letter, then letters, digits and ``_``, 60 at most.

    Raises ValidationError, also for a name that the customer data uses, whatever its capitals.
    """
    name = text.strip()
    if not name:
        raise ValidationError(_("Enter a name for the output table."), code="required")
    if len(name) > MAX_NAME:
        raise ValidationError(
            _("The name has %(length)d characters; 60 are allowed.") % {"length": len(name)}, code="too_long"
        )
    if not TABLE_NAME.fullmatch(name):
        raise ValidationError(
            _("Use letters from A to Z, digits and _ only, and begin with a letter."), code="invalid"
        )
    if name.casefold() in {CUSTOMER, *(table.casefold() for table in customer_data.source_tables())}:
        raise ValidationError(
            _("The customer data has a table with this name. Choose another one."), code="taken"
        )
    return name


def folder_name(run: uuid.UUID, token: uuid.UUID) -> str:
    """What the folder of the run's attempt is called that has this token."""
    return f"run-{run.hex}-{token.hex[:8]}"


def staging_folder(folder: Path) -> Path:
    """Where the run that writes into ``folder`` keeps what it has not finished; hidden, beside it."""
    return folder.with_name(STAGING + folder.name)


def new_folder(table: str, name: str) -> Path:
    """An empty folder for what one attempt brings in. Raises OSError."""
    folder = _place(table) / _run_name(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    return folder


def publish(table: str, name: str) -> None:
    """Let the table show the run's folder ``name``, in one step; may be repeated. Raises OSError."""
    place = _place(table)
    folder = place / _run_name(name)
    if folder.is_symlink() or not folder.is_dir():
        raise FileNotFoundError(f"no folder {name}")
    link = place / f"{_NEW_LINK}{uuid.uuid4().hex[:8]}"
    link.symlink_to(name)
    try:
        link.replace(place / CURRENT)
    except OSError:
        link.unlink(missing_ok=True)
        raise
    _to_disk(place)


def current_folder(table: str) -> Path | None:
    """The folder that the table shows now, or None."""
    try:
        return customer_data.current_run(_place(table))
    except OSError:
        return None


def discard(folder: Path) -> None:
    """Delete what one attempt wrote, unless the table shows it. Never raises."""
    try:
        place = _place(folder.parent.name)
        if place / _run_name(folder.name) != folder or customer_data.current_run(place) == folder:
            return
    except OSError:
        return
    _remove(folder)
    _remove(staging_folder(folder))


def delete_table(table: str) -> None:
    """Delete the table with everything of it, out of sight in one step. Never raises."""
    try:
        place = _place(table)
        away = place.with_name(f"{DELETED}{uuid.uuid4().hex}")
        place.rename(away)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("an output table was not deleted: %s", type(error).__name__)
        return
    _remove(away)


def tidy_old(*, now: dt.datetime, known: Iterable[str], kept: Collection[str] = ()) -> int:
    """Delete what no table shows and nobody has written to for an hour; returns how many folders.

    That are folders of earlier and of broken-off runs, and tables that none of the ``known`` enrichments writes.
    ``kept`` are names of runs' folders that somebody still works on, or has yet to publish, however long that takes.
    """
    old = now.timestamp() - KEPT_SECONDS
    tables = {name.casefold() for name in known}
    removed = 0
    for place in _folders(settings.ENRICHMENTS_DIR):
        if place.name.startswith(DELETED):
            removed += _remove(place)
        elif not TABLE_NAME.fullmatch(place.name):
            continue
        elif place.name.casefold() not in tables:
            if max([_touched(place), *map(_touched, _folders(place))]) < old:
                delete_table(place.name)
                removed += 1
        else:
            removed += _tidy_runs(place, old, kept)
            _tidy_links(place, old)
    return removed


def _tidy_runs(place: Path, old: float, kept: Collection[str]) -> int:
    # read first: what becomes current meanwhile is younger than an hour
    current = customer_data.current_run(place)
    runs = [
        folder
        for folder in _folders(place)
        if folder != current
        and RUN_FOLDER.fullmatch(name := folder.name.removeprefix(STAGING))
        and name not in kept
    ]
    return sum(_remove(folder) for folder in runs if _touched(folder) < old)


def _tidy_links(place: Path, old: float) -> None:
    """Delete what a stop left between making the new link and putting it in the place of the old one."""
    for link in place.glob(f"{_NEW_LINK}*"):
        with suppress(OSError):
            if link.is_symlink() and link.lstat().st_mtime < old:
                link.unlink()


def _place(table: str) -> Path:
    """The table's folder, there or not. Raises OSError for one that is a link, or a name that is none."""
    if not TABLE_NAME.fullmatch(table):
        raise FileNotFoundError("no name of an output table")
    place = Path(settings.ENRICHMENTS_DIR) / table
    if place.is_symlink():
        raise NotADirectoryError("the folder of an output table is a link")
    return place


def _run_name(name: str) -> str:
    if not RUN_FOLDER.fullmatch(name):
        raise FileNotFoundError("no name of a run's folder")
    return name


def _folders(place: Path) -> Iterator[Path]:
    """The real folders in a folder, links left out; none where it cannot be read."""
    try:
        found = sorted(place.iterdir())
    except OSError:
        return
    yield from (path for path in found if path.is_dir() and not path.is_symlink())


def _touched(folder: Path) -> float:
    """When the folder or a file in it was last written, in seconds; now for one that goes away meanwhile."""
    try:
        return max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:
        return dt.datetime.now(dt.UTC).timestamp()


def _remove(folder: Path) -> bool:
    """Delete a folder; rmtree follows no link and refuses to begin with one."""
    if not folder.exists():
        return False
    try:
        shutil.rmtree(folder)
    except OSError as error:
        logger.warning("a folder of an enrichment was not deleted: %s", type(error).__name__)
        return False
    return True


def _to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
