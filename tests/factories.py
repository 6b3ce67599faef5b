"""Objects for tests, made by the product's own operations wherever there is one."""

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import Group
from django.utils import timezone

from connections import connectors, consent
from connections.models import Access, Connection, ConnectionDraft
from connections.operations.create import create_connection
from connections.operations.drafts import keep_draft, verified_digest
from connections_portal.models import User

SETTINGS = {
    "auth_method": "password",
    "username": "portal",
    "hostname": "files.example.com",
    "export_folder": "in",
}
SECRETS = {"password": "a-password-of-no-server"}


def make_draft(
    *,
    actor: User,
    settings: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    host_key: str = "",
    verified: bool = True,
    type_key: str = "sftp",
) -> ConnectionDraft:
    """A draft as after *Verify*; the verification itself is only claimed when ``verified`` is true."""
    connector = connectors.get(type_key)
    assert connector is not None
    draft = keep_draft(
        draft=None,
        type_key=type_key,
        cleaned=connector.clean(SETTINGS if settings is None else settings),
        secrets=SECRETS if secrets is None else secrets,
        form={},
        actor=actor,
    )
    draft.host_key_seen = draft.host_key_trusted = host_key
    if verified:
        draft.verified_digest = verified_digest(draft)
        draft.verified_at = timezone.now()
    draft.save()
    return draft


def make_connection(
    *,
    actor: User,
    name: str = "Newsletter, SFTP EU",
    access: Access = Access.ADMINISTRATORS,
    people: Sequence[User] = (),
    groups: Sequence[Group] = (),
    settings: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    host_key: str = "",
    type_key: str = "sftp",
) -> Connection:
    """A connection saved through the product's own *Save*, ready to use."""
    draft = make_draft(actor=actor, settings=settings, secrets=secrets, host_key=host_key, type_key=type_key)
    connector = connectors.get(type_key)
    assert connector is not None
    return create_connection(
        draft=draft,
        name=name,
        access=access,
        people=people,
        groups=groups,
        agreed=True,
        wording_hash=consent.wording(connector, connector.consent_target(draft.settings)).hash,
        actor=actor,
    )
