"""SFTP Custom Import: a prepared file, described by a ``model.json`` beside it, from any SSH server that offers it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from connections.connectors import addresses, file_errors, sftp_server, sftp_source, sftp_verify, ssh_errors
from connections.connectors.base import N_, Field, Limits, Step
from connections.connectors.errors import InvalidSettings
from connections.connectors.files import RemoteSource
from connections.connectors.sftp_server import HOST_RULE, REVOKE_SIGN_IN, SIGN_IN_FIELDS, SftpServer
from connections.connectors.sftp_source import SftpSource


class SftpCustomImport(SftpServer):
    """Reads files below the folder that one signs in to on an SFTP server.

    Cleaned settings: those of ``SftpServer``; where a file lies is said in each enrichment.
    """

    key = "sftp_custom_import"
    name = "SFTP custom import"
    connection_name = "SFTP Custom Import"
    provider = N_("your own SFTP server")
    category = N_("Files")
    icon = "arrow_download"
    description = N_("Imports a prepared data file from an SFTP server as an enrichment table.")
    direction = "enrichment"
    requires = (
        N_("An SFTP server that this portal can reach."),
        N_("A user who may read the file there."),
        N_("The server's fingerprint, from whoever runs it."),
        N_("The file's name and folder on the server."),
        N_("A model.json in the same folder that describes the file in Common Data Model terms."),
    )
    fields: ClassVar[tuple[Field, ...]] = (
        *SIGN_IN_FIELDS,
        Field(
            key="hostname",
            label=N_("Host"),
            rule=HOST_RULE,
            prefix="sftp://",
            placeholder="example.com:1234",
            help=N_(
                "Add the port if it is not 22. A whole sftp:// address may be pasted; its folder is left out."
            ),
            target=True,
            fills=(("username", "username"),),
            max_length=1024,
        ),
    )
    enrichment_options: ClassVar[tuple[Field, ...]] = (
        Field(
            key="path",
            label=N_("Path"),
            required=False,
            placeholder="folder/path",
            help=N_("Folder of the file. Empty means the folder that the connection's user signs in to."),
            rule=N_("/ between folders, none called .., and no backslash. Upper and lower case count."),
            max_length=addresses.MAX_FOLDER,
        ),
        Field(
            key="filename",
            label=N_("Filename"),
            placeholder="CustomEnrichmentData.csv",
            help=N_("The model.json that describes it lies in the same folder."),
            rule=N_("A name without / or backslash. Upper and lower case count."),
            max_length=addresses.MAX_FILE_NAME,
        ),
    )
    limits = Limits(max_enrichments=10)
    revoke = REVOKE_SIGN_IN
    steps = (
        ("name", N_("Name found")),
        ("reach", N_("Server reached")),
        ("identity", N_("Server identity")),
        ("sign_in", N_("Signed in")),
        ("folder", N_("Folder readable")),
    )
    not_tested = N_(
        "whether the files that enrichments name are there and can be read, and the server's speed."
    )
    failures = ssh_errors.sign_in_failures() | {
        "folder": (
            file_errors.folder_missing(),
            file_errors.folder_not_readable(),
            file_errors.server_failure(),
        ),
        "": (ssh_errors.identity_changed(), ssh_errors.line_cut(), *sftp_source.failures()),
    }

    @classmethod
    def clean(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """See ``Connector.clean``. An address pasted as host fills the user name that is empty."""
        cleaned, errors, _address = cls.clean_server(settings)
        if errors:
            raise InvalidSettings(errors, cleaned)
        return cleaned

    @classmethod
    def clean_option(cls, field: Field, value: str) -> str:
        """See ``Connector.clean_option`` (rule S19)."""
        if field.key == "path":
            return addresses.clean_path(value)
        return addresses.clean_file_name(value)

    def verify(self) -> Iterator[Step]:
        """See ``Connector.verify``. At most 5 seconds for a step and 10 for all."""
        yield from sftp_verify.steps(sftp_verify.ReadingTrial(self))

    @contextmanager
    def fetch(self) -> Iterator[RemoteSource]:
        """See ``Connector.fetch``. Raises IdentityChanged, before any credential is sent, for another server key."""
        with self.signed_in() as session:
            yield SftpSource(session, lambda: sftp_server.PATIENCE_SECONDS)
