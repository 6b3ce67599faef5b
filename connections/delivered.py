"""What a destination receives, told by whoever makes it: each app registers its words, nobody here knows which apps.

Shown on a type's help page.
"""

from collections.abc import Callable, Sequence

from connections.connectors.base import Connector

# A heading and what it says, translated.
Fact = tuple[str, str]
Teller = Callable[[type[Connector]], Sequence[Fact]]

_tellers: list[Teller] = []


def register(teller: Teller) -> None:
    """Add somebody who knows what types receive."""
    _tellers.append(teller)


def of(connector: type[Connector]) -> list[Fact]:
    """Everything there is to say about what this type receives."""
    return [fact for tell in _tellers for fact in tell(connector)]
