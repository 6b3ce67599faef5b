"""The dialog *Unlink* as a form: which connections read from the vault, what is chosen for each, what will happen."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Lower
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections import dependents
from connections.models import Connection, KeyVault, VaultName
from connections.operations.read_names import OLD
from connections.operations.remove import Decision
from connections.operations.vault_references import Reference, connections_of, impact_of, references
from connections.removal_form import MOST, TARGETS, Option, Question

PAUSE = "pause"
MOVE = "move"
REST = "rest"
APPLY = "apply"


@dataclass(kw_only=True)
class Row:
    """One connection with what it reads from the vault; ``error`` says why what was chosen cannot be done."""

    connection: Connection
    references: Sequence[Reference]
    used_by: Sequence[str]
    question: Question
    error: str = ""


class UnlinkForm:
    """What reads from a vault and what is chosen; ``posted`` keeps earlier choices where they are still offered.

    ``impact`` is the token of all that is shown. Above 200 connections the others have one choice (``rest``).
    """

    def __init__(
        self, vault: KeyVault, posted: QueryDict | None = None, errors: Mapping[str, str] | None = None
    ) -> None:
        self.vault, self.posted, self.errors = vault, posted, errors or {}
        self.was_asked = any(name.startswith("choice-") for name in posted or ())
        found = references(vault)
        self.impact = impact_of(vault, found)
        self.others = KeyVault.sorted_by_name(KeyVault.objects.exclude(pk=vault.pk))[:TARGETS]
        grouped = connections_of(found)
        first = dict(list(grouped.items())[:MOST])
        against = self._known_against([one for rows in first.values() for one in rows])
        used = dependents.used_by([rows[0].connection.pk for rows in first.values()])
        self.rows = [self._row(uuid, rows, used, against) for uuid, rows in first.items()]
        self.left = [uuid for uuid in grouped if uuid not in first]
        self.rest = self._question(REST, len(self.left), self.others) if self.left else None
        self.apply_options = self._options(self.others)

    def _known_against(self, found: Sequence[Reference]) -> dict[int, dict[str, str]]:
        """By other vault, from its list of names where there is a whole and recent one: what it lacks, and why."""
        recent = timezone.now() - OLD
        listed = [other for other in self.others if other.names_at is not None and other.names_at > recent]
        known: dict[int, dict[str, VaultName]] = defaultdict(dict)
        wanted = {one.secret.name for one in found}
        if listed and wanted:
            # vaults do not tell small letters from capital ones
            names = VaultName.objects.annotate(lower=Lower("name")).filter(vault__in=listed)
            for found_name in names.filter(lower__in={name.lower() for name in wanted}):
                known[found_name.vault_id][found_name.name.lower()] = found_name
        against: dict[int, dict[str, str]] = {}
        for other in listed:
            reasons = {}
            for name in wanted:
                row = known[other.pk].get(name.lower())
                if row is None:
                    reasons[name] = _("%(vault)s has no secret %(name)s.")
                elif not row.enabled:
                    reasons[name] = _("%(name)s is disabled in %(vault)s.")
                elif not row.allowed:
                    reasons[name] = _("%(name)s of %(vault)s may not be used here.")
            values = {name: {"name": name, "vault": other.name} for name in reasons}
            against[other.pk] = {name: text % values[name] for name, text in reasons.items()}
        return against

    def _row(
        self,
        uuid: UUID,
        rows: Sequence[Reference],
        used: Mapping[int, list[str]],
        against: Mapping[int, Mapping[str, str]],
    ) -> Row:
        reasons: dict[int, str] = {}
        for other in self.others:
            known = against.get(other.pk, {})
            if why := next((known[one.secret.name] for one in rows if one.secret.name in known), ""):
                reasons[other.pk] = why
        fitting = [other for other in self.others if other.pk not in reasons]
        name = f"choice-{uuid}"
        question = self._question(name, 1, fitting)
        question.notes = list(reasons.values())[:3]
        connection = rows[0].connection
        return Row(
            connection=connection,
            references=rows,
            used_by=used.get(connection.pk, []),
            question=question,
            error=self.errors.get(name, ""),
        )

    def _options(self, others: Sequence[KeyVault]) -> list[Option]:
        pause = Option(value=PAUSE, label=_("Pause the connection"), decision=Decision(PAUSE))
        return [
            pause,
            *(
                Option(
                    value=f"{MOVE}:{other.uuid}",
                    label=_("Read the same secrets from %(vault)s") % {"vault": other.name},
                    decision=Decision(MOVE, other.uuid),
                )
                for other in others
            ),
        ]

    def _question(self, name: str, number: int, others: Sequence[KeyVault]) -> Question:
        options = self._options(others)
        return Question.asked(name, number, options, PAUSE, posted=self.posted, is_late=self.was_asked)

    def apply(self) -> None:
        """*Apply to all*: what was chosen goes for each connection that it is offered for."""
        chosen = self.posted.get(APPLY, "") if self.posted is not None else ""
        for question in self.questions:
            if chosen in {option.value for option in question.options}:
                question.value, question.wrong = chosen, False

    @property
    def questions(self) -> list[Question]:
        """Every choice."""
        return [row.question for row in self.rows] + ([self.rest] if self.rest else [])

    @property
    def wrong(self) -> bool:
        """Whether something was chosen that is not offered."""
        return any(question.wrong for question in self.questions)

    @property
    def total(self) -> int:
        """How many connections read from the vault."""
        return len(self.rows) + len(self.left)

    def choices(self) -> dict[UUID, UUID | None]:
        """What is chosen, as the operation takes it."""
        chosen = {row.connection.uuid: row.question.decision.target for row in self.rows}
        if self.rest:
            chosen |= dict.fromkeys(self.left, self.rest.decision.target)
        return chosen

    def _numbers(self) -> dict[Decision, int]:
        numbers: dict[Decision, int] = defaultdict(int)
        for question in sorted(self.questions, key=lambda question: question.decision.choice != MOVE):
            numbers[question.decision] += question.number
        return numbers

    def sentences(self) -> list[str]:
        """What will happen, in the order of the choices."""
        names = {other.uuid: other.name for other in self.others}
        said = []
        for decision, number in self._numbers().items():
            if decision.target:
                words = ngettext(
                    "%(n)d connection reads its secrets from %(vault)s, always in the latest version.",
                    "%(n)d connections read their secrets from %(vault)s, always in the latest version.",
                    number,
                )
                said.append(words % {"n": number, "vault": names[decision.target]})
            else:
                words = ngettext(
                    "%(n)d connection is paused until its secrets are entered again: runs under way are canceled, "
                    "and what is built on it keeps its settings.",
                    "%(n)d connections are paused until their secrets are entered again: runs under way are "
                    "canceled, and what is built on them keeps its settings.",
                    number,
                )
                said.append(words % {"n": number})
        return said

    def button(self) -> str:
        """The sum, as the words of the button: *Move 3, pause 1, unlink*."""
        moved = sum(number for decision, number in self._numbers().items() if decision.target)
        paused = sum(number for decision, number in self._numbers().items() if not decision.target)
        parts = [_("move %(n)d") % {"n": moved}] if moved else []
        parts += [_("pause %(n)d") % {"n": paused}] if paused else []
        text = ", ".join([*parts, _("unlink")])
        return text[:1].upper() + text[1:]
