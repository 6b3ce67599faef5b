import datetime as dt
import re

import pytest

from connections.key_vault import names
from connections.key_vault.base import SecretFacts

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    "typed",
    [
        "https://Contoso-KV.vault.azure.net/",
        "contoso-kv.vault.azure.net",
        " https://contoso-kv.vault.azure.net:443 ",
        "HTTPS://contoso-kv.VAULT.azure.net",
        "contoso-kv",
    ],
)
def test_a_vault_is_known_by_one_host(typed):
    assert names.clean_host(typed, cloud="public") == "contoso-kv.vault.azure.net"


def test_each_cloud_has_vaults_of_its_own():
    assert names.clean_host("contoso-kv", cloud="china") == "contoso-kv.vault.azure.cn"
    with pytest.raises(ValueError, match=names.BAD_SUFFIX):
        names.clean_host("https://contoso-kv.vault.azure.net", cloud="government")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", names.BAD_HOST),
        ("http://contoso-kv.vault.azure.net", names.BAD_SCHEME),
        ("ftp://contoso-kv.vault.azure.net", names.BAD_SCHEME),
        ("https://contoso.example", names.BAD_SUFFIX),
        ("https://contoso-kv.vault.azure.net.contoso.example", names.BAD_SUFFIX),
        ("https://contoso-kvvault.azure.net", names.BAD_SUFFIX),
        ("https://contoso-kv.privatelink.vaultcore.azure.net", names.BAD_SUFFIX),
        ("https://contoso-kv.managedhsm.azure.net", names.BAD_SUFFIX),
        ("https://a.b.vault.azure.net", names.BAD_HOST),
        ("https://.vault.azure.net", names.BAD_HOST),
        ("vault.azure.net", names.BAD_SUFFIX),
        ("https://contoso-kv.vault.azure.net@contoso.example/", names.BAD_HOST),
        ("https://user:pw@contoso-kv.vault.azure.net", names.BAD_HOST),
        ("https://contoso.example\\.vault.azure.net", names.BAD_HOST),
        ("https://contoso-kv.vault.azure.net:8443", names.BAD_HOST),
        ("https://contoso-kv.vault.azure.net:x", names.BAD_HOST),
        ("https://contoso-kv.vault.azure.net/secrets/crm", names.BAD_PATH),
        ("https://contoso-kv.vault.azure.net?x=1", names.BAD_PATH),
        ("https://contoso-kv.vault.azure.net/..", names.BAD_PATH),
        ("https://cöntoso.vault.azure.net", names.BAD_HOST),
        ("https://contoso\u200b-kv.vault.azure.net", names.BAD_HOST),
        ("https://contoso kv.vault.azure.net", names.BAD_HOST),
        ("https://contoso--kv.vault.azure.net", names.BAD_HOST),
        ("https://1contoso.vault.azure.net", names.BAD_HOST),
        ("https://[::1]", names.BAD_HOST),
        ("https://[", names.BAD_HOST),
        ("127.0.0.1", names.BAD_SUFFIX),
        ("kv", names.BAD_HOST),
    ],
)
def test_what_is_no_vault_is_refused(typed, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        names.clean_host(typed, cloud="public")


@pytest.mark.parametrize("name", ["crm-password", "0", "A" * 127, "-"])
def test_names_of_secrets(name):
    assert names.clean_secret_name(f" {name} ") == name


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", "a b", "a\nb", "crm_password", "ä", "A" * 128, "a?b", "a%2fb", "a#"]
)
def test_names_with_anything_else_are_refused(name):
    with pytest.raises(ValueError, match=names.BAD_SECRET):
        names.clean_secret_name(name)


def test_versions():
    assert names.clean_version("") == ""
    assert names.clean_version(f" {'AB' * 16} ") == "ab" * 16
    for wrong in ("latest", "ab" * 15, "ab" * 17, "gg" * 16, "../" + "a" * 29):
        with pytest.raises(ValueError, match=names.BAD_VERSION):
            names.clean_version(wrong)


def facts(name="portal-crm", **tags):
    return SecretFacts(name=name, tags=tags)


def test_a_prefix_is_compared_as_the_service_compares_names():
    assert names.allows("prefix", "portal-", facts("PORTAL-crm"))
    assert not names.allows("prefix", "portal-", facts("crm-portal-"))


def test_a_tag_is_a_name_or_a_name_with_a_value():
    assert names.allows("tag", "portal", facts(Portal="yes"))
    assert names.allows("tag", "portal=yes", facts(portal="yes"))
    assert not names.allows("tag", "portal=yes", facts(portal="no"))
    assert not names.allows("tag", "portal", facts(other="portal"))


def test_all_is_an_explicit_choice_and_anything_unknown_lets_nothing():
    assert names.allows("all", "", facts())
    assert not names.allows("prefix", "", facts())
    assert not names.allows("tag", "", facts(**{"": "x"}))
    assert not names.allows("", "", facts())
    assert not names.allows("everything", "x", facts())


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("", True),
        ("  ", True),
        ("sftp.contoso.example", True),
        ("other.example, SFTP.Contoso.example.", True),
        ("other.example sftp.contoso.example", True),
        ("other.example", False),
        ("contoso.example", False),
        (",", False),
    ],
)
def test_a_tag_names_the_targets_a_secret_is_for(tag, fits):
    assert names.for_target(tag, "sftp.contoso.example") is fits


def test_the_target_tag_is_found_whatever_its_case():
    assert names.target_tag(SecretFacts(name="a", tags={"Portal-Target": "x.example"})) == "x.example"
    assert names.target_tag(SecretFacts(name="a")) == ""


def test_when_a_secret_may_be_used():
    assert names.usable(SecretFacts(name="a"), NOW) == ""
    assert names.usable(SecretFacts(name="a", expires_at=NOW + HOUR, not_before=NOW - HOUR), NOW) == ""
    assert names.usable(SecretFacts(name="a", expires_at=NOW), NOW) == "vault_secret_expired"
    assert names.usable(SecretFacts(name="a", not_before=NOW + HOUR), NOW) == "vault_secret_not_yet_valid"
    assert names.usable(SecretFacts(name="a", enabled=False, expires_at=NOW), NOW) == "vault_secret_disabled"
