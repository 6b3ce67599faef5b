"""``fetch``: a file of 100 bytes a line from OpenSSH, against its own ``sftp get`` of the same file.

Ours is what an import does before it looks at what came: signing in, reading ahead, every check of size and time. Both
write what comes into a file. The second line is about memory: how much more a file takes that is five times as long.
"""

import os
import resource
import shutil
from pathlib import Path

from django.conf import settings

from benchmarks import openssh
from benchmarks.harness import Result, medians_in_turn
from connections.connectors.sftp_custom_import import SftpCustomImport
from connections.gateway import OutgoingGateway

ROWS = 5_000_000
LINE = 100
FEWER = 5


def measure(rows: int) -> list[Result]:
    """MB/s as a share of the command's, and how memory grows. Raises ConnectorError when it cannot be read."""
    place = Path(settings.VAR_DIR) / "fetch"
    with openssh.running(place / "server") as server:
        connector = _connector(server)
        peaks = {}
        for name, size in (("few.csv", rows // FEWER), ("all.csv", rows)):
            _write(server.files / name, size)
            _fetch(connector, name, place / name)
            assert (place / name).stat().st_size == size * LINE
            peaks[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = medians_in_turn(
            {
                "portal": lambda: _fetch(connector, "all.csv", place / "ours"),
                "sftp": lambda: server.get("all.csv", place / "theirs"),
            }
        )
    shutil.rmtree(place)
    megabytes = rows * LINE / 1e6
    rates = {name: megabytes / taken for name, taken in seconds.items()}
    speed = Result(
        name="fetch",
        rows=rows,
        value=rates["portal"] / rates["sftp"],
        unit="MB/s, as a share of the sftp command",
        goal=0.8,
        floor=0.5,
        compared_with=(
            f"sftp get of the same {megabytes:.0f} MB in {seconds['sftp']:.2f} s ({rates['sftp']:.0f} MB/s); "
            f"portal {seconds['portal']:.2f} s ({rates['portal']:.0f} MB/s)"
        ),
    )
    memory = Result(
        name="fetch_memory_growth",
        rows=rows,
        value=peaks["all.csv"] / peaks["few.csv"],
        unit="peak memory, as a share of that for a fifth of the file",
        goal=1.02,
        floor=1.1,
        compared_with=f"{peaks['few.csv']:.0f} MB for a fifth of it; {peaks['all.csv']:.0f} MB for all",
        less_is_better=True,
    )
    return [speed, memory]


def _connector(server: openssh.OpenSSH) -> SftpCustomImport:
    cleaned = SftpCustomImport.clean(
        {"auth_method": "key", "username": server.user, "hostname": f"127.0.0.1:{server.port}"}
    )
    gateway = OutgoingGateway([("127.0.0.1", server.port)])
    return SftpCustomImport(cleaned, {"private_key": server.private_key}, gateway, host_key=server.host_key)


def _fetch(connector: SftpCustomImport, name: str, into: Path) -> None:
    with connector.fetch() as source, into.open("wb") as file:
        for block in source.stream(name):
            file.write(block)


def _write(path: Path, rows: int) -> None:
    """Lines that nothing between here and there can make shorter."""
    block = b"".join(os.urandom(LINE // 2 - 1).hex().encode() + b"\r\n" for _ in range(10_000))
    with path.open("wb") as file:
        for _ in range(rows // 10_000):
            file.write(block)
        file.write(block[: rows % 10_000 * LINE])
