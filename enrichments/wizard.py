"""The wizard of an enrichment: its steps, what was answered so far, and which step is to be shown.

Nothing is kept on the server while somebody walks through it: every page of it carries all answers, those of other
steps as hidden fields, and the address has them too, so that *Back* in the browser leads to the step before. They are
checked again, in order, whenever somebody goes forward.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.connectors.base import Connector
from connections.models import Connection
from enrichments import data_sets, suggest
from enrichments.forms import (
    CUSTOMERS,
    ConnectForm,
    DataSetForm,
    OptionsForm,
    ReviewForm,
    StepForm,
    data_set_value,
    segment_of,
)
from enrichments.models import Enrichment

OVERVIEW, CONNECT, DATA_SET, LOCATION, REVIEW = "overview", "connect", "data_set", "location", "review"
TITLES = {
    OVERVIEW: gettext_lazy("Overview"),
    CONNECT: gettext_lazy("Connect"),
    DATA_SET: gettext_lazy("Customer data set"),
    LOCATION: gettext_lazy("Location"),
    REVIEW: gettext_lazy("Review and run"),
}
# what is read of an answer; a field says itself what is too long
LONGEST = 1_000


@dataclass(frozen=True, kw_only=True)
class Step:
    """An entry of the list at the left: ``kind`` is *done*, *current* or *todo*; without ``open`` it is no button."""

    key: str
    title: str
    kind: str
    open: bool


class Wizard:
    """One walk through the wizard. ``params`` is what the browser sent, ``enrichment`` None for a new one.

    ``connections`` are those to choose from. ``forms`` has the form of each step that asks something, made by
    ``check`` and ``show``; ``values`` all answers as they were typed.
    """

    def __init__(
        self,
        connector: type[Connector],
        params: Mapping[str, str],
        *,
        connections: Sequence[Connection],
        enrichment: Enrichment | None = None,
    ) -> None:
        self.connector = connector
        self.enrichment = enrichment
        self.connections = list(connections)
        self.keys = [key for key in TITLES if key != LOCATION or connector.enrichment_options]
        self.values = self._first_values() | {
            name: params[name][:LONGEST] for name in self._names() if name in params
        }
        self.forms: dict[str, StepForm] = {}
        first = REVIEW if enrichment else OVERVIEW
        self.at = self._known(params.get("at", ""), OVERVIEW)
        self.go = self._known(params.get("go", ""), first if "at" not in params else self.at)
        self.shown = self.go
        self.was_checked = "at" in params
        reached = self._known(params.get("reached", ""), first)
        self._reached = max(self.keys.index(reached), self.keys.index(self.at))

    def _known(self, key: str, otherwise: str) -> str:
        return key if key in self.keys else otherwise

    # ---- answers

    def _names(self) -> list[str]:
        options = [f"option_{option.key}" for option in self.connector.enrichment_options]
        return ["connection", "data_set", *options, "name", "table_name", "suggested"]

    def _first_values(self) -> dict[str, str]:
        """What is stored, or what a new one begins with."""
        options = {f"option_{option.key}": option.default for option in self.connector.enrichment_options}
        if self.enrichment is None:
            only = str(self.connections[0].uuid) if len(self.connections) == 1 else ""
            return {"connection": only, "data_set": CUSTOMERS, **options}
        stored = {f"option_{key}": value for key, value in self.enrichment.options.items()}
        connection = self.enrichment.connection
        return {
            "connection": str(connection.uuid) if connection else "",
            "data_set": data_set_value(self.enrichment.segment),
            "name": self.enrichment.name,
            **options,
            **{name: value for name, value in stored.items() if name in options},
        }

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """The answers of the steps that are not shown."""
        visible = self.forms[self.shown].fields if self.shown in self.forms else {}
        beside = {"suggested"} if self.shown == REVIEW else set()  # stands beside the field it belongs to
        return [(name, value) for name, value in self.values.items() if name not in {*visible, *beside}]

    # ---- steps

    @property
    def steps(self) -> list[Step]:
        """The list at the left."""
        current, reached = self.keys.index(self.shown), self._reached_now
        return [
            Step(
                key=key,
                title=str(TITLES[key]),
                kind="current" if number == current else "done" if number < reached else "todo",
                open=number <= reached and number != current,
            )
            for number, key in enumerate(self.keys)
        ]

    @property
    def _reached_now(self) -> int:
        return max(self._reached, self.keys.index(self.shown))

    @property
    def reached(self) -> str:
        """The step furthest on that somebody has seen."""
        return self.keys[self._reached_now]

    @property
    def before(self) -> str:
        """The step that *Back* leads to, empty on the first one."""
        number = self.keys.index(self.shown)
        return self.keys[number - 1] if number else ""

    @property
    def after(self) -> str:
        """The step that *Next* leads to, empty on the last one."""
        number = self.keys.index(self.shown)
        return self.keys[number + 1] if number + 1 < len(self.keys) else ""

    @property
    def title(self) -> str:
        """The name of the step that is shown."""
        return str(TITLES[self.shown])

    # ---- checks

    def walk(self) -> bool:
        """Find the step to show: the one asked for, or the first before it whose answers are not right (then false)."""
        forward = self.keys.index(self.go) > self.keys.index(self.at)
        # the summary speaks of checked answers, however it was come to
        if (forward or self.go == REVIEW) and not self.check(self.keys[: self.keys.index(self.go)]):
            return False
        self.show(self.go)
        return True

    def check(self, keys: Sequence[str] = ()) -> bool:
        """Check the answers of these steps (of all unless named); the first that is wrong is the one to show."""
        for key in keys or self.keys:
            form = self._form(key, checked=True)
            if form is None:
                continue
            self.forms[key] = form
            if not form.is_valid():
                self.shown = key
                return False
        return True

    def show(self, key: str) -> None:
        """Show a step as it was filled in, without checking it."""
        self.shown = key
        if key == REVIEW:
            self._suggest()
        form = self._form(key, checked=False)
        if form is not None:
            self.forms[key] = form

    def point_at(self, fields: Mapping[str, str]) -> None:
        """Show the step of the first field that was refused, with the message at it."""
        for name, message in fields.items():
            name = "data_set" if name == "segment" else name
            key = next((key for key, form in self.forms.items() if name in form.fields), REVIEW)
            self.forms[key].add_error(name if name in self.forms[key].fields else None, message)
            self.shown = key
            return

    def _form(self, key: str, *, checked: bool) -> StepForm | None:
        stored = self.enrichment
        match key:
            case "connect":
                optional = stored is not None and stored.connection_id is None
                return ConnectForm(
                    self.values, checked=checked, connections=self.connections, optional=optional
                )
            case "data_set":
                segment = stored.segment if stored else None
                return DataSetForm(self.values, checked=checked, data_sets=data_sets.load(), stored=segment)
            case "location":
                return OptionsForm(self.values, checked=checked, connector=self.connector)
            case "review":
                return ReviewForm(self.values, checked=checked, new=stored is None)
        return None

    # ---- names

    def _suggest(self) -> None:
        """Fill in the names that nobody has typed; the table's follows the enrichment's until somebody types it."""
        if self.enrichment is not None:
            return
        name, table = self.values.get("name", "").strip(), self.values.get("table_name", "").strip()
        if not name and table and table != self.values.get("suggested"):
            self.values["name"] = suggest.name_from_table(table)
        elif not name:
            segment = segment_of(self.values["data_set"])
            filename = next(
                (
                    self.values[f"option_{o.key}"]
                    for o in self.connector.enrichment_options
                    if o.key == "filename"
                ),
                "",
            )
            self.values["name"] = suggest.name_for(
                _(self.connector.name), filename, data_sets.label_of(segment) if segment else ""
            )
        if not table or table == self.values.get("suggested"):
            self.values["table_name"] = self.values["suggested"] = suggest.table_for(self.values["name"])

    # ---- what is saved

    def chosen(self) -> dict[str, Any]:
        """Of checked answers: what the operations take, without the actor."""
        connect, data_set, review = self.forms[CONNECT], self.forms[DATA_SET], self.forms[REVIEW]
        assert isinstance(connect, ConnectForm)
        options = self.forms.get(LOCATION)
        return {
            "name": review.cleaned_data["name"],
            "connection": connect.chosen(),
            "segment": data_set.cleaned_data["data_set"],
            "options": options.options() if isinstance(options, OptionsForm) else {},
        }

    def summary(self) -> list[dict[str, Any]]:
        """What *Review and run* shows of each step before it: title, key, and lines of label and answer."""
        connect, data_set = self.forms.get(CONNECT), self.forms.get(DATA_SET)
        sections: list[dict[str, Any]] = []
        if isinstance(connect, ConnectForm):
            chosen = connect.chosen() if connect.is_bound else None
            sections.append(
                self._section(CONNECT, [(_("Connection"), chosen.name if chosen else _("No Connection"))])
            )
        if isinstance(data_set, DataSetForm):
            choice = data_set.chosen()
            lines = [(_("Customer data set"), choice.label)]
            if choice.members:
                lines.append((_("Size"), choice.members))
            sections.append(self._section(DATA_SET, lines))
        options = self.forms.get(LOCATION)
        if isinstance(options, OptionsForm):
            lines = [
                (_(option.label), options.cleaned_data[f"option_{option.key}"] or _("None"))
                for option in self.connector.enrichment_options
            ]
            sections.append(self._section(LOCATION, lines))
        return sections

    def _section(self, key: str, lines: list[tuple[str, str]]) -> dict[str, Any]:
        return {"key": key, "title": str(TITLES[key]), "lines": lines}
