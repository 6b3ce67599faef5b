"""When exports run by themselves, as a form: part of the export form, and a dialog for one or several exports."""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections_portal import refresh
from connections_portal.local_times import WEEKDAYS, zones
from exports.models import ExportSchedule, ScheduleKind

# Which parts of the schedule a kind has; the others are not looked at.
PARTS: dict[str, tuple[str, ...]] = {
    ScheduleKind.MANUAL: (),
    ScheduleKind.SYSTEM: (),
    ScheduleKind.DAY: ("time", "zone"),
    ScheduleKind.WEEK: ("time", "zone", "weekdays"),
    ScheduleKind.MONTH: ("time", "zone", "days"),
}


class ScheduleForm(forms.Form):
    """Kind and parts of a schedule; ``reader_zone`` is offered first. Which parts count depends on the kind."""

    schedule = forms.ChoiceField(
        label=gettext_lazy("Schedule"),
        choices=ScheduleKind.choices,
        initial=ScheduleKind.MANUAL,
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Choose how often it runs."),
            "invalid_choice": gettext_lazy("Choose how often it runs."),
        },
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Days of the week"),
        choices=WEEKDAYS,
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": gettext_lazy("Choose at least one day of the week."),
            "invalid_choice": gettext_lazy("Choose days from Monday to Sunday."),
        },
    )
    days = forms.CharField(
        label=gettext_lazy("Days of the month"),
        help_text=gettext_lazy(
            "Numbers from 1 to 31, with commas between them. A day that the month lacks means its last day."
        ),
        error_messages={"required": gettext_lazy("Type at least one day, for example 1 or 1, 15.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )
    time = forms.TimeField(
        label=gettext_lazy("Time"),
        input_formats=["%H:%M", "%H:%M:%S"],
        initial=datetime.time(6, 0),
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={
            "required": gettext_lazy("Type a time, for example 06:00."),
            "invalid": gettext_lazy("Type a time between 00:00 and 23:59, for example 06:00."),
        },
    )
    zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        error_messages={
            "required": gettext_lazy("Choose a time zone."),
            "invalid_choice": gettext_lazy("Choose a time zone from the list."),
        },
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        reader_zone: str,
        initial: Mapping[str, Any] | None = None,
        auto_id: str = "schedule_%s",
    ) -> None:
        super().__init__(data, initial=dict(initial or {}), auto_id=auto_id)
        chosen = self.initial.get("zone") if data is None else data.get("zone")
        self._offer_zones(str(chosen or reader_zone), reader_zone)
        if not refresh.is_on():
            kinds_offered = self.fields["schedule"]
            assert isinstance(kinds_offered, forms.ChoiceField)
            kinds_offered.choices = [
                (
                    value,
                    _("With system refresh (off at the moment)") if value == ScheduleKind.SYSTEM else label,
                )
                for value, label in ScheduleKind.choices
            ]
        self.fields["weekdays"].inline = True  # type: ignore[attr-defined]
        for part in ("time", "zone", "weekdays", "days"):
            kinds = [kind for kind, parts in PARTS.items() if part in parts]
            self.fields[part].shown_when = f"schedule={'|'.join(kinds)}"  # type: ignore[attr-defined]

    def _offer_zones(self, chosen: str, reader_zone: str) -> None:
        field = self.fields["zone"]
        assert isinstance(field, forms.ChoiceField)
        own = reader_zone if reader_zone in zones() else "UTC"
        field.choices = [(zone, zone) for zone in dict.fromkeys([own, *zones()])]
        field.initial = chosen if chosen in zones() else own

    def timing(self) -> dict[str, Any]:
        """Of a valid form: the parts of the schedule by their names in the model."""
        cleaned, parts = self.cleaned_data, PARTS[self.cleaned_data["schedule"]]
        return {
            "kind": ScheduleKind(cleaned["schedule"]),
            "local_time": cleaned["time"] if "time" in parts else None,
            "weekdays": tuple(cleaned["weekdays"]) if "weekdays" in parts else (),
            "days": tuple(cleaned["days"]) if "days" in parts else (),
            "zone": cleaned["zone"] if "zone" in parts else str(self.fields["zone"].initial),
        }

    def clean_days(self) -> list[int]:
        """Days of the month as numbers, each once, in order."""
        words = [word for word in re.split(r"[\s,;]+", self.cleaned_data["days"]) if word]
        if not all(re.fullmatch(r"[0-9]{1,2}", word) and 1 <= int(word) <= 31 for word in words):
            raise ValidationError(_("Type numbers from 1 to 31, for example 1, 15."))
        return sorted({int(word) for word in words})

    def clean(self) -> dict[str, Any]:
        """Forget the parts of the schedule that its kind does not have."""
        kind = self.cleaned_data.get("schedule", ScheduleKind.MANUAL)
        for part in {"time", "zone", "weekdays", "days"} - set(PARTS[kind]):
            self.errors.pop(part, None)
        return self.cleaned_data


def stored_schedule(schedule: ExportSchedule) -> dict[str, Any]:
    """What is stored, in the form in which it fills the form."""
    return {
        "schedule": schedule.kind,
        "time": schedule.local_time,
        "weekdays": [str(day) for day in schedule.weekdays],
        "days": ", ".join(str(day) for day in schedule.days),
        "zone": schedule.zone,
    }
