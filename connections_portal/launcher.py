"""``make run``: the whole portal under one parent, with sample data and a sandbox server to share data with.

``python -m connections_portal.launcher`` prepares VAR_DIR and then keeps five things running until Ctrl-C: web,
worker (with ``tick``), sandbox SFTP server, sandbox Key Vault and itself. ``python -m connections_portal.launcher
COMMAND …`` runs one ``manage.py`` command on the same state. It makes the environment that settings.py reads, so it
imports no Django.

State in VAR_DIR: ``secret_key``, ``connection_secret_keys`` and ``demo_password`` (readable by the owner only),
``sandbox/`` with host key, ports, files and the Key Vault's certificates, ``run.lock`` while the portal runs, and what
the portal itself writes.
"""

import base64
import contextlib
import errno
import fcntl
import http.client
import os
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn, TextIO

from connections_portal.processes import Ended, Family, Stopped, end_with_parent

BASE_DIR = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
SANDBOX_USER = "sandbox"
SANDBOX_FOLDER = "incoming"
# what seed_demo lays there (connections_portal/customer_data/sample_import.py)
SAMPLE_FOLDER, SAMPLE_FILE = "import", "loyalty_scores.csv"
# Below the ports that a system hands out by itself, so that the port kept is still free after a restart.
SANDBOX_PORTS = range(2222, 2322)
VAULT_PORTS = range(2322, 2422)
# The sandbox's Key Vault as the portal knows it: names that its double answers to, and whom it signs in.
VAULT, OTHER_VAULT = "contoso-sandbox", "contoso-sandbox-2"
VAULT_HOST = f"{VAULT}.vault.azure.net"
VAULT_SECRET = "portal-sandbox-sftp-password"
VAULT_TENANT = "11111111-2222-3333-4444-555555555555"
VAULT_CLIENT = "22222222-3333-4444-5555-666666666666"
# Whoever sets one of these has a way out, or an identity, of their own: the sandbox's Key Vault is then left out.
OWN_AZURE = (
    "OUTGOING_PROXY",
    "OUTGOING_CA_FILE",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_CLOUD",
    "KEY_VAULT_HOSTS",
)
# Letters and digits that are not taken for one another when typed from the screen.
READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
START_SECONDS = 60
MANAGE = [sys.executable, "manage.py"]


