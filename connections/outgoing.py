"""The way out as the operator allows it: one gateway for everything that leaves this process."""

import functools

from django.conf import settings

from connections.gateway import OutgoingGateway, parse_allow


@functools.cache
def gateway() -> OutgoingGateway:
    """The way out with the operator's permissions (OUTGOING_ALLOW); never to the portal's own database."""
    return OutgoingGateway(
        allow=parse_allow(settings.OUTGOING_ALLOW),
        refuse=_database_hosts(),
        ca_file=settings.OUTGOING_CA_FILE,
    )


def _database_hosts() -> list[str]:
    """Where the portal's databases are: names and addresses, not sockets in the file system.

    As libpq takes them: several separated by commas, also from what follows the ``?`` in DATABASE_URL, where
    ``hostaddr`` says what is connected to and ``host`` is then only a name in a certificate.
    """
    hosts = []
    for database in settings.DATABASES.values():
        options = database.get("OPTIONS", {})
        given = options.get("hostaddr") or database.get("HOST") or options.get("host") or ""
        hosts += [host for part in given.split(",") if (host := part.strip()) and host[0] not in "/@"]
    return hosts
