"""``sftp``: profiles of 20 columns through whole runs to OpenSSH, against its own ``sftp`` command with the same bytes.

Ours is what a worker does with a run from taking it up to the published files, as the run's own times say: signing
in, selection, encoding, sending, checks, progress and rename. The command only sends files that are ready. Two more
lines are about the worker's memory: how much it is at most, and how much more it is for five times as many rows.
"""

import functools
import os
import shutil
import time
from pathlib import Path

from django.conf import settings

from benchmarks import openssh, portal
from benchmarks.harness import Result, medians_in_turn
from benchmarks.profiles import FIELDS, MORE_FIELDS, write_profiles
from connections_portal.customer_data import CUSTOMER
from connections_portal.models import User
from exports.item import Item
from exports.models import Export, ItemKind

ROWS = 1_000_000
TIMES_MORE = 5
# a file takes about a second, and the first one after a pause is the fastest: more rounds than usual
ROUNDS = 5
# every profile: joining with a segment is what the benchmark ``prepare`` is about
PROFILES = Item(kind=ItemKind.TABLE, source=CUSTOMER, fields=FIELDS + MORE_FIELDS)


def measure(rows: int) -> list[Result]:
    """MB/s of runs as a share of the command's, and the worker's memory. Raises RuntimeError when a run fails."""
    place = Path(settings.VAR_DIR) / "sftp"
    actor = portal.make_administrator()
    with openssh.running(place / "server") as server:
        connection = portal.connect(server, actor=actor)
        export = portal.make_export(connection, "Everybody", PROFILES, actor=actor)
        peaks = {}
        for size in (rows, TIMES_MORE * rows):
            write_profiles(place / str(size), size)
            with portal.worker(server, place / str(size)) as worker:
                worker.carry(export, actor=actor)
                peaks[size] = worker.peak_mb
                if size == rows:
                    speed = _speed(server, worker, export, rows, actor)
                    most = worker.peak_mb
    shutil.rmtree(place)
    return [speed, *_memory(peaks, most)]


def _speed(server: openssh.OpenSSH, worker: portal.Worker, export: Export, rows: int, actor: User) -> Result:
    """Runs and the command in turn, each to an empty folder and a disk that has nothing left to write."""
    ready = server.folder / "ready"
    megabytes = 0.0

    def run() -> float:
        nonlocal megabytes
        _clear(server)
        done = worker.carry(export, actor=actor)
        if not ready.exists():
            delivered = server.files / "exports" / done.final_folder
            shutil.copytree(delivered, ready, ignore=shutil.ignore_patterns("*.json"))
        assert done.sent == rows, f"{done.sent} of {rows} rows were sent"
        assert done.started_at is not None
        assert done.finished_at is not None
        megabytes = done.bytes_sent / 1e6
        return (done.finished_at - done.started_at).total_seconds()

    def put(*, flush: bool = False) -> float:
        _clear(server)
        begun = time.perf_counter()
        server.put(sorted(ready.iterdir()), "put", flush=flush)
        return time.perf_counter() - begun

    flushed = functools.partial(put, flush=True)
    seconds = medians_in_turn({"portal": run, "sftp": put, "flushed": flushed}, ROUNDS)
    rates = {name: megabytes / taken for name, taken in seconds.items()}
    return Result(
        name="sftp",
        rows=rows,
        value=rates["portal"] / rates["sftp"],
        unit="MB/s, as a share of the sftp command",
        goal=0.8,
        floor=0.6,
        compared_with=(
            f"sftp put of the same {megabytes:.0f} MB in {seconds['sftp']:.2f} s ({rates['sftp']:.0f} MB/s); "
            f"portal {seconds['portal']:.2f} s ({rates['portal']:.0f} MB/s), its files flushed to the server's disk: "
            f"that is {rates['portal'] / rates['flushed']:.2f} of sftp put -f ({rates['flushed']:.0f} MB/s)"
        ),
    )


def _clear(server: openssh.OpenSSH) -> None:
    for folder in server.files.iterdir():
        shutil.rmtree(folder)
    os.sync()


def _memory(peaks: dict[int, float], most: float) -> list[Result]:
    """The most that a worker took, and what five times the rows took as a share of what the rows took."""
    (rows, peak), (more_rows, peak_of_more) = sorted(peaks.items())
    limit = Result(
        name="sftp_memory",
        rows=more_rows,
        value=max(most, peak_of_more),
        unit="MB at the worker's peak",
        goal=500,
        floor=600,
        compared_with=f"{peak:.0f} MB for {rows:,} rows, {most:.0f} MB after all runs of this size",
        less_is_better=True,
    )
    growth = Result(
        name="sftp_memory_growth",
        rows=more_rows,
        value=peak_of_more / peak,
        unit="peak memory, as a share of that for a fifth of the rows",
        goal=1.05,
        floor=1.15,
        compared_with=f"{peak:.0f} MB for {rows:,} rows; {peak_of_more:.0f} MB for {more_rows:,}",
        less_is_better=True,
    )
    return [limit, growth]
