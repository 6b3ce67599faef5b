"""``python -m connections_portal.sandbox --dir DIR --user NAME --port PORT [--folder NAME]``.

The password comes from ``SANDBOX_PASSWORD``, never from the command line, where others could read it. Prints one
line when it is ready and stops on SIGTERM or Ctrl-C.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from connections_portal.sandbox.server import SandboxServer


def main() -> int:
    """Serve until told to stop; 2 when something is wrong with what was given."""
    parser = argparse.ArgumentParser(prog="python -m connections_portal.sandbox")
    parser.add_argument("--dir", type=Path, required=True, help="folder for host key and files")
    parser.add_argument("--user", default="sandbox")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--folder", default="", help="folder to make for the files that arrive")
    parser.add_argument("--authorized-keys", type=Path, help="public keys that may sign in")
    given = parser.parse_args()
    password = os.environ.pop("SANDBOX_PASSWORD", "")
    if not password and not given.authorized_keys:
        print("Set SANDBOX_PASSWORD, or give --authorized-keys.", file=sys.stderr)
        return 2
    try:
        sandbox = SandboxServer(
            given.dir,
            username=given.user,
            password=password,
            host=given.host,
            port=given.port,
            folder=given.folder,
            authorized_keys=given.authorized_keys,
        )
        asyncio.run(_serve(sandbox))
    except (OSError, ValueError) as error:
        print(f"The sandbox cannot start: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(sandbox: SandboxServer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await sandbox.listen()
    print(f"Sandbox ready: {sandbox.address}", flush=True)
    await stop.wait()
    await sandbox.close()


if __name__ == "__main__":
    sys.exit(main())
