"""What is done to connections, and what the model makes of it."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from hypothesis import strategies as st

from connections import connectors, consent
from connections.models import (
    Access,
    Connection,
    RemovedConnection,
)
from connections.operations.drafts import keep_draft, verified_digest
from connections.operations.edit import Agreement, edit_connection
from connections.operations.move import move_dependents
from connections.operations.pause import pause_connection
from connections.operations.remove import (
    Decision,
    Decisions,
    impact_of,
    remove_connection,
)
from connections.operations.restore import restore_connection
from connections.operations.share import AccessWithdrawn, share_connection
from connections.operations.undo_share import undo_share
from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.roles import Role
from connections_portal.undo import Item
from tests.factories import SECRETS, SETTINGS, make_connection
from tests.fixtures import make_person
from tests.sequences.model import (
    CONNECTIONS,
    IMPORT,
    IMPORT_SETTINGS,
    SFTP,
    Model,
    Told,
    grants,
    numbers,
    picked,
    refused_unless,
    rule,
)


class Connections:
    """A portal with an administrator, two contributors and a viewer; so far only its connections."""

    def __init__(self) -> None:
        roles = {
            "lena": Role.ADMINISTRATOR,
            "ana": Role.CONTRIBUTOR,
            "ben": Role.CONTRIBUTOR,
            "tomas": Role.VIEWER,
        }
        self.people: dict[str, User] = {name: make_person(name, role) for name, role in roles.items()}
        self.model, self.made = Model(), 0
        # what could be undone: the last sharing change with the access before it, the last detachment
        self.shared: tuple[Item, frozenset[str]] | None = None
        self.detached: Item | None = None

    def person(self, name: str) -> User:
        return User.objects.get(pk=self.people[name].pk)  # without what an earlier request has looked up

    def next_name(self) -> str:
        self.made += 1
        return f"Thing {self.made}"

    def of_type(self, type_key: str, *, ready: bool = False) -> list[UUID]:
        found = self.model.connections.items()
        return [uuid for uuid, told in found if told.type_key == type_key and (told.ready or not ready)]

    @rule(
        when=lambda self: len(self.model.connections) < CONNECTIONS,
        type_key=st.sampled_from([SFTP, SFTP, IMPORT]),
    )
    def set_up(self, type_key: str) -> None:
        connection = make_connection(
            actor=self.people["lena"],
            name=self.next_name(),
            type_key=type_key,
            settings=SETTINGS if type_key == SFTP else IMPORT_SETTINGS,
        )
        self.model.connections[connection.uuid] = Told(type_key)

    @rule(when=lambda self: self.of_type(SFTP), number=numbers, given=grants, keep=st.booleans())
    def share(self, number: int, given: Any, keep: bool) -> None:
        uuid = picked(self.of_type(SFTP), number)
        connection = Connection.objects.get(uuid=uuid)
        named = given if isinstance(given, frozenset) else frozenset()
        access = {"nobody": Access.ADMINISTRATORS, "all": Access.CONTRIBUTORS}.get(given, Access.SPECIFIC)
        choice: dict[str, Any] = {
            "connection": connection,
            "version": connection.version,
            "access": access,
            "people": [self.people[name] for name in named],
            "keep": keep,
            "actor": self.people["lena"],
        }
        try:
            with transaction.atomic():
                shared = share_connection(**choice)
        except AccessWithdrawn as asked:
            shared = share_connection(**choice, impact=asked.impact.token)
        self.shared = (shared.undo, self.model.connections[uuid].given) if shared.undo else None
        self.model.connections[uuid].given = frozenset({"ana", "ben"}) if given == "all" else named

    @rule(when=lambda self: self.shared)
    def undo_last_share(self) -> None:
        """Whatever was done since: it is undone as a whole, or refused."""
        assert self.shared is not None
        item, given = self.shared
        self.shared = None
        with suppress(OperationError), transaction.atomic():
            undo_share(item=item, actor=self.people["lena"])
            self.model.connections[item.uuid].given = given

    @rule(when=lambda self: self.model.connections, number=numbers)
    def pause_or_resume(self, number: int) -> None:
        uuid = picked(self.model.connections, number)
        connection, lena = Connection.objects.get(uuid=uuid), self.people["lena"]
        told = self.model.connections[uuid]
        if told.ready:
            pause_connection(connection=connection, version=connection.version, actor=lena)
        else:
            self._resume(connection, lena)
        told.ready = not told.ready

    def _resume(self, connection: Connection, actor: User) -> None:
        connector = connectors.get(connection.type_key)
        assert connector is not None
        draft = keep_draft(
            draft=None,
            type_key=connection.type_key,
            connection=connection,
            cleaned=connector.clean(connection.settings),
            secrets=SECRETS,
            form={},
            actor=actor,
        )
        draft.verified_digest, draft.verified_at = verified_digest(draft), timezone.now()
        draft.save()
        shown = consent.wording(connector, connector.consent_target(connection.settings))
        edit_connection(
            connection=connection,
            version=connection.version,
            draft=draft,
            name=connection.name,
            settings=connection.settings,
            agreement=Agreement(ticked=True, wording_hash=shown.hash),
            actor=actor,
            resume=True,
        )

    @rule(
        when=lambda self: self.model.connections,
        number=numbers,
        choices=st.lists(st.sampled_from(["keep", "move", "go"]), min_size=6, max_size=6),
        to=numbers,
    )
    def remove(self, number: int, choices: list[str], to: int) -> None:
        uuid = picked(self.model.connections, number, self.model.is_used)
        connection = Connection.objects.get(uuid=uuid)
        type_key = self.model.connections[uuid].type_key
        goals = [other for other in self.of_type(type_key, ready=True) if other != uuid]
        goal = goals[to % len(goals)] if goals else None
        exports = [export for export, on in self.model.exports.items() if on == uuid]
        enrichments = [key for key, (on, active) in self.model.enrichments.items() if on == uuid and active]
        decided = {
            "exports": self._decide(exports, choices, goal, {"keep": "detach", "go": "remove"}),
            "enrichments": self._decide(enrichments, choices, goal, {"keep": "deactivate", "go": "delete"}),
        }
        remove_connection(
            connection=connection, impact=impact_of(connection), choices=decided, actor=self.people["lena"]
        )
        for key, decision in decided["exports"].each.items():
            if decision.choice == "remove":
                del self.model.exports[key]
            else:
                self.model.exports[key] = decision.target
        for key, decision in decided["enrichments"].each.items():
            if decision.choice == "delete":
                del self.model.enrichments[key]
            else:
                self.model.enrichments[key] = (decision.target, decision.target is not None)
        for key, (on, active) in self.model.enrichments.items():
            if on == uuid:
                self.model.enrichments[key] = (None, active)
        del self.model.connections[uuid]
        self.model.removed[uuid] = type_key

    def _decide(
        self, dependents: list[UUID], choices: list[str], goal: UUID | None, words: dict[str, str]
    ) -> Decisions:
        each = {}
        for position, key in enumerate(dependents):
            choice = choices[position % len(choices)]
            if choice == "move" and goal is not None:
                each[key] = Decision("move", goal)
            else:
                each[key] = Decision(words["keep" if choice == "move" else choice])
        return Decisions(each=each)

    @rule(when=lambda self: self.model.removed and len(self.model.connections) < CONNECTIONS, number=numbers)
    def restore(self, number: int) -> None:
        uuid = picked(self.model.removed, number)
        kept = RemovedConnection.objects.get(uuid=uuid)
        restore_connection(removed=kept, name=self.next_name(), actor=self.people["lena"])
        self.model.connections[uuid] = Told(self.model.removed.pop(uuid), ready=False)

    @rule(when=lambda self: self.model.connections, number=numbers, to=numbers)
    def move(self, number: int, to: int) -> None:
        uuid = picked(self.model.connections, number, self.model.is_used)
        alike = self.of_type(self.model.connections[uuid].type_key, ready=True)
        goal = picked(self.model.connections, to, lambda other: other in alike and other != uuid)
        source, target = (Connection.objects.get(uuid=key) for key in (uuid, goal))
        told, other = self.model.connections[uuid], self.model.connections[goal]
        exports = [export for export, on in self.model.exports.items() if on == uuid]
        enrichments = {key: act for key, (on, act) in self.model.enrichments.items() if on == uuid}
        fits = uuid != goal and other.ready and told.type_key == other.type_key
        allowed = fits and bool(exports or enrichments)
        with refused_unless(allowed):
            move_dependents(
                connection=source, target=target, impact=impact_of(source), actor=self.people["lena"]
            )
        if allowed:
            self.model.exports |= dict.fromkeys(exports, goal)
            self.model.enrichments |= {key: (goal, active) for key, active in enrichments.items()}
