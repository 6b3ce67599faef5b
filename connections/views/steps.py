"""A connection type and its verification steps as pages show them."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from connections.connectors.base import Connector, StepStatus

_KINDS = {StepStatus.DONE: "ok", StepStatus.ASKS: "ask", StepStatus.FAILED: "bad"}


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
    ran = {step["key"]: step for step in stored}
    return [_shown(_(label), ran.get(key)) for key, label in connector.steps]


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
