"""An import takes no more memory for more rows: measured in a process of its own."""

import base64
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from tests.data import write_customers

# the engine fills what it is given before it spills: as many rows as that takes are the fewer ones
FEW, MANY = 1_500_000, 4_500_000
# what three times the rows may take more: noise of allocators, far below the 170 MB that are more to read and join
FLAT_MB = 80
IMPORT = """
import sys
from pathlib import Path
import django
django.setup()
from django.conf import settings
from connections.connectors.files import FileIdentity
from enrichments.importing import run_import
from tests.enrichments.remote import model
import json

ROWS, AT_A_TIME = int(sys.argv[1]), 4_000
HEAD = b"customer_id,score,remark\\nc1,7,ok\\n"
DESCRIPTION = json.dumps(model({"customer_id": "string", "score": "int64", "remark": "string"})).encode()


class Generated:
    def blocks(self):
        yield HEAD
        for first in range(0, ROWS, AT_A_TIME):
            yield b"".join(b"x%09d,%d,%s\\n" % (n, n, b"y" * 40) for n in range(first, first + AT_A_TIME))

    def stat(self, path):
        return FileIdentity(size=SIZE, modified=1)

    def read(self, path, *, most):
        return DESCRIPTION

    def stream(self, path):
        return self.blocks()


SIZE = sum(len(block) for block in Generated().blocks())
folder = settings.ENRICHMENTS_DIR / "Scores" / ("run-" + "0" * 32 + "-" + "0" * 8)
folder.mkdir(parents=True)
done = run_import(
    source=Generated(), options={"path": "", "filename": "scores.csv"}, segment="", folder=folder,
    report=lambda *progress: None, check=lambda: None,
)
assert (done.read, done.enriched, done.left_out) == (ROWS + 1, 1, ROWS), done
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
"""


def peak_mb(place: Path, rows: int) -> float:
    """The most memory that an import of so many rows has held."""
    place.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(django_settings.BASE_DIR),
        "PORTAL_DEV": "1",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CONNECTION_SECRET_KEYS": f"1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "DATABASE_URL": f"sqlite:///{place}/none.sqlite3",
        "DJANGO_SETTINGS_MODULE": "connections_portal.settings",
        "VAR_DIR": str(place),
        "CUSTOMER_DATA_URL": f"duckdb://{write_customers(place / 'customer-data')}",
        "ENGINE_MEMORY_MB": "128",
    }
    script = place / "script.py"
    script.write_text(IMPORT)
    done = subprocess.run(
        [sys.executable, str(script), str(rows)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
def test_three_times_the_rows_take_no_more_memory(tmp_path: Path) -> None:
    few, many = (peak_mb(tmp_path / str(rows), rows) for rows in (FEW, MANY))
    assert many - few < FLAT_MB, (few, many)
