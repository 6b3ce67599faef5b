"""Fixtures that every test may use: people by role, the way out, and tables that can only be added to."""

from collections.abc import Callable, Iterator

import pytest
from django.test import Client, TransactionTestCase
from pytest_django import Settings

from connections_portal import append_only, roles
from connections_portal.models import User
from connections_portal.roles import Role

PASSWORD = "correct horse battery staple"

# A transactional test ends by emptying every table, which the append-only triggers refuse. They are taken away for
# that moment; the post_migrate signal which follows puts them back, together with the roles.
_teardown = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]


def _teardown_without_triggers(self: TransactionTestCase) -> None:
    append_only.uninstall()
    _teardown(self)
    append_only.install()


TransactionTestCase._fixture_teardown = _teardown_without_triggers  # type: ignore[attr-defined]


def make_person(username: str, role: Role | None, **names: str) -> User:
    """Somebody with this role (None: signed in, without any) and the password ``PASSWORD``."""
    user = User.objects.create_user(username, password=PASSWORD, **names)
    if role:
        roles.assign(user=user, role=role)
    return user


@pytest.fixture
def admin(db: None) -> User:
    """An administrator."""
    return make_person("lena", Role.ADMINISTRATOR, first_name="Lena", last_name="Hofmann")


@pytest.fixture
def contributor(db: None) -> User:
    """A contributor."""
    return make_person("ana", Role.CONTRIBUTOR, first_name="Ana", last_name="Weber")


@pytest.fixture
def outsider(db: None) -> User:
    """A contributor with whom nothing is shared."""
    return make_person("ben", Role.CONTRIBUTOR, first_name="Ben", last_name="Okafor")


@pytest.fixture
def viewer(db: None) -> User:
    """A viewer."""
    return make_person("tomas", Role.VIEWER, first_name="Tomas", last_name="Ribeiro")


@pytest.fixture
def support(db: None) -> User:
    """Support staff."""
    return make_person("sami", Role.SUPPORT, first_name="Sami", last_name="Support")


@pytest.fixture
def nobody(db: None) -> User:
    """Somebody who can sign in and has no role."""
    return make_person("nora", None)


@pytest.fixture
def client_of() -> Callable[[User | None], Client]:
    """A test client signed in as the given person, or signed out for None; CSRF is not checked."""

    def build(user: User | None) -> Client:
        client = Client()
        if user is not None:
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return build


@pytest.fixture
def allow_outgoing(settings: Settings) -> Iterator[Callable[[int], None]]:
    """Let connections reach this loopback port, as an operator would list it in OUTGOING_ALLOW."""
    from connections.outgoing import gateway

    ports: list[int] = []

    def allow(port: int) -> None:
        ports.append(port)
        settings.OUTGOING_ALLOW = ",".join(f"127.0.0.1:{p}" for p in ports)
        gateway.cache_clear()

    gateway.cache_clear()
    yield allow
    gateway.cache_clear()
