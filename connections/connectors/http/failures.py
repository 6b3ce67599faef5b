"""What a step or a run over HTTPS may end with, for the help page: as it is raised, without a service's words."""

from collections.abc import Mapping

from connections.connectors import network_errors
from connections.connectors.errors import ConnectorError
from connections.connectors.http import answers, sending
from connections.connectors.http.answers import Answer


def of_status(*statuses: int) -> tuple[ConnectorError, ...]:
    """What these statuses of an answer mean."""
    return tuple(_plain(answers.problem(Answer(status=status))) for status in statuses)


def _plain(error: ConnectorError) -> ConnectorError:
    error.detail = ""
    return error


_ANY_ANSWER = (
    *of_status(404, 429, 503, 301, 400),
    _plain(answers.not_json("")),
    _plain(answers.too_large(0)),
    _plain(sending.too_slow()),
)

OF_HTTP: Mapping[str, tuple[ConnectorError, ...]] = {
    "name": (
        network_errors.name_unknown(),
        network_errors.name_no_answer(),
        network_errors.address_refused(),
    ),
    "reach": (network_errors.connection_refused(), network_errors.no_answer()),
    "sign_in": (sending.not_trusted(), *of_status(401, 403), *_ANY_ANSWER),
    "": of_status(413),
}
