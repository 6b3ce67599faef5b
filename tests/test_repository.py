"""Rules about the files themselves: nothing of one machine in them, short files, a lock that locks, a working build."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

ROOT: Path = settings.BASE_DIR
LONGEST_FILE = 400
CODE = {".py", ".html", ".css", ".js", ".sh", ".toml", ""}
NOT_OURS = {"vendor", "migrations"}
LOCKS = ("requirements.txt", "requirements-dev.txt")
# Written in two parts, so that this file does not hold them.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "npmjs" + ".com/package",
    "deb." + "debian.org",
    "proxy." + "golang",
    "--index" + "-url",
    "--extra-index" + "-url",
    "--find" + "-links",
]


def repository_files() -> list[Path]:
    """What is or could be committed; without git, everything outside of hidden and generated folders."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = (
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
        )
        return [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    left_out = {".venv", ".git", "var", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not left_out & set(path.relative_to(ROOT).parts)
    ]


def text_of(path: Path) -> str:
    """The file's text; empty for pictures and fonts."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def ours() -> list[Path]:
    files = [path for path in repository_files() if not NOT_OURS & set(path.relative_to(ROOT).parts)]
    assert ROOT / "pyproject.toml" in files
    assert len(files) > 50
    return files


def test_no_file_names_a_registry():
    found = [
        f"{path.relative_to(ROOT)}: {name}" for path in ours() for name in REGISTRIES if name in text_of(path)
    ]
    assert not found, found


def test_no_file_holds_a_path_of_this_machine():
    places = [f"{place}/" for place in (ROOT, Path.home()) if len(place.parts) > 1]
    found = [
        f"{path.relative_to(ROOT)}: {place}"
        for path in repository_files()
        for place in places
        if re.search(rf"(?<![\w.]){re.escape(place)}", text_of(path))
    ]
    assert not found, found


def test_files_stay_short():
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in ours()
        if path.suffix in CODE and path.name != "LICENSE"
        if (lines := len(text_of(path).splitlines())) > LONGEST_FILE
    }
    assert not too_long, f"over {LONGEST_FILE} lines: {too_long}"


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Package → (its line with version and condition, number of hashes)."""
    entries: dict[str, tuple[str, int]] = {}
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        entries[re.split(r"[=\s]", requirement)[0]] = (requirement, len(hashes))
    return entries


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_and_hashes_everything(name):
    entries = locked(name)
    assert len(entries) > 20
    assert not [
        requirement for requirement, hashes in entries.values() if "==" not in requirement or not hashes
    ]
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")


def test_both_locks_agree_and_cover_what_is_declared():
    run, dev = locked(LOCKS[0]), locked(LOCKS[1])
    assert {package: entry[0] for package, entry in run.items()}.items() <= {
        package: entry[0] for package, entry in dev.items()
    }.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for declared, lock in (
        (project["project"]["dependencies"], run),
        (project["dependency-groups"]["dev"], dev),
    ):
        names = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in declared}
        assert names <= set(lock), names - set(lock)


def test_every_make_target_says_what_it_is_for():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", text, re.MULTILINE))
    explained = set(re.findall(r"^([a-z][\w-]*):.*## \w", text, re.MULTILINE))
    assert {"help", "install", "run", "worker", "check", "lint", "test", "browser", "bench"} <= targets
    assert targets == explained, targets - explained


def test_every_setting_is_explained():
    code = (ROOT / "connections_portal" / "settings.py").read_text(encoding="utf-8")
    names = set(re.findall(r"env_(?:text|bool|int|list)\(\s*\"([A-Z_]+)\"", code))
    explained = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")))
    assert len(names) > 20
    assert not names - explained, names - explained


def test_every_module_of_the_project_package_has_its_layer():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    listed = {name.strip() for layer in (layers[0], layers[-1]) for name in layer.split(":")}
    package = ROOT / "connections_portal"
    modules = {
        f"connections_portal.{path.stem}"
        for path in package.iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
    }
    assert listed == modules, listed ^ modules


def test_static_files_can_be_collected_for_production(tmp_path):
    storages = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
    with override_settings(STORAGES=storages, STATIC_ROOT=tmp_path):
        call_command("collectstatic", interactive=False, verbosity=0)
    manifest = (tmp_path / "staticfiles.json").read_text(encoding="utf-8")
    assert re.search(r"css/base\.[0-9a-f]{12}\.css", manifest)


def test_packages_that_are_there_are_not_installed_again(tmp_path):
    called = tmp_path / "called"
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\ntouch {called}\nexit 1\n")
    apt.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = ROOT / ".ci" / "ensure-packages.sh"
    subprocess.run([script, "browser", "ssh"], check=True, env=environment, timeout=20)
    assert not called.exists()
    wrong = {**environment, "CHROMIUM": str(tmp_path / "no-browser")}
    refused = subprocess.run([script, "browser"], env=wrong, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "no-browser is not a program" in refused.stderr
