"""*Save* at the end of a set-up: draft to connection, in one transaction."""

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import connectors, consent, secret_store
from connections.models import Access, Connection, ConnectionDraft, State
from connections.operations.attention import settle_connections
from connections.operations.drafts import (
    could_not_be_reached,
    is_verified,
    lock_to_save,
    require_secrets,
)
from connections.sharing import is_open, set_grants
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
    the service did not answer: such a connection runs nothing and is offered to nobody until it is verified. A type
    that is open to all contributors asks nobody who can use it: ``access``, ``people`` and ``groups`` are as nothing.

    Raises OperationError with every missing part at its field (``name``, ``verify``, ``agree``); the draft then stays.
    Otherwise connection, secrets, consent, grants and audit are written and the draft is gone.
    """
    try:
        with transaction.atomic():
            if draft is not None:
                draft = lock_to_save(draft)
            missing = still_missing(draft, agreed=agreed)
            if draft is not None:
                require_secrets(draft)
            if unverified and draft is not None and could_not_be_reached(draft):
                missing.pop("verify", None)
            if draft is not None and is_taken(name, draft.type_key):
                missing["name"] = name_taken()
            if draft is None or missing:
                raise not_saved(missing)
            return _create(draft, name, access, people, groups, wording_hash, actor)
    except IntegrityError:
        raise not_saved({"name": name_taken()}) from None


def still_missing(draft: ConnectionDraft | None, *, agreed: bool) -> dict[str, str]:
    """What keeps a set-up from being saved, besides the form itself: ``verify`` and ``agree`` with a sentence each."""
    missing = {}
    if draft is None or not is_verified(draft):
        missing["verify"] = verify_first()
    if not agreed:
        missing["agree"] = agree_first()
    return missing


def not_saved(fields: Mapping[str, str]) -> OperationError:
    """The refusal of *Save*, with what is missing at its field."""
    return OperationError(_("The connection is not saved yet."), fields=fields)


def verify_first() -> str:
    """What is said at *Verify*."""
    return _("Verify the connection first, with exactly what you want to save.")


def agree_first() -> str:
    """What is said at *I agree*."""
    return _("Read the text and agree to it.")


def name_taken() -> str:
    """What is said at a name that another connection of the type has."""
    return _("A connection of this type already has this name. Choose another one.")


def is_taken(name: str, type_key: str, *, except_for: Connection | None = None) -> bool:
    """Whether a connection of the type, other than this one, has the name."""
    same_type = Connection.objects.filter(type_key=type_key)
    others = same_type.exclude(pk=except_for.pk) if except_for else same_type
    return others.filter(name_key=name_key(name)).exists()


def current_wording(type_key: str, settings: Mapping[str, str]) -> consent.Wording:
    """The privacy text for the target of these settings, as it is now."""
    connector = connectors.get(type_key)
    assert connector is not None
    return consent.wording(connector, connector.consent_target(settings))


def require_shown(wording: consent.Wording, wording_hash: str) -> None:
    """Refuse *Save* when the text above *I agree*, of which this is the hash, was another one."""
    if wording.hash != wording_hash:
        raise not_saved({"agree": _("The text has changed since you agreed. Read it and agree again.")})


def _create(
    draft: ConnectionDraft,
    name: str,
    access: Access,
    people: Sequence[User],
    groups: Sequence[Group],
    wording_hash: str,
    actor: User,
) -> Connection:
    shown = current_wording(draft.type_key, draft.settings)
    require_shown(shown, wording_hash)
    open_to_all = is_open(draft.type_key)
    if open_to_all:
        access = Access.ADMINISTRATORS
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
        access=(Access.CONTRIBUTORS if open_to_all else access).value,
        people=[str(person) for person in people],
        groups=[group.name for group in groups],
        verified_at=timezone.localtime(connection.verified_at).isoformat() if connection.verified_at else "",
    )
    # what a check of a Key Vault found out since the verification
    if settle_connections([connection.pk]):
        connection.refresh_from_db(fields=["state", "state_cause", "state_code"])
    return connection
