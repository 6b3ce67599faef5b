"""A connection type and its verification steps as pages show them."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from connections.connectors.base import Connector, StepStatus

_KINDS = {
    StepStatus.DONE: "ok",
    StepStatus.LIMITED: "warn",
    StepStatus.ASKS: "ask",
    StepStatus.FAILED: "bad",
}


def type_facts(connector: type[Connector]) -> dict[str, Any]:
    """What templates show of a connection type, translated (a template would call the class itself)."""
    return {
        "key": connector.key,
        "name": connector.connection_name,
        "icon": connector.icon,
        "category": _(connector.category),
        "description": _(connector.description),
        "preview": connector.preview,
        "requires": [_(sentence) for sentence in connector.requires],
        "not_tested": _(connector.not_tested) if connector.not_tested else "",
    }


def shown_steps(connector: type[Connector], stored: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every step of the type in order, for ``_steps.html``; ``stored`` is a draft's or connection's verification."""
    return labelled_steps(connector.steps, stored)


def labelled_steps(
    labels: Sequence[tuple[str, str]], stored: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Each step of ``labels`` (key and text), as it went in ``stored`` or still to come."""
    ran = {step["key"]: step for step in stored}
    return [_shown(_(label), ran.get(key)) for key, label in labels]


def for_operator(
    connector: type[Connector], settings: Mapping[str, Any], stored: Sequence[dict[str, Any]]
) -> str:
    """What whoever runs the service needs to know of a verification that failed: time, step, answer, and no secret.

    ``settings`` are typed or cleaned ones. Empty when nothing failed.
    """
    last = stored[-1] if stored else None
    if last is None or last["status"] in (StepStatus.DONE, StepStatus.LIMITED):
        return ""
    label = next((_(text) for key, text in connector.steps if key == last["key"]), last["key"])
    answer = " ".join(filter(None, [_(last["cause"]) if last["cause"] else "", last["detail"]]))
    fingerprint = (last.get("identity") or {}).get("fingerprint", "")
    lines = [
        (_("Time"), last.get("at", "")),
        (_("Type"), connector.connection_name),
        (_("Target"), connector.consent_target(settings)),
        (_("Step"), label),
        (_("Answer"), answer),
        (_("Fingerprint"), fingerprint),
        (_("Code"), last["code"]),
    ]
    return "\n".join(f"{name}: {text}" for name, text in lines if text)


def _shown(label: str, step: dict[str, Any] | None) -> dict[str, Any]:
    if step is None:
        return {"kind": "todo", "label": label}
    identity = step.get("identity") or {}
    cause = _(step["cause"]) if step["cause"] else ""
    remedy = " ".join(filter(None, [_(step["remedy"]) if step["remedy"] else "", step["detail"]]))
    asks = step["status"] == StepStatus.ASKS
    return {
        "kind": _KINDS[StepStatus(step["status"])],
        "label": label,
        "ms": step["milliseconds"],
        "note": step["note"],
        "cause": f"{cause} {remedy}" if asks else cause,
        "remedy": "" if asks else remedy,
        "fingerprint": identity.get("fingerprint", "") if asks else "",
        "algorithm": identity.get("algorithm", ""),
    }
