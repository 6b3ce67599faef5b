"""``python -m connections_portal.sandbox.key_vault_run --dir DIR --port PORT --vault NAME --other-vault NAME …``.

Serves the Key Vault double, stocked, until SIGTERM or Ctrl-C. What it hands out comes from ``SANDBOX_PASSWORD`` (what
the SFTP server asks for) and ``SANDBOX_CLIENT_SECRET`` (what the portal signs in with), never from the command line.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from connections_portal.sandbox.key_vault import KeyVaultDouble
from connections_portal.sandbox.key_vault_stock import stocked


def main() -> int:
    """Serve until told to stop; 2 when something is wrong with what was given."""
    parser = argparse.ArgumentParser(prog="python -m connections_portal.sandbox.key_vault_run")
    parser.add_argument("--dir", type=Path, required=True, help="folder for the certificates")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--vault", required=True, help="name of the vault with the SFTP server's password")
    parser.add_argument("--other-vault", required=True, help="name of a second vault")
    parser.add_argument("--sftp-host", default="127.0.0.1", help="host that the password is for")
    parser.add_argument("--client-id", required=True, help="application that the portal signs in as")
    given = parser.parse_args()
    password = os.environ.pop("SANDBOX_PASSWORD", "")
    client_secret = os.environ.pop("SANDBOX_CLIENT_SECRET", "")
    if not password or not client_secret:
        print("Set SANDBOX_PASSWORD and SANDBOX_CLIENT_SECRET.", file=sys.stderr)
        return 2
    cloud = stocked(
        given.vault,
        given.other_vault,
        sftp_password=password,
        sftp_host=given.sftp_host,
        client_id=given.client_id,
        client_secret=client_secret,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with KeyVaultDouble(given.dir, cloud=cloud, port=given.port, through=True) as double:
            print(f"Sandbox Key Vault ready: proxy {double.proxy}", flush=True)
            stop.wait()
    except OSError as error:
        print(f"The sandbox Key Vault cannot start: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
