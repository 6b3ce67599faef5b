"""Rule S7: the machine's own keys, agent and settings are never used, nor even looked at."""

import json
import subprocess
import sys
from pathlib import Path

from tests.connectors.servers import Server, make_key

# Runs apart, because what asyncssh reads when it is loaded counts as well, and an audit hook stays for good.
PROGRAM = """
import json, sys
home = sys.argv[1]
seen = []
def hook(event, args):
    if event in ("open", "os.listdir", "os.scandir", "socket.connect"):
        text = " ".join(repr(a) for a in args)
        if home in text:
            seen.append(f"{event} {text}")
sys.addaudithook(hook)
from connections.connectors.sftp import Sftp
from connections.gateway import OutgoingGateway

given = json.loads(sys.stdin.read())
gateway = OutgoingGateway([("127.0.0.1", int(given["settings"]["port"]))])
sftp = Sftp(given["settings"], given["secrets"], gateway, host_key=given["host_key"])
steps = [(step.key, step.status.value, step.code) for step in sftp.verify()]
print(json.dumps({"seen": seen, "steps": steps}))
"""


def baited_home(directory: Path, server: Server) -> Path:
    """A home folder whose key, known hosts and configuration would each let the connection succeed."""
    ssh = directory / "home" / ".ssh"
    ssh.mkdir(parents=True)
    (ssh / "id_ed25519").write_text(server.private_key)
    (ssh / "id_ed25519").chmod(0o600)
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.public_key}\n")
    (ssh / "config").write_text("Host *\n  IdentityFile ~/.ssh/id_ed25519\n  IdentityAgent ~/agent\n")
    (ssh / "crt").mkdir()
    (ssh / "ca-bundle.crt").write_text("")
    return directory / "home"


def verify_apart(home: Path, server: Server, *, host_key: str, **secrets: str) -> dict:
    """Verify in a process of its own with this home folder and an agent that holds the right key."""
    settings = server.connector().settings
    agent = subprocess.run(
        ["ssh-agent", "-s", "-a", str(home / "agent")], check=True, capture_output=True, text=True
    ).stdout
    pid = agent.partition("SSH_AGENT_PID=")[2].partition(";")[0]
    environment = {"HOME": str(home), "SSH_AUTH_SOCK": str(home / "agent"), "PYTHONPATH": ":".join(sys.path)}
    try:
        subprocess.run(
            ["ssh-add", "-q", str(home / ".ssh" / "id_ed25519")],
            check=True,
            env=environment,
            capture_output=True,
        )
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(home)],
            check=False,
            input=json.dumps({"settings": dict(settings), "secrets": secrets, "host_key": host_key}),
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
    finally:
        subprocess.run(["kill", pid], check=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_agent_and_keys_of_the_machine_do_not_sign_in(openssh_server: Server, tmp_path: Path):
    home = baited_home(tmp_path, openssh_server)
    stranger = make_key(tmp_path / "stranger", "-t", "ed25519")
    found = verify_apart(home, openssh_server, host_key=openssh_server.public_key, private_key=stranger)
    assert found["steps"][-1] == ["sign_in", "failed", "sign_in_refused"]
    assert found["seen"] == []


def test_known_hosts_of_the_machine_are_not_trusted(openssh_server: Server, tmp_path: Path):
    home = baited_home(tmp_path, openssh_server)
    found = verify_apart(home, openssh_server, host_key="", private_key=openssh_server.private_key)
    assert found["steps"][-1] == ["identity", "asks", "identity_unknown"]
    assert found["seen"] == []
