"""SFTP: files to any SSH server that offers it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from connections.connectors import addresses, sftp_server, sftp_verify, ssh_errors
from connections.connectors.base import N_, Choice, Field, FieldKind, Limits, Revocation, Step
from connections.connectors.errors import InvalidSettings
from connections.connectors.files import FileDelivery
from connections.connectors.sftp_delivery import SftpDelivery
from connections.connectors.sftp_server import HOST_RULE, REVOKE_SIGN_IN, SIGN_IN_FIELDS, SftpServer


class Sftp(SftpServer):
    """Uploads delimited files to a folder on an SFTP server.

    Cleaned settings: those of ``SftpServer`` and ``export_folder``.
    """

    key = "sftp"
    name = "SFTP"
    connection_name = "SFTP"
    provider = N_("Any SFTP host")
    category = N_("Files")
    icon = "folder_arrow_up"
    description = N_("Sends segments and tables as delimited files to a folder on an SFTP server.")
    requires = (
        N_("An SFTP server that this portal can reach."),
        N_("A user who may write to the export folder."),
        N_("The server's fingerprint, from whoever runs it."),
    )
    fields: ClassVar[tuple[Field, ...]] = (
        *SIGN_IN_FIELDS,
        Field(
            key="hostname",
            label=N_("Hostname"),
            rule=HOST_RULE,
            prefix="sftp://",
            placeholder="example.com:1234",
            help=N_("Add the port if it is not 22. A whole sftp:// address may be pasted."),
            target=True,
            fills=(("username", "username"), ("folder", "export_folder")),
            max_length=1024,
        ),
        Field(
            key="export_folder",
            label=N_("Export folder"),
            required=False,
            placeholder="export/folder/path",
            help=N_("Lowercase. Empty means the folder you sign in to."),
            rule=N_("/ between folders, none called .., and no backslash."),
            folder=True,
            max_length=addresses.MAX_FOLDER,
        ),
    )
    export_options: ClassVar[tuple[Field, ...]] = (
        Field(
            key="compression",
            label=N_("Compression"),
            kind=FieldKind.CHOICE,
            choices=(
                Choice(value="gzip", label=N_("Gzipped")),
                Choice(value="none", label=N_("Unzipped")),
            ),
            default="gzip",
        ),
        Field(
            key="delimiter",
            label=N_("Field delimiter"),
            kind=FieldKind.CHOICE,
            choices=(
                Choice(value="comma", label=N_("Comma")),
                Choice(value="semicolon", label=N_("Semicolon")),
                Choice(value="tab", label=N_("Tab")),
                Choice(value="pipe", label=N_("Pipe")),
            ),
            default="comma",
        ),
        Field(
            key="formulas",
            label=N_("Spreadsheet formulas"),
            kind=FieldKind.CHOICE,
            help=N_(
                "A spreadsheet calculates text that begins with =, +, -, @, a tab or a line end. Leave it as it is for "
                "other programs: they would read the apostrophe as part of the value."
            ),
            choices=(
                Choice(value="keep", label=N_("Leave as they are")),
                Choice(value="apostrophe", label=N_("Put an apostrophe before them")),
            ),
            default="keep",
        ),
    )
    limits = Limits(max_profiles=100_000_000, max_files_per_table=5)
    revoke = (
        *REVOKE_SIGN_IN,
        Revocation(
            text=N_("Look through the folder %(export_folder)s and delete what must not stay."),
            needs="export_folder",
        ),
    )
    steps = (
        ("name", N_("Name found")),
        ("reach", N_("Server reached")),
        ("identity", N_("Server identity")),
        ("sign_in", N_("Signed in")),
        ("folder", N_("Folder writable")),
        ("test_file", N_("Test file written and removed")),
    )
    not_tested = N_("whether there is room for all files, a size limit of the server, and its speed.")
    failures = ssh_errors.failures()

    @classmethod
    def clean(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """See ``Connector.clean``. An address pasted as host fills the user name and folder that are empty."""
        cleaned, errors, address = cls.clean_server(settings)
        try:
            cleaned["export_folder"] = addresses.clean_folder(
                settings.get("export_folder", "").strip() or address.folder
            )
        except ValueError as error:
            errors["export_folder"] = str(error)
        if errors:
            raise InvalidSettings(errors, cleaned)
        return cleaned

    @classmethod
    def target_label(cls, settings: Mapping[str, str]) -> str:
        """For example ``sftp://eu.contoso.example/newsletter``; pasted as host it fills the form again."""
        folder = settings.get("export_folder", "")
        return super().target_label(settings) + (f"/{folder}" if folder else "")

    def verify(self) -> Iterator[Step]:
        """See ``Connector.verify``. At most 5 seconds for a step and 10 for all."""
        yield from sftp_verify.steps(sftp_verify.WritingTrial(self, self.settings["export_folder"]))

    @contextmanager
    def deliver(self) -> Iterator[FileDelivery]:
        """See ``Connector.deliver``. Raises IdentityChanged, before any credential is sent, for another server key."""
        with self.signed_in() as session:
            yield SftpDelivery(session, self.settings["export_folder"], lambda: sftp_server.PATIENCE_SECONDS)
