"""What is done to exports and enrichments, and what the model makes of it."""

from contextlib import suppress
from uuid import UUID

from django.db import transaction
from hypothesis import strategies as st

from connections.models import (
    Connection,
)
from connections_portal.errors import OperationError
from connections_portal.models import ACTIVE_STATES, Trigger
from enrichments.models import Enrichment
from enrichments.operations import run as enrichment_runs
from enrichments.operations.delete import delete_enrichment
from enrichments.operations.edit import create_enrichment
from enrichments.operations.state import activate, deactivate
from exports.models import Export
from exports.operations import run as export_runs
from exports.operations.connection import attach_connection, detach_connection, to_undo, undo_detach
from exports.operations.edit import Timing, create_export
from exports.operations.remove import remove_export
from tests.sequences.connections import Connections
from tests.sequences.model import (
    DAILY,
    DEPENDENTS,
    IMPORT,
    LOYAL,
    RULES,
    SFTP,
    numbers,
    persons,
    picked,
    refused_unless,
    rule,
)


class Portal(Connections):
    """The whole portal: each contributor has one connection for themselves, and builds on it."""

    def __init__(self) -> None:
        super().__init__()
        for type_key in (SFTP, SFTP, IMPORT, IMPORT):
            self.set_up(type_key)
        for number, who in enumerate(("ana", "ben")):
            self.share(number, frozenset({who}), keep=True)
        for who in ("ana", "ben"):
            self.build_export(who, 1, daily=True)
            self.build_enrichment(who, 1)

    def step(self, data: st.DataObject) -> None:
        """Do one thing that is possible now."""
        possible = [rule for rule in RULES if rule[1](self)]
        name, _when, values = data.draw(st.sampled_from(possible))
        getattr(self, name)(**{key: data.draw(strategy) for key, strategy in values.items()})

    # ---- exports ------------------------------------------------------------------------------------------------

    @rule(
        when=lambda self: self.of_type(SFTP) and len(self.model.exports) < DEPENDENTS,
        who=persons,
        number=numbers,
        daily=st.booleans(),
    )
    def build_export(self, who: str, number: int, daily: bool) -> None:
        uuid = picked(self.of_type(SFTP), number, lambda uuid: self.model.may_use(who, uuid))
        allowed = self.model.may_use(who, uuid) and self.model.connections[uuid].ready
        with refused_unless(allowed):
            export = create_export(
                name=self.next_name(),
                connection=Connection.objects.get(uuid=uuid),
                options={},
                items=[LOYAL],
                schedule=DAILY if daily else Timing(),
                actor=self.person(who),
            )
        if allowed:
            self.model.exports[export.uuid] = uuid

    @rule(when=lambda self: self.model.exports, who=persons, number=numbers)
    def detach(self, who: str, number: int) -> None:
        uuid = picked(self.model.exports, number, lambda uuid: self.model.exports[uuid] is not None)
        allowed = self.model.may_edit(who, uuid) and self.model.exports[uuid] is not None
        with refused_unless(allowed):
            before = Export.objects.select_related("connection").get(uuid=uuid)
            after = detach_connection(export=before, actor=self.person(who))
        if allowed:
            self.model.exports[uuid] = None
            self.detached = to_undo(before, after)

    @rule(when=lambda self: self.detached, who=persons)
    def undo_last_detachment(self, who: str) -> None:
        """Whatever was done since: it is undone by somebody who may use the connection, or refused."""
        assert self.detached is not None
        item, self.detached = self.detached, None
        with suppress(OperationError), transaction.atomic():
            undo_detach(item=item, actor=self.person(who))
            self.model.exports[item.uuid] = uuid = UUID(item.before["connection"])
            assert self.model.may_use(who, uuid)

    @rule(
        when=lambda self: self.model.exports and self.model.connections,
        who=persons,
        number=numbers,
        to=numbers,
    )
    def attach(self, who: str, number: int, to: int) -> None:
        uuid = picked(self.model.exports, number, lambda uuid: self.model.exports[uuid] is None)
        goal = picked(self.model.connections, to, lambda uuid: uuid in self.of_type(SFTP, ready=True))
        told = self.model.connections[goal]
        allowed = (
            self.model.exports[uuid] is None
            and told.type_key == SFTP
            and told.ready
            and self.model.may_use(who, goal)
        )
        with refused_unless(allowed):
            attach_connection(
                export=Export.objects.get(uuid=uuid),
                connection=Connection.objects.get(uuid=goal),
                actor=self.person(who),
            )
        if allowed:
            self.model.exports[uuid] = goal

    @rule(when=lambda self: self.model.exports, who=persons, number=numbers)
    def run_export(self, who: str, number: int) -> None:
        uuid = picked(self.model.exports, number, lambda uuid: self.model.exports[uuid] is not None)
        export, on = Export.objects.get(uuid=uuid), self.model.exports[uuid]
        busy = export.runs.filter(state__in=ACTIVE_STATES).exists()
        with refused_unless(on is not None and self.model.may_use(who, on) and not busy):
            export_runs.enqueue_run(export=export, actor=self.person(who), trigger=Trigger.PERSON)

    @rule(when=lambda self: self.model.exports, who=persons, number=numbers)
    def remove_one_export(self, who: str, number: int) -> None:
        uuid = picked(self.model.exports, number)
        allowed = self.model.may_edit(who, uuid)
        with refused_unless(allowed):
            remove_export(export=Export.objects.get(uuid=uuid), actor=self.person(who))
        if allowed:
            del self.model.exports[uuid]

    # ---- enrichments --------------------------------------------------------------------------------------------

    @rule(
        when=lambda self: self.of_type(IMPORT) and len(self.model.enrichments) < DEPENDENTS,
        who=persons,
        number=numbers,
    )
    def build_enrichment(self, who: str, number: int) -> None:
        uuid = picked(self.of_type(IMPORT), number)
        allowed = who != "tomas" and self.model.connections[uuid].ready
        with refused_unless(allowed):
            name = self.next_name()
            enrichment = create_enrichment(
                name=name,
                type_key=IMPORT,
                table_name=name.replace(" ", "_"),
                connection=Connection.objects.get(uuid=uuid),
                segment="",
                options={"path": "scores", "filename": "Scores.csv"},
                actor=self.person(who),
            )
        if allowed:
            self.model.enrichments[enrichment.uuid] = (uuid, True)

    @rule(when=lambda self: self.model.enrichments, who=persons, number=numbers)
    def deactivate_one(self, who: str, number: int) -> None:
        uuid = picked(self.model.enrichments, number, lambda uuid: self.model.enrichments[uuid][1])
        on, active = self.model.enrichments[uuid]
        with refused_unless(who != "tomas" and active):
            deactivate(enrichment=Enrichment.objects.get(uuid=uuid), actor=self.person(who))
        if who != "tomas":
            self.model.enrichments[uuid] = (on, False)

    @rule(
        when=lambda self: self.model.enrichments, who=persons, number=numbers, to=numbers, gives=st.booleans()
    )
    def activate_one(self, who: str, number: int, to: int, gives: bool) -> None:
        uuid = picked(self.model.enrichments, number, lambda uuid: not self.model.enrichments[uuid][1])
        on, active = self.model.enrichments[uuid]
        ready = self.of_type(IMPORT, ready=True)
        goal = (
            picked(self.model.connections, to, ready.__contains__)
            if gives and self.model.connections
            else None
        )
        told = self.model.connections[goal] if goal else None
        fits = told is None or (told.ready and told.type_key == IMPORT)
        allowed = who != "tomas" and fits and not active and (goal is None) == (on is not None)
        with refused_unless(allowed):
            activate(
                enrichment=Enrichment.objects.get(uuid=uuid),
                connection=Connection.objects.get(uuid=goal) if goal else None,
                actor=self.person(who),
            )
        if allowed:
            self.model.enrichments[uuid] = (goal or on, True)

    @rule(when=lambda self: self.model.enrichments, who=persons, number=numbers)
    def run_enrichment(self, who: str, number: int) -> None:
        uuid = picked(self.model.enrichments, number)
        enrichment = Enrichment.objects.get(uuid=uuid)
        busy = enrichment.runs.filter(state__in=ACTIVE_STATES).exists()
        with refused_unless(who != "tomas" and self.model.enrichments[uuid][1] and not busy):
            enrichment_runs.enqueue_run(enrichment=enrichment, actor=self.person(who), trigger=Trigger.PERSON)

    @rule(when=lambda self: self.model.enrichments, who=persons, number=numbers)
    def delete_one(self, who: str, number: int) -> None:
        uuid = picked(self.model.enrichments, number)
        with refused_unless(who != "tomas"):
            delete_enrichment(enrichment=Enrichment.objects.get(uuid=uuid), actor=self.person(who))
        if who != "tomas":
            del self.model.enrichments[uuid]
