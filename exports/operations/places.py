"""Where at its target a connection's files lie: in which folder, as whom signed in.

Neither is part of the target, so both may be edited while something of a run lies there; what was begun in one place
is ended, or deleted, in that place.
"""

import copy
from collections.abc import Mapping

from connections import connectors
from connections.connectors.base import Field
from connections.models import Connection


def place(connection: Connection) -> dict[str, str]:
    """Account and folders as they are set: ``{"export_folder": "exports", "username": "contoso"}``."""
    keys = sorted(field.key for field in _fields(connection) if field.account or field.folder)
    return {key: connection.settings.get(key, "") for key in keys}


def at(connection: Connection, earlier: Mapping[str, str]) -> Connection:
    """The connection as it leads to the folders of an earlier ``place``, not to be saved; the account is today's."""
    folders = {f.key: earlier[f.key] for f in _fields(connection) if f.folder and f.key in earlier}
    there = copy.copy(connection)
    there.settings = connection.settings | folders
    return there


def is_open(connection: Connection, earlier: Mapping[str, str]) -> bool:
    """Whether an earlier ``place`` can still be reached: by the account that had it."""
    return place(at(connection, earlier)) == dict(earlier)


def _fields(connection: Connection) -> tuple[Field, ...]:
    connector = connectors.get(connection.type_key)
    return connector.fields if connector is not None else ()
