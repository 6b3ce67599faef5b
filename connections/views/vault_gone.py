"""What is posted to a Key Vault that somebody unlinked meanwhile."""

import functools
from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from connections_portal.models import AuditEntry
from connections_portal.web import PortalRequest, go_to

View = Callable[[PortalRequest, UUID], HttpResponse]


def unless_unlinked(view: View) -> View:
    """Lead back to the list, with a line that says so, where the page's vault was unlinked before or meanwhile."""

    @functools.wraps(view)
    def answered(request: PortalRequest, uuid: UUID) -> HttpResponse:
        try:
            return view(request, uuid)
        except Http404:
            unlinked = AuditEntry.objects.filter(action="vault.unlinked", object_uuid=uuid)
            if request.method != "POST" or not unlinked.exists():
                raise
        messages.info(request, _("The vault was unlinked meanwhile."))
        return go_to(request, reverse("key_vault:list"))

    return answered