class CannotStart(Exception):
    """The portal cannot start; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """Run the portal, or one management command; 0 after a clean stop, 1 when something kept it from running."""
    var_dir = Path(os.environ.get("VAR_DIR") or BASE_DIR / "var").resolve()
    try:
        var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return manage(var_dir, arguments) if arguments else run(var_dir, lock_folder(var_dir))
    except (CannotStart, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def manage(var_dir: Path, arguments: list[str]) -> NoReturn:
    """Become ``manage.py`` with these arguments."""
    environment = command_environment(var_dir)
    os.chdir(BASE_DIR)
    os.execve(sys.executable, [*MANAGE, *arguments], environment)  # noqa: S606  # a list of arguments


def run(var_dir: Path, lock: TextIO) -> int:
    """Prepare and start everything, say where it is, and watch over it until told to stop.

    ``lock`` is what ``lock_folder`` gave; it is held until the last child is gone.
    """
    if "MAKELEVEL" in os.environ:
        end_with_parent()  # a make that is killed takes nobody along by itself
    port = port_named("PORT", 8000)
    require_free(port, f"Choose another one: make run PORT={port + 1}")
    sandbox_port = kept_port(var_dir, "port", SANDBOX_PORTS)
    vault_port = None if own_azure() else kept_port(var_dir, "vault_port", VAULT_PORTS)
    password = demo_password(var_dir)
    environment = portal_environment(var_dir, sandbox_port, vault_port)
    with lock, Family(BASE_DIR, environment) as family:
        try:
            start_sandbox(family, var_dir, sandbox_port, password)
            if vault_port:
                start_vault(family, var_dir, vault_port, password)
            prepare(family, var_dir, password, with_vault=bool(vault_port))
            start(family, port)
            announce(var_dir, port, sandbox_port, password, with_vault=bool(vault_port))
            family.watch(essential="web")
        except Stopped:
            print("\nStopping …", flush=True)
            return 0
        except Ended as ended:
            print(f"{ended} Stopping everything.", file=sys.stderr, flush=True)
            return 1


def prepare(family: Family, var_dir: Path, password: str, *, with_vault: bool) -> None:
    """Database, static files, demonstration users and sample data; raises Ended when a step fails."""
    print("Preparing the database, static files and sample data …", flush=True)
    family.complete("migrate", [*MANAGE, "migrate", "--noinput", "--verbosity", "0"])
    family.complete("collectstatic", [*MANAGE, "collectstatic", "--noinput", "--verbosity", "0"])
    seed = [*MANAGE, "seed_demo", "--sandbox-files", str(var_dir / "sandbox" / "files")]
    if with_vault:
        seed += ["--sandbox-vault", VAULT_HOST]
    family.complete("seed_demo", seed, {"DEMO_PASSWORD": password})


def start_sandbox(family: Family, var_dir: Path, port: int, password: str) -> None:
    """Start the SFTP server and wait until it answers; raises Ended when it does not come up."""
    sandbox = [sys.executable, "-m", "connections_portal.sandbox", "--dir", str(var_dir / "sandbox")]
    sandbox += ["--user", SANDBOX_USER, "--port", str(port), "--folder", SANDBOX_FOLDER]
    family.start("sandbox", sandbox, {"SANDBOX_PASSWORD": password}, quiet=True)
    family.wait_for("The sandbox server", lambda: listens(port), START_SECONDS)


def start_vault(family: Family, var_dir: Path, port: int, password: str) -> None:
    """Start the Key Vault double and wait until it answers; raises Ended when it does not come up."""
    vault = [
        sys.executable,
        "-m",
        "connections_portal.sandbox.key_vault_run",
        "--dir",
        str(vault_dir(var_dir)),
    ]
    vault += ["--port", str(port), "--vault", VAULT, "--other-vault", OTHER_VAULT]
    vault += ["--sftp-host", HOST, "--client-id", VAULT_CLIENT]
    secret = vault_client_secret(var_dir).read_text(encoding="utf-8").strip()
    family.start("vault", vault, {"SANDBOX_PASSWORD": password, "SANDBOX_CLIENT_SECRET": secret}, quiet=True)
    family.wait_for("The sandbox Key Vault", lambda: listens(port), START_SECONDS)


def start(family: Family, port: int) -> None:
    """Start worker and web, and wait until the portal answers; raises Ended when it does not come up."""
    web = [sys.executable, "-m", "gunicorn", "connections_portal.wsgi", "--bind", f"{HOST}:{port}"]
    web += ["--worker-class", "gthread", "--workers", "2", "--threads", "4", "--no-control-socket"]
    # the wizard of an enrichment carries its answers in the address
    web += ["--graceful-timeout", "10", "--log-level", "warning", "--limit-request-line", "8190"]
    family.start("worker", [*MANAGE, "portal_worker", "--processes", "1"])
    family.start("web", web)
    family.wait_for("The portal", lambda: answers(port), START_SECONDS)


def announce(var_dir: Path, port: int, sandbox_port: int, password: str, *, with_vault: bool) -> None:
    """Print addresses, users and password. The sandbox's address and password stand alone, ready to be copied."""
    if with_vault:
        vault = f"""A sandbox Key Vault comes linked, {VAULT}: with Use Key Vault choose {VAULT_SECRET} as the password.
Another one, {OTHER_VAULT}, can be linked as well (Settings > Key Vault)."""
    else:
        vault = f"The sandbox Key Vault is left out: {', '.join(own_azure())} is set."
    print(
        f"""
Connections Portal is running: http://{HOST}:{port}/

  Users     admin, contributor, viewer
  Password  {password}

A sandbox SFTP server to share data with, and its password
(files arrive in {var_dir / "sandbox" / "files" / SANDBOX_FOLDER}):

sftp://{SANDBOX_USER}@{HOST}:{sandbox_port}/{SANDBOX_FOLDER}
{password}

A file to bring in with SFTP Custom Import lies there: path {SAMPLE_FOLDER}, filename {SAMPLE_FILE}

{vault}

State is kept in {var_dir}. Ctrl-C stops everything.
""",
        flush=True,
    )


def command_environment(var_dir: Path) -> dict[str, str]:
    """The environment of one management command: the caller's where it brings keys, else that of ``make run``."""
    if os.environ.get("SECRET_KEY") or os.environ.get("SECRET_KEY_FILE"):
        return dict(os.environ)
    ports = {name: var_dir / "sandbox" / name for name in ("port", "vault_port")}
    known = {name: int(path.read_text()) for name, path in ports.items() if path.exists()}
    vault_port = None if own_azure() else known.get("vault_port")
    return portal_environment(var_dir, known.get("port"), vault_port)


def own_azure() -> list[str]:
    """What in the caller's environment says how Azure is reached, or as whom; then the sandbox has no Key Vault."""
    return [name for name in OWN_AZURE if os.environ.get(name) or os.environ.get(f"{name}_FILE")]


