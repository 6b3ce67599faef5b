"""``python -m benchmarks [NAME|all] [ROWS]``: one line of JSON each; 1 when a floor is missed, 2 for a wrong name."""

import base64
import importlib
import os
import pkgutil
import secrets
import sys
import tempfile

import benchmarks
from benchmarks.harness import Result

NO_BENCHMARKS = {"__main__", "harness", "local_files", "openssh", "pages_data", "portal", "profiles"}


def names() -> list[str]:
    """Every benchmark there is."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if name not in NO_BENCHMARKS)


def main(arguments: list[str]) -> int:
    """Run what is asked for in a portal of its own, which is gone afterwards."""
    asked = arguments[0] if arguments else "all"
    chosen = names() if asked == "all" else [asked]
    if not set(chosen) <= set(names()):
        print(f"There is no benchmark {asked!r}. There are: {', '.join(names())}.", file=sys.stderr)
        return 2
    size = arguments[1] if len(arguments) > 1 else "0"
    if not size.isdecimal():
        print(f"ROWS must be a whole number, not {size!r}.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="portal-bench-") as folder:
        set_up(folder)
        results = [result for name in chosen for result in run(name, int(size))]
    return 0 if all(result.holds for result in results) else 1


def set_up(folder: str) -> None:
    """Load Django on an empty state in ``folder``, with keys that nothing else uses."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "connections_portal.settings",
        "PORTAL_DEV": "1",
        "VAR_DIR": folder,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "CONNECTION_SECRET_KEYS": "1:" + base64.b64encode(secrets.token_bytes(32)).decode("ascii"),
    }
    for name in ("DATABASE_URL", "CUSTOMER_DATA_URL"):
        os.environ.pop(name, None)
    import django

    django.setup()


def run(name: str, rows: int) -> list[Result]:
    """Measure one benchmark (0 rows: its usual size) and print its line, or its lines."""
    module = importlib.import_module(f"benchmarks.{name}")
    measured: Result | list[Result] = module.measure(rows or module.ROWS)
    results = measured if isinstance(measured, list) else [measured]
    for result in results:
        print(result.line(), flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
