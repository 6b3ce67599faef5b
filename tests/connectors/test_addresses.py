"""Rule S19: what people type for host, user and folder has one form, or is refused at its field."""

import pytest

from connections.connectors.addresses import Address, parse_address, without_password
from connections.connectors.errors import InvalidSettings
from connections.connectors.sftp import Sftp

RIGHT = {"auth_method": "password", "username": "ana", "hostname": "files.example.com", "export_folder": ""}


def errors_of(**changed: str) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as caught:
        Sftp.clean(RIGHT | changed)
    return caught.value.errors


@pytest.mark.parametrize(
    ("typed", "host", "port"),
    [
        ("files.example.com", "files.example.com", "22"),
        (" Files.Example.COM. ", "files.example.com", "22"),
        ("files.example.com:2222", "files.example.com", "2222"),
        ("sftp", "sftp", "22"),
        ("under_score.example", "under_score.example", "22"),
        ("192.0.2.7", "192.0.2.7", "22"),
        ("[2001:DB8::7]:2222", "2001:db8::7", "2222"),
        ("2001:db8:0::7", "2001:db8::7", "22"),
        ("[::1]", "::1", "22"),
        ("bücher.example", "xn--bcher-kva.example", "22"),
        ("sftp://files.example.com", "files.example.com", "22"),
        ("SFTP://files.example.com:22/", "files.example.com", "22"),
    ],
)
def test_host_has_one_form(typed: str, host: str, port: str):
    cleaned = Sftp.clean(RIGHT | {"hostname": typed})
    assert Sftp.target(cleaned) == {"scheme": "sftp", "host": host, "port": port}
    assert cleaned["port"] == port
    assert Sftp.clean(cleaned) == cleaned


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "a b",
        "files.example.com:0",
        "files.example.com:65536",
        "files.example.com:",
        "files.example.com:22x",
        "files.example.com:²",
        "-a.example",
        "a..example",
        "a" * 64 + ".example",
        ("a" * 60 + ".") * 5 + "example",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "256.0.0.1",
        "[127.0.0.1]:22",
        "[::1",
        "[fe80::1%eth0]:22",
        "http://files.example.com",
        "sftp://",
        "sftp://files.example.com?x=1",
        "files.example.com#x",
        "files\u202e.example",
        "files\u200b.example",
        "files.exam\nple",
        "straße.example",
        "user:secret@files.example.com",
        "sftp://user:secret@files.example.com/in",
        "ex%41mple.com",
    ],
)
def test_bad_host_is_refused_at_its_field(typed: str):
    errors = errors_of(hostname=typed)
    assert set(errors) == {"hostname"}
    assert errors["hostname"].endswith(".")
    assert "secret" not in errors["hostname"]


def test_port_is_part_of_what_the_form_shows():
    assert Sftp.clean(RIGHT | {"hostname": "h.example:22"})["hostname"] == "h.example"
    assert Sftp.clean(RIGHT | {"hostname": "h.example:2222"})["hostname"] == "h.example:2222"
    assert Sftp.clean(RIGHT | {"hostname": "[2001:db8::7]:2222"})["hostname"] == "[2001:db8::7]:2222"
    # Host and port as two settings are understood as well; a port typed with the host wins.
    assert Sftp.clean(RIGHT | {"hostname": "h.example", "port": "2222"})["hostname"] == "h.example:2222"
    assert Sftp.clean(RIGHT | {"hostname": "h.example:2200", "port": "2222"})["port"] == "2200"


def test_pasted_address_fills_what_is_empty():
    pasted = {"auth_method": "password", "hostname": "sftp://sandbox@127.0.0.1:2222/Exports/In"}
    assert Sftp.clean(pasted) == {
        "auth_method": "password",
        "username": "sandbox",
        "hostname": "127.0.0.1:2222",
        "port": "2222",
        "export_folder": "exports/in",
    }
    kept = Sftp.clean(pasted | {"username": "ana", "export_folder": "mine"})
    assert (kept["username"], kept["export_folder"]) == ("ana", "mine")


def test_pasted_address_is_decoded_and_then_checked():
    assert parse_address("sftp://an%61@h.example/a%20b") == Address(
        host="h.example", username="ana", folder="a b"
    )
    assert "export_folder" in errors_of(hostname="sftp://h.example/%2e%2e/x")
    assert "username" in errors_of(username="", hostname="sftp://a%00b@h.example")


def test_label_pasted_as_host_gives_the_same_settings():
    for folder in ("", "in/reports", "/data/in"):
        for host in ("h.example", "h.example:2222", "[2001:db8::7]:2222", "2001:db8::7"):
            cleaned = Sftp.clean(RIGHT | {"hostname": host, "export_folder": folder})
            assert Sftp.clean({"username": "ana", "hostname": Sftp.target_label(cleaned)}) == cleaned


def test_address_is_shown_again_without_its_password():
    assert without_password("sftp://ana:secret@h.example/in") == "sftp://ana@h.example/in"
    assert without_password("ana:sec/r@t@h.example") == "ana@h.example"
    assert without_password("h.example:22") == "h.example:22"


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("", ""),
        ("/", ""),
        ("Exports", "exports"),
        ("/Data//In/", "/data/in"),
        ("./in/./x", "in/x"),
        ("Größe", "größe"),
        ("a b/c", "a b/c"),
    ],
)
def test_folder_has_one_form(typed: str, stored: str):
    assert Sftp.clean(RIGHT | {"export_folder": typed})["export_folder"] == stored


@pytest.mark.parametrize(
    "typed", ["../x", "a/../b", "..", "/..", "a\\b", "a\0b", "a\nb", "a\u202eb", "a\u200bb", "x" * 255]
)
def test_bad_folder_is_refused_at_its_field(typed: str):
    assert set(errors_of(export_folder=typed)) == {"export_folder"}


@pytest.mark.parametrize("typed", ["", " ", "x" * 65, "a\nb", "a\u202eb", "a\0"])
def test_bad_user_name_is_refused_at_its_field(typed: str):
    assert set(errors_of(username=typed)) == {"username"}


def test_every_wrong_field_is_named_at_once():
    assert set(errors_of(auth_method="magic", username="", hostname="", export_folder="..")) == {
        "auth_method",
        "username",
        "hostname",
        "export_folder",
    }


@pytest.mark.parametrize("value", ["", "x" * 1025, "a\nb", "a\0b"])
def test_bad_password_is_refused_without_showing_it(value: str):
    with pytest.raises(InvalidSettings) as caught:
        Sftp.clean_secret("password", value, {})
    assert set(caught.value.errors) == {"password"}


def test_password_is_kept_as_typed():
    assert Sftp.clean_secret("password", " pa ss:wörd ", {}) == " pa ss:wörd "
