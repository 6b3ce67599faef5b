"""What the connectors to services at a fixed address over HTTPS have in common."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from connections.connectors.base import Connector, Step
from connections.connectors.http import failures, trying
from connections.connectors.http.client import HttpService, SignIn
from connections.connectors.http.pace import Pace, Window
from connections.connectors.http.sending import sender


class HttpConnector(Connector):
    """A service whose address follows from the type and, in braces, from cleaned settings.

    ``base_url`` is no setting: nothing that a person types leads elsewhere, and tests put theirs in its place.
    ``windows`` are the limits of requests that are known beforehand, for one run.
    """

    base_url: ClassVar[str]
    windows: ClassVar[tuple[Window, ...]] = ()
    steps = trying.STEPS
    failures = failures.OF_HTTP
    doc = "docs/connectors.md"

    @abstractmethod
    def sign_in(self) -> SignIn:
        """What requests are signed in with. Raises ConnectorError before anything is sent."""

    @abstractmethod
    def probe(self, service: HttpService) -> str:
        """Ask for something that only this connection may see; a fact worth showing. Raises ConnectorError."""

    @staticmethod
    def says(said: Any) -> str:
        """The service's own words in its answer to a refused request; empty, or any error, where there are none."""
        return ""

    def verify(self) -> Iterator[Step]:
        """See ``Connector.verify``."""
        yield from trying.steps(
            self.gateway, self.url, ("sign_in", lambda: self.probe(self.service(patient=False)))
        )

    @property
    def url(self) -> str:
        """Where the service is."""
        return self.base_url.format(**self.settings)

    def service(self, *, patient: bool, check: Callable[[], None] = lambda: None) -> HttpService:
        """The service, signed in; see ``HttpService``. Raises what ``sign_in`` raises."""
        return HttpService(
            sender(self.gateway, self.url, parallel=self.record_limits.parallel),
            self.url,
            sign_in=self.sign_in(),
            pace=Pace(self.windows),
            patient=patient,
            check=check,
            says=self.says,
        )
