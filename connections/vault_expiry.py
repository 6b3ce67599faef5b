"""Connections whose secrets in a Key Vault expire soon: a hint, for as long as they can still be used."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from connections.models import ConnectionSecret
from connections.vault_states import EXPIRING


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """The secret of a connection that expires first: its name, its vault's name, when, and whether one version of it
    is used whatever comes after.
    """

    secret: str
    vault: str
    at: dt.datetime
    pinned: bool

    @property
    def short(self) -> str:
        """For a list: when, in the reader's time zone."""
        return _("A secret expires on %(date)s") % {"date": self._date}

    @property
    def said(self) -> str:
        """Which one, and when; for administrators alone."""
        return _('The secret "%(secret)s" in the Key Vault "%(vault)s" expires on %(date)s.') % {
            "secret": self.secret,
            "vault": self.vault,
            "date": self._date,
        }

    @property
    def long(self) -> str:
        """For the connection's own page: also what to do."""
        if self.pinned:
            return (
                f"{self.said} {_('A fixed version of it is used: choose a newer one, or always the latest.')}"
            )
        return (
            f"{self.said} {_('Give it a new version in Azure: the portal reads the latest one by itself.')}"
        )

    @property
    def _date(self) -> str:
        return formats.date_format(timezone.localtime(self.at), "j F Y, H:i")


def expires_soon() -> Exists:
    """Whether a connection uses a secret that expires soon, as a condition on connections."""
    return Exists(_of_connection())


def first_expiry() -> Subquery:
    """When the first of these expires, as a column to order connections by."""
    return Subquery(
        _of_connection().order_by("vault_secret__expires_at").values("vault_secret__expires_at")[:1]
    )


def _of_connection() -> QuerySet[ConnectionSecret]:
    return ConnectionSecret.objects.filter(connection=OuterRef("pk"), vault_secret__state__in=EXPIRING)


def expiring(connection_ids: Iterable[int]) -> dict[int, Expiry]:
    """What expires first of each of these connections, by one query; those of which nothing does are absent."""
    secrets = ConnectionSecret.objects.filter(
        connection__in=list(connection_ids), vault_secret__state__in=EXPIRING
    ).select_related("vault_secret__vault")
    found: dict[int, Expiry] = {}
    for row in secrets.order_by("vault_secret__expires_at", "pk"):
        secret = row.vault_secret
        if secret is None or secret.expires_at is None or row.connection_id is None:
            continue
        found.setdefault(
            row.connection_id,
            Expiry(
                secret=secret.name,
                vault=secret.vault.name,
                at=secret.expires_at,
                pinned=bool(secret.pinned),
            ),
        )
    return found
