"""The dialog *Remove connection* as a form: what uses the connection, what is chosen for each, what will happen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections import dependents
from connections.dependents import Blocker, Choice, Dependent, Kind
from connections.models import Connection
from connections.operations.move import losing
from connections.operations.remove import Decision, Decisions, impact_of, move_targets
from connections_portal.audit_sentences import named_or_counted
from connections_portal.models import User

# So many dependents of one kind get a choice each; above that there is one for all of them.
MOST = 200
# So many are named where there is one choice for all of them.
NAMED = 8
# So many connections are offered to move to.
TARGETS = 20


@dataclass(frozen=True, kw_only=True)
class Option:
    """One answer: ``value`` is posted, ``decision`` is what it means."""

    value: str
    label: str
    decision: Decision


@dataclass(kw_only=True)
class Question:
    """One choice, for one dependent or for several: ``number`` of them.

    ``value`` is what is chosen, ``wrong`` says that what was posted is not offered (any more), ``is_new`` that the
    dialog that was sent did not have it. ``notes`` say what is not offered and why.
    """

    name: str
    number: int
    options: Sequence[Option]
    value: str
    wrong: bool = False
    is_new: bool = False
    notes: Sequence[str] = ()

    @classmethod
    def asked(
        cls,
        name: str,
        number: int,
        options: Sequence[Option],
        proposed: str,
        *,
        posted: Mapping[str, str] | None,
        is_late: bool,
    ) -> "Question":
        """With what was posted for it, else with what is ``proposed``. ``is_late``: another dialog was sent before."""
        sent = posted.get(name) if posted is not None else None
        known = {option.value for option in options}
        return cls(
            name=name,
            number=number,
            options=options,
            value=sent if sent in known and sent is not None else proposed,
            wrong=sent is not None and sent not in known,
            is_new=is_late and sent is None,
        )

    @property
    def decision(self) -> Decision:
        """What is chosen."""
        return next(option.decision for option in self.options if option.value == self.value)


@dataclass(kw_only=True)
class Section:
    """All dependents of one kind: those with a choice each, and one choice for the others (``rest``)."""

    kind: Kind
    total: int
    hidden: int
    rows: list[tuple[Blocker, Question]]
    rest: Question | None
    named: Sequence[Blocker]
    loose: Sequence[Dependent]
    apply_options: Sequence[Option]
    list_url: str
    choices: Mapping[str, Choice] = field(repr=False)

    @property
    def key(self) -> str:
        """The kind's."""
        return self.kind.key

    @property
    def title(self) -> str:
        """*3 exports*."""
        return self.kind.phrase(self.total)

    @property
    def more(self) -> int:
        """How many the viewer may open are not named."""
        return self.total - self.hidden - len(self.named)

    @property
    def questions(self) -> list[Question]:
        """Every choice of the section."""
        return [question for _blocker, question in self.rows] + ([self.rest] if self.rest else [])


