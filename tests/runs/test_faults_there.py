"""Disk or quota at the destination is full in mid-file: said truly, nothing partial to be seen, nothing twice."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from connections.models import Connection, State
from connections_portal.models import RunState, User, WhoActs
from exports.models import TemporaryFolder
from tests.connectors.servers import Server
from tests.runs.helpers import (
    EVENTS,
    LOYAL,
    LOYAL_LINES,
    Delivery,
    carry,
    carry_again,
    connect,
    folders,
    lines,
    make_export,
    start,
    tree,
    write_events,
)


def test_a_quota_in_mid_file_is_tried_again_and_what_was_finished_is_kept(delivery: Delivery) -> None:
    """SFTP 3 has no word for it: the server only says that it failed."""
    write_events(delivery.data)
    export = delivery.export(LOYAL, EVENTS)
    delivery.box.faults.quota = 1_000_000
    run = start(export)
    assert carry(run) == "retry"
    assert (run.state, run.code, run.attempt) == (RunState.QUEUED, "server_failure", 1)
    assert "quota" in run.remedy
    assert "Disk quota exceeded" in run.detail
    assert all(name.startswith(".incoming-") for name in folders(delivery.at_server / export.folder_name))
    # still full: the same again, and no second folder
    assert carry_again(run) == "retry"
    assert len(folders(delivery.at_server / export.folder_name)) == 1

    delivery.box.faults.quota = None
    assert carry_again(run) == "successful"
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    files = tree(delivery.at_server / run.final_folder)
    assert lines(files["loyal_1.csv"])[1:] == (LOYAL_LINES, 2)
    assert lines(files["events_1.csv"])[2] == len(lines(files["events_1.csv"])[1]) == 60_000
    assert run.counts() == {"selected": 60_003, "read": 60_003, "sent": 60_002, "rejected": 0, "left_out": 1}


def test_a_quota_that_stays_fails_and_leaves_nothing_behind(delivery: Delivery) -> None:
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    delivery.box.faults.quota = 1_000_000
    run = start(export)
    assert [carry(run), carry_again(run), carry_again(run)] == ["retry", "retry", "failed"]
    assert (run.state, run.code) == (RunState.FAILED, "server_failure")
    # the room that the files took is given back at once, by the worker itself
    assert folders(delivery.at_server / export.folder_name) == []
    assert not TemporaryFolder.objects.exists()


@pytest.fixture
def small_disk(openssh_server: Server) -> Iterator[Path]:
    """A folder of the OpenSSH server with room for 2 MB; others make small disks there, too."""
    folder = Path(mkdtemp(prefix="small-disk-", dir=openssh_server.files))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def test_a_full_disk_at_openssh_needs_an_administrator_and_is_made_room_on(
    transactional_db: None,
    customer_data: Path,
    admin: User,
    openssh_server: Server,
    small_disk: Path,
    allow_outgoing: Callable[[int], None],
) -> None:
    allow_outgoing(openssh_server.port)
    write_events(customer_data)
    connection = connect(openssh_server, actor=admin, folder=small_disk.name)
    export = make_export(connection, EVENTS, actor=admin)
    run = start(export)
    assert carry(run) == "failed"
    assert (run.code, run.who_acts, run.attempt) == ("no_space", WhoActs.ADMINISTRATOR, 1)
    assert Connection.objects.get(pk=connection.pk).state == State.NEEDS_ATTENTION
    assert tree(small_disk) == {}
    assert not TemporaryFolder.objects.exists()

    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    run = start(export)
    assert carry(run) == "successful"
    assert folders(small_disk / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    assert lines(tree(small_disk / run.final_folder)["events_1.csv"])[2] == 60_000
    assert Connection.objects.get(pk=connection.pk).state == State.READY
