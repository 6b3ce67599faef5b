"""*Save* at the end of a set-up: draft to connection, in one transaction."""

from collections.abc import Sequence

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import connectors, consent, secret_store
from connections.models import Access, Connection, ConnectionDraft, State
from connections.operations.drafts import could_not_be_reached, is_verified, require_secrets
from connections.sharing import set_grants
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.names import name_key


def create_connection(
    *,
    draft: ConnectionDraft | None,
    name: str,
    access: Access,
    people: Sequence[User] = (),
    groups: Sequence[Group] = (),
    agreed: bool,
    wording_hash: str,
    actor: User,
    unverified: bool = False,
) -> Connection:
    """Save what the draft holds as a connection, verified and agreed to.

    ``name`` is cleaned; ``wording_hash`` is that of the text that was shown. ``unverified`` keeps the work although
    the service did not answer: such a connection runs nothing and is offered to nobody until it is verified.

    Raises OperationError with every missing part at its field (``name``, ``verify``, ``agree``); the draft then stays.
    Otherwise connection, secrets, consent, grants and audit are written and the draft is gone.
    """
    try:
        with transaction.atomic():
            if draft is not None:
                draft = ConnectionDraft.objects.select_for_update().filter(pk=draft.pk).first()
            missing = still_missing(draft, agreed=agreed)
            if draft is not None:
                require_secrets(draft)
            if unverified and draft is not None and could_not_be_reached(draft):
                missing.pop("verify", None)
            if draft is not None and _is_taken(name, draft.type_key):
                missing["name"] = _("A connection of this type already has this name. Choose another one.")
            if draft is None or missing:
                raise OperationError(_("The connection is not saved yet."), fields=missing)
            return _create(draft, name, access, people, groups, wording_hash, actor)
    except IntegrityError:
        raise OperationError(
            _("The connection is not saved yet."),
            fields={"name": _("A connection of this type already has this name. Choose another one.")},
        ) from None


def still_missing(draft: ConnectionDraft | None, *, agreed: bool) -> dict[str, str]:
    """What keeps a set-up from being saved, besides the form itself: ``verify`` and ``agree`` with a sentence each."""
    missing = {}
    if draft is None or not is_verified(draft):
        missing["verify"] = _("Verify the connection first, with exactly what you want to save.")
    if not agreed:
        missing["agree"] = _("Read the text and agree to it.")
    return missing


def _is_taken(name: str, type_key: str) -> bool:
    return Connection.objects.filter(name_key=name_key(name), type_key=type_key).exists()


def _create(
    draft: ConnectionDraft,
    name: str,
    access: Access,
    people: Sequence[User],
    groups: Sequence[Group],
    wording_hash: str,
    actor: User,
) -> Connection:
    connector = connectors.get(draft.type_key)
    assert connector is not None
    shown = consent.wording(connector, connector.consent_target(draft.settings))
    if shown.hash != wording_hash:
        raise OperationError(
            _("The connection is not saved yet."),
            fields={"agree": _("The text has changed since you agreed. Read it and agree again.")},
        )
    verified = is_verified(draft)
    connection = Connection(
        name=name,
        name_key=name_key(name),
        type_key=draft.type_key,
        settings=draft.settings,
        target_digest=draft.target_digest,
        host_key=draft.host_key_trusted,
        state=State.READY if verified else State.NOT_VERIFIED,
        verified_at=draft.verified_at if verified else None,
        verified_by=actor if verified else None,
        verification=draft.verification,
        access=access,
        created_by=actor,
        updated_by=actor,
    )
    if access != Access.SPECIFIC:
        people, groups = (), ()
    connection.consent = consent.give(connection=connection, person=actor, shown=shown)
    connection.save()
    secret_store.move(draft=draft, connection=connection)
    set_grants(connection, access, people, groups)
    draft.delete()
    audit.record(
        "connection.created",
        actor=actor,
        target=connection,
        draft=str(draft.uuid),
        type=connection.type_key,
        target_digest=connection.target_digest,
        consent=str(connection.consent.uuid),
        access=access.value,
        people=[str(person) for person in people],
        groups=[group.name for group in groups],
        verified_at=timezone.localtime(connection.verified_at).isoformat() if connection.verified_at else "",
    )
    return connection
