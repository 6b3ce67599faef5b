"""Who may do what with an enrichment.

Administrators and contributors create, edit, run, activate, deactivate and delete every enrichment; viewers look.
Connections for enrichments are open to both roles, so that no single one decides.
"""

from django.utils.translation import gettext as _

from connections_portal import roles
from connections_portal.errors import NotAllowed
from connections_portal.models import User
from connections_portal.roles import Role

VIEWING_ROLES = (Role.ADMINISTRATOR, Role.CONTRIBUTOR, Role.VIEWER)
EDITING_ROLES = (Role.ADMINISTRATOR, Role.CONTRIBUTOR)


def may_view(user: User) -> bool:
    """Whether the person sees enrichments and their results."""
    return roles.role_of(user) in VIEWING_ROLES


def may_edit(user: User) -> bool:
    """Whether the person creates, changes and runs enrichments."""
    return roles.role_of(user) in EDITING_ROLES


def require_edit(user: User) -> None:
    """Raise NotAllowed unless the person may change enrichments."""
    if not may_edit(user):
        raise NotAllowed(_("You can look at enrichments and not change them."))
