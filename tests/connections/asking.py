"""What tests of requests for access share: a reason, the addresses, and how to read the answers."""

import html
from typing import Any

from django.urls import reverse

from connections.models import AccessRequest
from connections_portal.models import AuditEntry

REASON = "The agency needs the loyalty segment for the autumn mailing."
LIST, ASK, ALL = "/data/requests/", "/data/requests/new/", "/settings/connections/requests/"
HTMX = {"HX-Request": "true"}


def grant_url(asked: AccessRequest) -> str:
    return reverse("connections:grant", args=[asked.uuid])


def decline_url(asked: AccessRequest) -> str:
    return reverse("connections:decline", args=[asked.uuid])


def text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def audited(action: str) -> AuditEntry:
    return AuditEntry.objects.get(action=action)
