"""The descriptions of services, served by one process on the loopback interface."""

import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

HERE = Path(__file__).parent
START_SECONDS = 60

# One address for each service, though its description may be in several parts.
SERVICES: dict[str, tuple[str, ...]] = {
    "mailchimp": ("mailchimp.json",),
    "hubspot": ("hubspot-contacts.json", "hubspot-lists.json", "hubspot-properties.json"),
}


def folder() -> Path:
    """Where the descriptions are: ``CONTRACT_SPECS``, else beside the project. They are not part of it."""
    named = os.environ.get("CONTRACT_SPECS")
    return Path(named) if named else settings.BASE_DIR.parent / "shared" / "specs"


def missing() -> str:
    """Why the descriptions cannot be served; empty where they can."""
    absent = [name for names in SERVICES.values() for name in names if not (folder() / name).is_file()]
    if absent:
        return (
            f"no descriptions: {', '.join(absent)} not found in {folder()} (CONTRACT_SPECS names the folder)"
        )
    if not shutil.which("node"):
        return "no descriptions served: node is not installed (make test installs it)"
    if not (HERE / "node_modules" / "@stoplight").is_dir():
        return "no descriptions served: the parts for node are not installed (make test installs them)"
    return ""


def read(name: str) -> Any:
    """A description as it is written."""
    return json.loads((folder() / name).read_text(encoding="utf-8"))


@contextmanager
def served() -> Iterator[Mapping[str, int]]:
    """The port of each service, for as long as the block lasts."""
    services = [",".join(str(folder() / name) for name in names) for names in SERVICES.values()]
    command = ["node", str(HERE / "server.js"), *services]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE) as process:
        assert process.stdin
        assert process.stdout
        try:
            ready, _w, _x = select.select([process.stdout], [], [], START_SECONDS)
            line = process.stdout.readline() if ready else b""
            assert line, f"the descriptions were not there after {START_SECONDS} seconds"
            yield dict(zip(SERVICES, json.loads(line), strict=True))
        finally:
            process.stdin.close()  # it ends with its standard input, also when this process is killed
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def operations(names: Sequence[str]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and operation of everything in these descriptions."""
    for name in names:
        for path, methods in read(name)["paths"].items():
            for method, operation in methods.items():
                if method in ("get", "post", "put", "patch", "delete"):
                    yield method.upper(), path, operation