def portal_environment(var_dir: Path, sandbox_port: int | None, vault_port: int | None) -> dict[str, str]:
    """What settings.py reads: keys (as files), VAR_DIR, the sandbox as an allowed address, and its Key Vault."""
    environment = {name: value for name, value in os.environ.items() if name != "DEMO_PASSWORD"}
    environment |= {"PORTAL_DEV": "1", "VAR_DIR": str(var_dir), "PYTHONUNBUFFERED": "1"}
    keys = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "CONNECTION_SECRET_KEYS": "1:" + base64.b64encode(secrets.token_bytes(32)).decode("ascii"),
    }
    for name, new in keys.items():
        if not environment.get(name) and not environment.get(f"{name}_FILE"):
            path = var_dir / name.lower()
            keep(path, new)
            environment[f"{name}_FILE"] = str(path)
    if sandbox_port is not None:
        allowed = [environment.get("OUTGOING_ALLOW", ""), f"{HOST}:{sandbox_port}"]
        environment["OUTGOING_ALLOW"] = ",".join(filter(None, allowed))
    if vault_port is not None:
        environment |= vault_environment(var_dir, vault_port)
    return environment


def vault_environment(var_dir: Path, port: int) -> dict[str, str]:
    """The way to the Key Vault double, and the identity that the portal has there."""
    return {
        "OUTGOING_PROXY": f"http://{HOST}:{port}",
        "OUTGOING_CA_FILE": str(vault_dir(var_dir) / "authority.pem"),
        "KEY_VAULT_HOSTS": VAULT_HOST,
        "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
        "AZURE_TENANT_ID": VAULT_TENANT,
        "AZURE_CLIENT_ID": VAULT_CLIENT,
        "AZURE_CLIENT_SECRET": vault_client_secret(var_dir).read_text(encoding="utf-8").strip(),
    }


def vault_dir(var_dir: Path) -> Path:
    """Where the Key Vault double keeps its certificates."""
    return var_dir / "sandbox" / "key-vault"


def vault_client_secret(var_dir: Path) -> Path:
    """The file with what the portal signs in with at the double; made once, readable by the owner only."""
    path = vault_dir(var_dir) / "client_secret"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    keep(path, secrets.token_urlsafe(32))
    return path


def demo_password(var_dir: Path) -> str:
    """DEMO_PASSWORD, else the one of the last start, else a new one.

    It is kept, because connections to the sandbox that were saved before a restart have to go on working.
    """
    path = var_dir / "demo_password"
    if given := os.environ.get("DEMO_PASSWORD", "").strip():
        path.unlink(missing_ok=True)
        keep(path, given)
    else:
        keep(path, "-".join("".join(secrets.choice(READABLE) for _ in range(4)) for _ in range(3)))
    return path.read_text(encoding="utf-8").strip()


def keep(path: Path, new: str) -> None:
    """Write ``new`` to ``path``, readable by the owner only, unless the file is there; never a half-written one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(new + "\n")
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def kept_port(var_dir: Path, name: str, ports: range) -> int:
    """The port of the last start, else the first free one; what was set up with the sandbox goes on with this port."""
    path = var_dir / "sandbox" / name
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        port = int(path.read_text())
        require_free(port, f"The sandbox used it before. Free it, or remove {path} to take another one.")
        return port
    port = next((port for port in ports if not taken(port)), 0)
    if not port:
        raise CannotStart(f"No port is free for the sandbox ({ports[0]}-{ports[-1]}).")
    keep(path, str(port))
    return port


def port_named(name: str, default: int) -> int:
    """The port in the environment variable ``name``; raises CannotStart when it is none."""
    text = os.environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise CannotStart(f"{name} must be a port number from 1 to 65535, not {text!r}.")
    return int(text)


def require_free(port: int, remedy: str) -> None:
    """Raise CannotStart with ``remedy`` when something listens on ``port``, or when it may not be used."""
    try:
        if taken(port):
            raise CannotStart(f"Port {port} is taken by another program. {remedy}")
    except PermissionError:
        raise CannotStart(f"Port {port} may not be used by this user. {remedy}") from None


def taken(port: int) -> bool:
    """Whether another program listens on the port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def listens(port: int) -> bool:
    """Whether somebody accepts connections on the port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def answers(port: int) -> bool:
    """Whether the portal says it is healthy."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthz/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def lock_folder(var_dir: Path) -> TextIO:
    """The locked file that keeps VAR_DIR for this process while it is open.

    Raises CannotStart while another portal runs on it; waits a moment for one that is just going down.
    """
    lock = (var_dir / "run.lock").open("a+", encoding="ascii")
    deadline = time.monotonic() + 2
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.seek(0)
                raise CannotStart(
                    f"The portal already runs on {var_dir} (process {lock.read().strip()}). "
                    "Stop it first, or choose another folder: make run VAR_DIR=…"
                ) from None
            time.sleep(0.1)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
