"""Roles as data: what each is given. A person has exactly one.

``sync`` writes groups and permissions and hangs on ``post_migrate``. Object rights (who may use which
connection) are not here: see ``connections.permissions``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from connections_portal.errors import OperationError

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from connections_portal.models import User


class LastAdministrator(OperationError):
    """Nobody would administer the portal any more."""

    def __init__(self) -> None:
        super().__init__(str(_("Nobody would be an administrator any more. Make somebody else one first.")))


class Role(StrEnum):
    """The four roles; the value is the name of the Django group."""

    ADMINISTRATOR = "Administrator"
    CONTRIBUTOR = "Contributor"
    VIEWER = "Viewer"
    SUPPORT = "Support"


LABELS = {
    Role.ADMINISTRATOR: _("Administrator"),
    Role.CONTRIBUTOR: _("Contributor"),
    Role.VIEWER: _("Viewer"),
    Role.SUPPORT: _("Support"),
}

_EXPORTS = ("exports.add_export", "exports.change_export", "exports.delete_export", "exports.view_export")
_CONNECTIONS = (
    "connections.add_connection",
    "connections.change_connection",
    "connections.delete_connection",
    "connections.view_connection",
)
_ENRICHMENTS = (
    "enrichments.add_enrichment",
    "enrichments.change_enrichment",
    "enrichments.delete_enrichment",
    "enrichments.view_enrichment",
)
# Support reads in the Django admin; sessions, secrets and drafts are in no list at all.
_SUPPORT = (
    "connections_portal.view_user",
    "connections_portal.view_auditentry",
    "connections_portal.view_refresh",
    "connections.view_connection",
    "connections.view_consent",
    "connections.view_connectionuserobjectpermission",
    "connections.view_connectiongroupobjectpermission",
    "connections.view_removedconnection",
    "connections.view_accessrequest",
    "connections.view_keyvault",
    "connections.view_vaultnotice",
    "enrichments.view_enrichment",
    "enrichments.view_enrichmentrun",
    "enrichments.view_enrichmentattempt",
    "exports.view_export",
    "exports.view_exportitem",
    "exports.view_exportschedule",
    "exports.view_exportrun",
    "exports.view_exporttask",
    "exports.view_exportfile",
    "exports.view_exportattempt",
)

PERMISSIONS: dict[Role, tuple[str, ...]] = {
    Role.ADMINISTRATOR: (*_CONNECTIONS, *_EXPORTS, *_ENRICHMENTS, "connections_portal.view_auditentry"),
    Role.CONTRIBUTOR: (*_EXPORTS, *_ENRICHMENTS),
    Role.VIEWER: ("exports.view_export", "enrichments.view_enrichment"),
    Role.SUPPORT: _SUPPORT,
}


def sync(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the four groups and give each exactly its permissions. Safe to call at any time.

    Permissions that do not exist yet (their app migrates later) are left for the next call.
    """
    known = {
        f"{p.content_type.app_label}.{p.codename}": p
        for p in Permission.objects.using(using).select_related("content_type")
    }
    for role, names in PERMISSIONS.items():
        group, _created = Group.objects.using(using).get_or_create(name=role.value)
        group.permissions.set([known[name] for name in names if name in known])


def role_of(user: "User") -> Role | None:
    """The person's role; a superuser counts as administrator, somebody without any role gets None."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMINISTRATOR
    # one query per request and person: the object lives as long as the request
    cached: Role | bool | None = getattr(user, "_portal_role", False)
    if cached is False:
        names = set(user.groups.values_list("name", flat=True))
        cached = next((role for role in Role if role.value in names), None)
        user._portal_role = cached  # type: ignore[attr-defined]
    return cached  # type: ignore[return-value]


def is_administrator(user: "User") -> bool:
    """Whether the person administers connections."""
    return role_of(user) is Role.ADMINISTRATOR


def is_contributor(user: "User") -> bool:
    """Whether the person builds exports on what is shared with them."""
    return role_of(user) is Role.CONTRIBUTOR


def is_viewer(user: "User") -> bool:
    """Whether the person may look and no more."""
    return role_of(user) is Role.VIEWER


def administrators() -> "QuerySet[User]":
    """Everybody who administers the portal now."""
    from connections_portal.models import User

    group = Group.objects.filter(name=Role.ADMINISTRATOR)
    return User.objects.filter(is_active=True).filter(Q(is_superuser=True) | Q(groups__in=group)).distinct()


@contextmanager
def keeping_an_administrator() -> Iterator[None]:
    """A transaction in which roles or people may be taken away, one at a time in the whole portal (rule S15).

    Raises LastAdministrator, and undoes everything, if there was an administrator before and there is none after.
    """
    with transaction.atomic():
        # the one row that everybody who does this locks; what others did is seen by the questions that follow
        Group.objects.select_for_update().filter(name=Role.ADMINISTRATOR).first()
        had_one = administrators().exists()
        yield
        if had_one and not administrators().exists():
            raise LastAdministrator


def assign(*, user: "User", role: Role) -> None:
    """Give the person this role and no other; ``is_staff`` belongs to Support. Raises LastAdministrator."""
    with keeping_an_administrator():
        groups = Group.objects.filter(name__in=[r.value for r in Role])
        user.groups.remove(*groups)
        user.groups.add(Group.objects.get(name=role.value))
        user.is_staff = role is Role.SUPPORT or user.is_superuser
        user.save(update_fields=["is_staff"])
        if hasattr(user, "_portal_role"):
            del user._portal_role
