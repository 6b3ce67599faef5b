"""The parent of ``tests.runs.processes.Forks``: reads ``start NAME``, ``kill PID`` and ``ended PID`` line by line."""

import os
import signal
import sys

import django
from django.core.management import call_command

from connections_portal.processes import end_with_parent


def start(name: str, command: list[str]) -> int:
    """A child that runs the command under this name; its process id."""
    child = os.fork()
    if child:
        return child
    end_with_parent()
    status = 1
    try:
        os.dup2(2, 1)  # the parent's answers are not for it
        os.close(0)
        call_command(*command, "--worker-id", name)
        status = 0
    finally:
        os._exit(status)


def main(command: list[str]) -> None:
    """Load what a worker loads, then do as told until the input ends; no child outlives that."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "connections_portal.settings")
    django.setup()
    from exports.operations import execute, leftovers  # noqa: F401  # what takes long, and is the same for all

    children: set[int] = set()
    print("ready", flush=True)
    for line in sys.stdin:
        verb, argument = line.split()
        if verb == "start":
            child = start(argument, command)
            children.add(child)
            print(child, flush=True)
        elif verb == "kill":
            end(int(argument), children)
            print("killed", flush=True)
        else:
            gone = os.waitid(os.P_PID, int(argument), os.WEXITED | os.WNOHANG | os.WNOWAIT)
            print("yes" if gone else "no", flush=True)
    for child in list(children):
        end(child, children)


def end(child: int, children: set[int]) -> None:
    """Kill a child and wait until it is gone."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    children.discard(child)


if __name__ == "__main__":
    main(sys.argv[1:])
