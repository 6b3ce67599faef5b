"""The way out, against a server of our own: only listed hosts, only https, no more than a limit, nothing ambient."""

import gzip
import socket
import time

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.core.rest import HttpRequest

from connections.connectors.errors import ConnectorError
from connections.gateway import OutgoingGateway
from connections.key_vault import transport
from connections.key_vault.transport import Outgoing
from tests.key_vault import odd_azure
from tests.key_vault.odd_azure import HOST, OddAzure, Reply


@pytest.fixture
def odd(tmp_path):
    with odd_azure.running(tmp_path) as running:
        running.replies["challenge"] = Reply(body={"hello": "there"})
        yield running


def get(by: OddAzure | Outgoing, url: str = f"https://{HOST}/", *, hosts=(HOST,), endpoints=(), **options):
    """What the address answers: on the way to the server, or on this way out."""
    outgoing = by.outgoing if isinstance(by, OddAzure) else by
    with outgoing.transport(hosts, endpoints) as way:
        return way.send(HttpRequest("GET", url), **options)


def test_a_listed_host_is_reached_through_the_gateway_and_by_its_name(odd):
    answer = get(odd)
    assert answer.json() == {"hello": "there"}
    assert odd.gateway.asked == [(HOST, 443)]
    assert odd.seen[0][0] == HOST


@pytest.mark.parametrize(
    "url",
    [
        "https://contoso.example/",
        f"http://{HOST}/",
        f"https://{HOST}:8443/",
        f"https://{HOST}@contoso.example/",
        f"https://user@{HOST}/",
        f"https://{HOST}.contoso.example/",
        "http://169.254.169.254/metadata",
        "https://login.microsoftonline.com/",
    ],
)
def test_nothing_else_is_reached(odd, url):
    with pytest.raises(ConnectorError) as refused:
        get(odd, url)
    assert refused.value.code == "vault_unreachable"
    assert odd.gateway.asked == []


def test_an_address_inside_the_network_is_refused_as_any_other_is():
    class Inside(OutgoingGateway):
        def connect(self, host, port, *, timeout):
            return super().connect("10.0.0.5", port, timeout=timeout)

    with pytest.raises(ConnectorError) as refused:
        get(Outgoing(Inside()))
    assert refused.value.code == "vault_address_refused"


def test_a_name_that_nobody_has(monkeypatch):
    def unknown(*args, **more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectorError) as refused:
        get(Outgoing(OutgoingGateway()))
    assert refused.value.code == "vault_name_unknown"


def test_a_certificate_that_nobody_vouches_for(odd):
    with pytest.raises(ServiceRequestError, match="certificate verify failed"):
        get(Outgoing(odd.gateway))
    assert odd.seen == []


def test_a_certificate_of_another_host(odd):
    other = "odd-kv.other.azure.net"
    with pytest.raises(ServiceRequestError, match="certificate verify failed"):
        get(odd, f"https://{other}/", hosts=[other])
    assert odd.seen == []


def test_what_a_caller_says_of_certificates_and_proxies_does_not_count(odd):
    with pytest.raises(ServiceRequestError, match="certificate verify failed"):
        get(Outgoing(odd.gateway), connection_verify=False)
    get(odd, proxies={"https": "http://127.0.0.1:1"})


def test_nothing_of_the_environment_is_used(odd, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert get(odd).status_code == 200
    assert odd.seen[0][2] is False  # no Authorization


def test_a_redirect_is_not_followed(odd):
    odd.replies["challenge"] = Reply(status=307, headers={"Location": f"https://{HOST}/elsewhere"})
    with pytest.raises(ConnectorError) as refused:
        get(odd)
    assert "elsewhere" in refused.value.detail
    assert len(odd.seen) == 1


def test_no_cookie_is_kept(odd):
    odd.replies["challenge"] = Reply(body={}, headers={"Set-Cookie": "a=b; Secure"})
    with odd.outgoing.transport([HOST]) as way:
        way.send(HttpRequest("GET", f"https://{HOST}/"))
        assert list(way.session.cookies) == []


def test_an_answer_has_a_limit(odd):
    odd.replies["challenge"] = Reply(body=b"x" * (transport.MAX_ANSWER + 1))
    with pytest.raises(ConnectorError, match="could not be reached") as refused:
        get(odd)
    assert "10 MB" in refused.value.detail


def test_the_limit_holds_after_decompression(odd):
    body = gzip.compress(b"0" * (transport.MAX_ANSWER + 1))
    assert len(body) < 100_000
    odd.replies["challenge"] = Reply(body=body, headers={"Content-Encoding": "gzip"})
    with pytest.raises(ConnectorError) as refused:
        get(odd)
    assert "10 MB" in refused.value.detail


def test_a_compressed_answer_is_read(odd):
    odd.replies["challenge"] = Reply(body=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})
    assert get(odd).json() == {"a": 1}


def test_an_answer_that_breaks_off(odd):
    odd.replies["challenge"] = Reply(body=b"{", length=100)
    with pytest.raises(ConnectorError) as refused:
        get(odd)
    assert "broke off" in refused.value.detail


def test_an_answer_that_drips_ends_with_the_time_there_is(odd):
    odd.replies["challenge"] = Reply(body=b"x" * 1000, pause=0.05)
    started = time.monotonic()
    with pytest.raises(ConnectorError) as refused, transport.within(0.5):
        get(odd)
    assert "too long" in refused.value.detail
    assert time.monotonic() - started < 2


def test_there_is_no_time_left(odd):
    with pytest.raises(ConnectorError), transport.within(0):
        get(odd)
    assert odd.seen == []


def test_within_another_the_earlier_end_counts():
    with transport.within(5):
        with transport.within(60):
            assert transport.left() <= 5
        with transport.within(1):
            assert transport.left() <= 1
        assert transport.left() > 4
    assert transport.left() == transport.CALL_SECONDS


def test_the_file_of_authorities_cannot_be_read(odd, tmp_path):
    with pytest.raises(ConnectorError) as refused:
        get(Outgoing(odd.gateway, "", str(tmp_path / "none.pem")))
    assert "OUTGOING_CA_FILE" in refused.value.detail


def test_endpoints_are_of_this_machine_or_its_link_only(odd):
    for far in (
        "http://198.51.100.7",
        "http://contoso.example",
        "https://169.254.169.254",
        "http://10.0.0.1:80",
    ):
        with pytest.raises(ConnectorError):
            get(odd, f"{far}/msi/token", endpoints=[far])
    assert odd.gateway.asked == []
