"""The actions of support staff on runs, in the Django admin: asked about first, with a reason, row by row."""

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connections_portal import bulk
from connections_portal.models import Run

Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]
SHORTEST, LONGEST = 5, 300


class ReasonForm(forms.Form):
    """Why: kept in the audit."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        min_length=SHORTEST,
        max_length=LONGEST,
        help_text=gettext_lazy("Kept in the audit with your name: 5 to 300 characters."),
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": LONGEST, "class": "vLargeTextField"}),
    )

    def clean_reason(self) -> str:
        """The reason in one line, of characters that can be seen."""
        reason = " ".join(str(self.cleaned_data["reason"]).split())
        if not reason.isprintable():
            raise ValidationError(_("The reason contains a character that cannot be seen. Type it again."))
        if len(reason) < SHORTEST:
            raise ValidationError(_("Say why in %(n)d characters or more.") % {"n": SHORTEST})
        return reason


def with_reason(
    name: str,
    operation: Callable[..., None],
    *,
    label: str | Promise,
    question: str | Promise,
    done: Callable[[int], str],
) -> Action:
    """An action that does ``operation(run=, actor=, reason=)`` to each ticked run.

    The first answer asks for the reason and changes nothing. ``done`` says how many it was done to; what the operation
    refuses is told run by run, and the others go on. Only rows that were ticked one by one count, never all of a list.
    """

    @admin.action(description=label)  # type: ignore[arg-type] # a lazy translation is text, too
    def action(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        ticked = [
            key for key in request.POST.getlist("_selected_action") if key.isascii() and key.isdecimal()
        ]
        if len(ticked) > bulk.MOST:
            text = _("At most %(most)d runs can be selected at once.") % {"most": bulk.MOST}
            model_admin.message_user(request, text, messages.ERROR)
            return None
        runs: Sequence[Run] = list(queryset.filter(pk__in=[key for key in ticked if len(key) < 19]))
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if runs and form.is_valid():
            outcome = bulk.each(
                runs,
                lambda run: operation(run=run, actor=request.user, reason=form.cleaned_data["reason"]),
                bulk.Outcome(),
            )
            _tell(model_admin, request, outcome, done)
            return None
        context = {
            **model_admin.admin_site.each_context(request),
            "title": label,
            "question": question,
            "opts": model_admin.opts,
            "runs": runs,
            "form": form,
            "action_name": name,
        }
        status = 422 if form.is_bound else 200
        return TemplateResponse(request, "admin/run_action.html", context, status=status)

    action.__name__ = name
    return action


def requeue_lost(operation: Callable[..., None]) -> Action:
    """*Re-queue lost run*."""
    return with_reason(
        "requeue_lost",
        operation,
        label=gettext_lazy("Re-queue lost run"),
        question=gettext_lazy(
            "A worker looks at each of these runs again, if it is lost: queued without a message, or left by its "
            "worker. One that is alive or has ended stays as it is."
        ),
        done=lambda n: ngettext("%(n)d run was queued again.", "%(n)d runs were queued again.", n) % {"n": n},
    )


def cancel_run(operation: Callable[..., None]) -> Action:
    """*Cancel run*."""
    return with_reason(
        "cancel_run",
        operation,
        label=gettext_lazy("Cancel run"),
        question=gettext_lazy(
            "Each of these runs ends as canceled, if it has not ended yet. What was sent before stays sent; unfinished "
            "files are deleted."
        ),
        done=lambda n: ngettext("%(n)d run was canceled.", "%(n)d runs were canceled.", n) % {"n": n},
    )


def _tell(model_admin: Any, request: HttpRequest, outcome: bulk.Outcome, done: Callable[[int], str]) -> None:
    if outcome.done:
        model_admin.message_user(request, done(len(outcome.done)), messages.SUCCESS)
    for left_out in outcome.left_out:
        model_admin.message_user(request, f"{left_out.name}: {left_out.reason}", messages.WARNING)
