"""S7: the portal's own identity goes to no vault that neither operator nor directory names, nor does a run's."""

import pytest
from pytest_django import Settings

from connections.models import State
from connections_portal.models import WhoActs
from tests.key_vault.double import Double, LinkVault, forget_vaults
from tests.key_vault.using import NAME, read_from, reads
from tests.runs.helpers import Delivery, carry, start


@pytest.mark.parametrize("listed", [True, False])
def test_a_vault_that_is_not_the_operators_any_more_gets_no_token(
    delivery: Delivery, double: Double, linked_vault: LinkVault, settings: Settings, listed: bool
) -> None:
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    # linked while the operator named it; now only the directory could
    settings.KEY_VAULT_HOSTS = []
    double.vault.listed = listed
    forget_vaults()
    run = start(delivery.export())
    assert carry(run) == ("successful" if listed else "failed"), (run.code, run.detail)
    if not listed:
        assert (run.code, run.who_acts) == ("vault_identity_not_for_host", WhoActs.ADMINISTRATOR)
        assert double.cloud.requests(host=double.vault.host) == []
        assert reads(double) == []
        delivery.connection.refresh_from_db()
        assert delivery.connection.state == State.NEEDS_ATTENTION


def test_a_proxy_of_the_surroundings_is_not_asked(
    delivery: Delivery, double: Double, linked_vault: LinkVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "/nonexistent/authorities.pem")
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    run = start(delivery.export())
    assert carry(run) == "successful", (run.code, run.detail)
