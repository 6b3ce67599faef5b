"""What tests of checks use: a vault of the double with one secret in use, a look at both, and what came of it.

The fixtures are known through the conftest beside this file.
"""

from collections.abc import Callable

import pytest
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from connections.models import Connection, KeyVault, VaultNotice, VaultSecret
from connections.operations.vault_checks import look_at
from connections.operations.vault_health import DOUBT
from connections.vault_tasks import check
from connections_portal.models import User
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.health_data import connect, make_secret

SECRET = "portal-crm"

# Looks at the vault; what came of it, and the state of the secret.
Look = Callable[[], str]


@pytest.fixture
def vault(double: Double, linked_vault: LinkVault) -> KeyVault:
    double.vault.put(SECRET, "value-of-the-secret")
    return linked_vault()


@pytest.fixture
def secret(vault: KeyVault, admin: User) -> VaultSecret:
    secret = make_secret(vault, SECRET)
    connect(secret, actor=admin)
    return secret


@pytest.fixture
def look(vault: KeyVault, secret: VaultSecret) -> Look:
    """Looks at the vault and says how it and its secret are; both objects are fresh then."""

    def build() -> str:
        came = look_at(vault_id=vault.pk)
        vault.refresh_from_db()
        secret.refresh_from_db()
        return f"{came}, {secret.state}"

    return build


def told() -> list[str]:
    return [
        f"{n.secret_name or n.vault_name}: {n.before} -> {n.after}"
        for n in VaultNotice.objects.order_by("pk")
    ]


def waiting() -> list[DBTaskResult]:
    ready = DBTaskResult.objects.filter(task_path=check.module_path, status=TaskResultStatus.READY)
    return list(ready.order_by("run_after"))


def pass_doubt() -> None:
    """Two minutes later, as far as the doubted vault is concerned."""
    KeyVault.objects.update(checked_at=timezone.now() - DOUBT)


def state_of_connection() -> tuple[str, str]:
    return Connection.objects.values_list("state", "state_code").get()
