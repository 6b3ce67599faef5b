"""What is said by e-mail about requests for access and about Key Vaults.

Written by the worker, for the reader's role as it is then.
"""

from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import vault_notices
from connections.models import AccessRequest, VaultNotice
from connections.types import type_name
from connections_portal import local_times, roles
from connections_portal.mail import Letter
from connections_portal.models import User


def requested(uuid: UUID, recipient: User) -> Letter | None:
    """For an administrator: somebody asks. Nothing once it is answered or withdrawn."""
    request = AccessRequest.objects.select_related("person").filter(uuid=uuid).first()
    if request is None or request.state != AccessRequest.State.OPEN or not roles.is_administrator(recipient):
        return None
    values = {"person": request.person, "type": type_name(request.type_key)}
    return Letter(
        subject=_("%(person)s asks for a connection: %(type)s") % values,
        paragraphs=(
            _("%(person)s would like to use a connection of the type %(type)s and gives this reason:")
            % values,
            request.reason,
            _("Share a connection with them, or decline with a word:"),
        ),
        path=reverse("connections:requests"),
    )


def answered(uuid: UUID, recipient: User) -> Letter | None:
    """For whoever asked: what an administrator decided."""
    request = AccessRequest.objects.filter(uuid=uuid, person=recipient).first()
    if request is None:
        return None
    values = {
        "who": request.answered_by_label,
        "name": request.connection_name,
        "type": type_name(request.type_key),
    }
    match AccessRequest.State(request.state):
        case AccessRequest.State.GRANTED:
            subject = _("A connection was shared with you: %(name)s") % values
            said = _(
                "%(who)s has answered your request (%(type)s). You can use %(name)s in your exports now."
            )
        case AccessRequest.State.DECLINED:
            subject = _("Your request was declined: %(type)s") % values
            said = _("%(who)s has declined your request (%(type)s).")
        case _other:
            return None
    return Letter(
        subject=subject,
        paragraphs=tuple(filter(None, (said % values, request.answer))),
        path=reverse("requests:list"),
    )


def of_vault(uuid: UUID, recipient: User) -> Letter | None:
    """For an administrator: what happened to a Key Vault or one of its secrets. Nothing once it is otherwise again."""
    notice = VaultNotice.objects.filter(uuid=uuid).first()
    if notice is None or not roles.is_administrator(recipient) or not vault_notices.holds(notice):
        return None
    with timezone.override(local_times.zone_of(recipient.time_zone)):
        said = vault_notices.text_of(notice)
        return Letter(
            subject=said,
            paragraphs=(said, *vault_notices.more_about(notice)),
            path=reverse("key_vault:list"),
        )
