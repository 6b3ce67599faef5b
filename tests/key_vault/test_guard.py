"""No test, and no process that one starts, looks up a name outside this machine."""

import os
import socket
import subprocess
import sys

import pytest
import requests

from tests.key_vault.double import Double, check_nothing_left


def test_name_of_the_world_is_not_looked_up_and_fails_the_test(looked_up: list[str]) -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("contoso-kv.vault.azure.net", 443)
    with pytest.raises(socket.gaierror):
        socket.create_connection(("login.microsoftonline.com", 443), timeout=1)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nobody.invalid", 443)
    assert looked_up == ["contoso-kv.vault.azure.net", "login.microsoftonline.com"]
    with pytest.raises(AssertionError, match="looked up outside this machine"):
        check_nothing_left()
    looked_up.clear()
    check_nothing_left()
    assert socket.getaddrinfo("127.0.0.1", 443)
    assert socket.getaddrinfo("localhost", 443)


def test_without_the_proxy_nothing_is_reached(double: Double, looked_up: list[str]) -> None:
    assert "HTTPS_PROXY" not in os.environ
    with requests.Session() as session, pytest.raises(requests.exceptions.ConnectionError):
        session.get(f"https://{double.vault.host}/secrets", timeout=2)
    assert looked_up == [double.vault.host]
    looked_up.clear()


def test_processes_that_tests_start_look_up_no_names_either() -> None:
    asked = "import socket; socket.getaddrinfo('login.microsoftonline.com', 443)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert "gaierror" in done.stderr
    assert "sitecustomize" in done.stderr
