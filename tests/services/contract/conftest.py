"""A connector whose requests go to the description of its service, and are kept with what it says of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from connections.connectors.http.answers import Answer
from connections.connectors.http.sending import UrllibSender
from connections.outgoing import gateway
from tests.services.contract import descriptions
from tests.services.people import write_people


@dataclass
class Exchange:
    """One request and its answer."""

    method: str
    url: str
    body: bytes
    answer: Answer


@dataclass
class Described:
    """A service at ``url``; ``exchanges`` are all requests so far."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list)

    def assert_all_as_described(self) -> None:
        """Every request was one that the service describes (not only one that it answers)."""
        assert self.exchanges
        for exchange in self.exchanges:
            wrong = exchange.answer.headers.get("sl-violations", "")
            assert not wrong, f"{exchange.method} {exchange.url}: {wrong}\n{exchange.body!r}"
            assert exchange.answer.status < 300, f"{exchange.method} {exchange.url}: {exchange.answer.status}"


@pytest.fixture
def people(tmp_path: Path, settings: Settings) -> Path:
    """People with good and odd values; see ``tests.services.people``."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'people'}"
    return write_people(tmp_path / "people")


@pytest.fixture(scope="session")
def ports() -> Iterator[Mapping[str, int]]:
    if why := descriptions.missing():
        pytest.skip(why)
    with descriptions.served() as ports:
        yield ports


@pytest.fixture
def described(
    ports: Mapping[str, int], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Described]]:
    """Call with a service's name: its address is reached through the gateway, and what is asked there is kept."""
    send = UrllibSender.send
    running: list[Described] = []

    def kept(sender: UrllibSender, method: str, url: str, **how: Any) -> Answer:
        answer = send(sender, method, url, **how)
        for service in running:
            if url.startswith(service.url):
                service.exchanges.append(Exchange(method, url, how["body"], answer))
        return answer

    def start(name: str) -> Described:
        running.append(Described(f"http://127.0.0.1:{ports[name]}"))
        return running[-1]

    monkeypatch.setattr(UrllibSender, "send", kept)
    settings.OUTGOING_ALLOW = ",".join(f"127.0.0.1:{port}" for port in ports.values())
    gateway.cache_clear()
    yield start
    gateway.cache_clear()
