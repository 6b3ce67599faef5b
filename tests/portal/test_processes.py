"""Children end with their parent, however it ends; tried with small programs in the place of web and worker."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.portal.test_launcher import processes_of, wait_until

# argv: what to do with the family, then one shell program per child. VAR_DIR only marks the processes.
PARENT = """
import os, sys
from pathlib import Path
from connections_portal.processes import Ended, Family, Stopped
how, *programs = sys.argv[1:]
with Family(Path.cwd(), os.environ) as family:
    try:
        if how == "complete":
            family.complete("step", ["sh", "-c", programs[0]])
            print("completed", flush=True)
        for number, program in enumerate(programs):
            family.start(f"child{number}", ["sh", "-c", program])
        print("started", flush=True)
        family.watch(essential="child0")
    except (Stopped, Ended) as reason:
        print(type(reason).__name__, reason, flush=True)
"""
STAYS = "exec sleep 600"
LEAVES_A_GRANDCHILD = "sleep 600 & wait"
DEAF = "trap '' TERM; while :; do sleep 0.2; done"


class Parent:
    """A process with a family; ``lines`` are what it says."""

    def __init__(self, var_dir: Path, how: str, *programs: str) -> None:
        self.var_dir = var_dir
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, how, *programs],
            cwd=settings.BASE_DIR,
            env={**os.environ, "VAR_DIR": str(var_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def others(self) -> set[int]:
        return processes_of(self.var_dir) - {self.process.pid}


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[type[Parent]]:
    made: list[Parent] = []

    class Kept(Parent):
        def __init__(self, how: str, *programs: str) -> None:
            super().__init__(tmp_path, how, *programs)
            made.append(self)

    yield Kept
    for number in processes_of(tmp_path):
        os.kill(number, signal.SIGKILL)
    for one in made:
        one.process.communicate(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_ends_children_and_grandchildren(parent, number):
    family = parent("watch", STAYS, LEAVES_A_GRANDCHILD)
    assert family.line() == "started"
    wait_until(lambda: len(family.others()) >= 3)
    family.process.send_signal(number)
    assert family.line() == "Stopped"
    assert family.process.wait(10) == 0
    assert family.others() == set()


def test_killed_parent_takes_its_children_along(parent):
    family = parent("watch", STAYS, STAYS)
    assert family.line() == "started"
    wait_until(lambda: len(family.others()) >= 2)
    family.process.kill()
    wait_until(lambda: not family.others())


def test_second_request_does_not_wait_for_a_child_that_does_not_listen(parent):
    family = parent("watch", STAYS, DEAF)
    assert family.line() == "started"
    wait_until(lambda: len(family.others()) >= 2)
    family.process.send_signal(signal.SIGINT)
    assert family.line() == "Stopped"
    with pytest.raises(subprocess.TimeoutExpired):
        family.process.wait(2.5)
    family.process.send_signal(signal.SIGINT)
    assert family.process.wait(5) == 0
    assert family.others() == set()


def test_child_that_ends_is_started_again_and_the_essential_one_ends_all(parent, tmp_path):
    count = tmp_path / "count"
    family = parent("watch", f"while [ ! -e {count}.2 ]; do sleep 0.05; done; exit 7", run_twice(count))
    assert family.line() == "started"
    assert family.line() == "child1 ended with code 3; it is started again."
    assert family.line() == "Ended child0 ended with code 7."
    assert family.process.wait(10) == 0
    assert family.others() == set()


def run_twice(count: Path) -> str:
    """Fails the first time and stays the second time."""
    return f"if [ -e {count}.1 ]; then touch {count}.2; sleep 600; fi; touch {count}.1; exit 3"


def test_step_that_fails_says_so_and_one_that_is_stopped_ends(parent):
    failing = parent("complete", "exit 4")
    assert failing.line() == "Ended step ended with code 4."
    assert failing.process.wait(10) == 0
    waiting = parent("complete", STAYS)
    wait_until(lambda: bool(waiting.others()))
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.line() == "Stopped"
    assert waiting.process.wait(10) == 0
