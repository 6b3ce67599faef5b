"""The types of enrichment: connection types from which attributes come back, under the enrichment's own name."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections import connectors
from connections.connectors import CONNECTORS
from connections.connectors.base import Connector, Field


def all_types() -> list[type[Connector]]:
    """Every type of enrichment that is built in, by name."""
    return sorted((c for c in CONNECTORS if is_type(c)), key=lambda connector: _(connector.name).casefold())


def is_type(connector: type[Connector] | None) -> bool:
    """Whether enrichments of this type can be made."""
    return connector is not None and connector.serves("enrichment") and connector.brings_files()


def get(type_key: str) -> type[Connector] | None:
    """The type with this key; None for one that is no type of enrichment."""
    connector = connectors.get(type_key)
    return connector if is_type(connector) else None


def type_name(type_key: str) -> str:
    """What enrichments of this type are called; the key itself for a type that is no longer built in."""
    connector = connectors.get(type_key)
    return _(connector.name) if connector else type_key


def answers(type_key: str, options: dict[str, str]) -> list[tuple[str, str]]:
    """The answers to the type's options as label and answer, in the connector's words; unanswered ones are left out."""
    connector = connectors.get(type_key)
    if connector is None:
        return []
    pairs = [
        (_(field.label), _answer(field, options.get(field.key, field.default)))
        for field in connector.enrichment_options
    ]
    return [(label, answer) for label, answer in pairs if answer]


def _answer(field: Field, value: str) -> str:
    return next((_(choice.label) for choice in field.choices if choice.value == value), value)


def facts(connector: type[Connector]) -> dict[str, Any]:
    """What templates show of a type, translated (a template would call the class itself)."""
    return {
        "key": connector.key,
        "name": _(connector.name),
        "connection_name": connector.connection_name,
        "provider": _(connector.provider),
        "icon": connector.icon,
        "category": _(connector.category),
        "description": _(connector.description),
        "preview": connector.preview,
        "requires": [_(sentence) for sentence in connector.requires],
    }


def limit_reached(most: int) -> str:
    """*There are 10 enrichments of this type …*: why no other one can be made."""
    return ngettext(
        "There is %(most)d enrichment of this type, and that is all it allows. Delete one first.",
        "There are %(most)d enrichments of this type, and that is all it allows. Delete one first.",
        most,
    ) % {"most": most}
