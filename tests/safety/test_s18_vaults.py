"""S18: a vault is reached through the portal's one way out, which looks at where its name leads."""

import socket

import pytest
from pytest_django import Settings

from connections_portal.models import RunState, WhoActs
from tests.key_vault.double import Double, LinkVault, forget_vaults
from tests.key_vault.using import NAME, read_from
from tests.runs.helpers import Delivery, carry, start


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "169.254.169.254", "168.63.129.16"])
def test_a_vault_whose_name_leads_inside_is_not_reached(
    delivery: Delivery,
    double: Double,
    linked_vault: LinkVault,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
) -> None:
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    settings.OUTGOING_PROXY = ""
    forget_vaults()
    resolve = socket.getaddrinfo

    def inside(host: str, port: int, *rest: object, **more: object) -> object:
        if host in (double.vault.host, "login.microsoftonline.com"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
        return resolve(host, port, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", inside)
    run = start(delivery.export())
    assert carry(run) == "failed"
    assert (run.state, run.code) == (RunState.FAILED, "vault_address_refused")
    assert run.who_acts == WhoActs.ADMINISTRATOR
    assert delivery.box.seen.requests == []
    assert double.cloud.requests(host=double.vault.host) == []