class RemovalForm:
    """What blocks the removal of a connection and what is chosen; ``posted`` keeps earlier choices where they are
    still offered. ``impact`` is the token of all that is shown.
    """

    def __init__(self, connection: Connection, user: User, posted: QueryDict | None = None) -> None:
        # read before the dependents: what comes in between makes the token stale, not the list
        self.impact = impact_of(connection)
        self.connection, self.user, self.posted = connection, user, posted
        # whether there were choices to make in the dialog that was sent
        self.was_asked = any(name.startswith(("choice-", "rest-")) for name in posted or ())
        found = list(move_targets(connection, user)[: TARGETS + 1])
        self.targets, self.more_targets = found[:TARGETS], len(found) > TARGETS
        self.targets_by_uuid = {target.uuid: target for target in self.targets}
        self.sections = [section for kind in dependents.kinds() if (section := self._section(kind))]

    def _section(self, kind: Kind) -> Section | None:
        blockers = kind.blocking(self.connection, self.user, MOST)
        loose = kind.loose(self.connection, self.user)
        if not blockers.total and not loose:
            return None
        choices = {choice.key: choice for choice in kind.choices()}
        unfit = kind.unfit(self.connection, self.targets) if blockers.total and self.targets else {}
        opened = blockers.total - blockers.hidden
        single = opened <= MOST
        rows = [(item, self._single(item, choices, unfit)) for item in blockers.items] if single else []
        left = blockers.total - len(rows)
        every = self._options(choices, [t for t in self.targets if not unfit.get(t.pk)])
        return Section(
            kind=kind,
            total=blockers.total,
            hidden=blockers.hidden,
            rows=rows,
            rest=self._question(f"rest-{kind.key}", left, every, choices) if left else None,
            named=() if single else blockers.items[:NAMED],
            loose=loose,
            apply_options=every,
            list_url=f"{kind.list_url(self.connection)}&removing=1",
            choices=choices,
        )

    def _single(
        self, item: Blocker, choices: Mapping[str, Choice], unfit: Mapping[int, Mapping[UUID, str]]
    ) -> Question:
        reasons = {t.pk: why for t in self.targets if (why := unfit.get(t.pk, {}).get(item.uuid))}
        fitting = [target for target in self.targets if target.pk not in reasons]
        question = self._question(f"choice-{item.uuid}", 1, self._options(choices, fitting), choices)
        if reasons and not fitting:
            question.notes = [_("It cannot move: %(why)s") % {"why": next(iter(reasons.values()))}]
        return question

    def _options(self, choices: Mapping[str, Choice], targets: Sequence[Connection]) -> list[Option]:
        options: list[Option] = []
        for choice in choices.values():
            if not choice.moves:
                options.append(Option(value=choice.key, label=choice.label, decision=Decision(choice.key)))
                continue
            options += [
                Option(
                    value=f"{choice.key}:{target.uuid}",
                    label=f"{choice.label} {target.name}",
                    decision=Decision(choice.key, target.uuid),
                )
                for target in targets
            ]
        return options

    def _question(
        self, name: str, number: int, options: Sequence[Option], choices: Mapping[str, Choice]
    ) -> Question:
        gentle = next((key for key, choice in choices.items() if choice.gentle), "")
        return Question.asked(name, number, options, gentle, posted=self.posted, is_late=self.was_asked)

    def apply(self, key: str) -> None:
        """*Apply to all*: what was chosen for the kind with this key goes for each that it is offered for."""
        chosen = self.posted.get(f"apply-{key}", "") if self.posted is not None else ""
        for section in self.sections:
            for question in section.questions if section.key == key else ():
                if chosen in {option.value for option in question.options}:
                    question.value, question.wrong = chosen, False

    @property
    def blocked(self) -> bool:
        """Whether anything needs a choice."""
        return any(section.total for section in self.sections)

    @property
    def wrong(self) -> bool:
        """Whether something was chosen that is not offered."""
        return any(question.wrong for section in self.sections for question in section.questions)

    def used_by(self) -> str:
        """*Used by 3 exports and 1 enrichment*."""
        phrases = [section.title for section in self.sections if section.total]
        *most, last = phrases
        joined = _("%(most)s and %(last)s") % {"most": ", ".join(most), "last": last} if most else last
        return _("Used by %(what)s") % {"what": joined}

    def decisions(self) -> dict[str, Decisions]:
        """What is chosen, as the operation takes it."""
        return {
            section.key: Decisions(
                each={blocker.uuid: question.decision for blocker, question in section.rows},
                rest=section.rest.decision if section.rest else None,
            )
            for section in self.sections
            if section.total
        }

    def sentences(self) -> list[str]:
        """What will happen, in the order of kinds and choices."""
        said = []
        moved_to = []
        for section in self.sections:
            for decision, number in _numbers(section).items():
                target = self.targets_by_uuid.get(decision.target) if decision.target else None
                said.append(section.choices[decision.choice].outcome(number, target.name if target else ""))
                moved_to += [target] if target else []
            if number := len(section.loose):
                words = ngettext(
                    "%(n)d inactive one keeps its settings and waits for another connection.",
                    "%(n)d inactive ones keep their settings and wait for another connection.",
                    number,
                )
                said.append(words % {"n": number})
        return said + self._who_loses(moved_to)

    def _who_loses(self, moved_to: Sequence[Connection]) -> list[str]:
        """*Ana can no longer change what goes on over SFTP US.*"""
        words = _("%(people)s can no longer change what goes on over %(target)s.")
        lost = losing(self.connection, moved_to) if moved_to else {}
        return [
            words % {"people": named_or_counted(people, []), "target": self.targets_by_uuid[uuid].name}
            for uuid, people in lost.items()
            if people
        ]

    def button(self) -> str:
        """The sum, as the words of the button: *Detach 3, deactivate 1, remove*."""
        parts: list[str] = []
        for section in self.sections:
            numbers: dict[str, int] = {}
            for decision, number in _numbers(section).items():
                numbers[decision.choice] = numbers.get(decision.choice, 0) + number
            parts += [section.choices[choice].button(number) for choice, number in numbers.items()]
        if not parts:
            return _("Remove")
        text = ", ".join([*parts, _("remove")])
        return text[:1].upper() + text[1:]


def _numbers(section: Section) -> dict[Decision, int]:
    """How many each decision is about, in the order in which the choices are offered."""
    order = list(section.choices)
    numbers: dict[Decision, int] = {}
    for question in sorted(section.questions, key=lambda question: order.index(question.decision.choice)):
        numbers[question.decision] = numbers.get(question.decision, 0) + question.number
    return numbers
