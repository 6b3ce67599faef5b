"""What can go wrong before any service is reached. Sentences name no host, address or port."""

from connections.connectors.base import N_
from connections.connectors.errors import NeedsAttention, TryLater


def name_unknown(detail: str = "") -> NeedsAttention:
    """No name server knows the host."""
    return NeedsAttention(
        N_("No server has this name."),
        code="name_unknown",
        detail=detail,
        remedy=N_("Check the spelling of the host name."),
    )


def name_no_answer(detail: str = "") -> TryLater:
    """The name servers do not answer."""
    return TryLater(
        N_("The name could not be looked up just now."),
        code="name_no_answer",
        detail=detail,
        remedy=N_("Try again in a moment. If it stays, ask whoever runs the portal about its name servers."),
    )


def address_refused(detail: str = "") -> NeedsAttention:
    """The address is one that the gateway does not reach (rule S18)."""
    return NeedsAttention(
        N_("The server's address belongs to an internal network, which the portal does not reach."),
        code="address_refused",
        detail=detail,
        remedy=N_("If it is meant, the portal's operator lists host and port in OUTGOING_ALLOW."),
    )


def connection_refused(detail: str = "") -> TryLater:
    """The machine is there, nothing listens."""
    return TryLater(
        N_("The server refused the connection: nothing answers at this port."),
        code="server_refused",
        detail=detail,
        remedy=N_("Check the port, and whether the service is running."),
    )


def no_answer(detail: str = "") -> TryLater:
    """Nothing comes back at all."""
    return TryLater(
        N_("The server did not answer."),
        code="server_silent",
        detail=detail,
        remedy=N_("Check host and port, and whether a firewall lets this portal through."),
    )
