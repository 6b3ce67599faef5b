"""What a step or a run over HTTPS may end with, for the help page: as it is raised."""

from collections.abc import Mapping

from connections.connectors import network_errors
from connections.connectors.errors import ConnectorError
from connections.connectors.http.answers import Answer, problem
from connections.connectors.http.sending import not_trusted

_AT_ANY_TIME = tuple(problem(Answer(status=status)) for status in (404, 429, 503, 301))

OF_HTTP: Mapping[str, tuple[ConnectorError, ...]] = {
    "name": (
        network_errors.name_unknown(),
        network_errors.name_no_answer(),
        network_errors.address_refused(),
    ),
    "reach": (network_errors.connection_refused(), network_errors.no_answer(), not_trusted()),
    "sign_in": (problem(Answer(status=401)), problem(Answer(status=403)), *_AT_ANY_TIME),
}
