"""SFTP: files to any SSH server that offers it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from asyncssh.saslprep import SASLPrepError, saslprep

from connections.connectors import addresses, sftp_verify, ssh_errors, ssh_keys
from connections.connectors.base import (
    N_,
    Choice,
    Connector,
    Field,
    FieldKind,
    FileDelivery,
    Limits,
    Revocation,
    Step,
)
from connections.connectors.errors import InvalidSettings
from connections.connectors.sftp_delivery import SftpDelivery
from connections.connectors.ssh_session import Credential, SshSession

PORT = 22
MAX_PASSWORD = 1024
RUN_CONNECT_SECONDS = 15.0
PATIENCE_SECONDS = 60.0

# SSH's names of the ways to sign in. Keyboard-interactive is how many servers ask for a password.
METHODS = {"password": ("password", "keyboard-interactive"), "key": ("publickey",)}


class Sftp(Connector):
    """Uploads delimited files to a folder on an SFTP server.

    Cleaned settings: ``auth_method`` (``password`` or ``key``), ``username``, ``hostname`` (``host`` or
    ``host:port`` when the port is not 22, as the form shows it), ``port`` (decimal), ``export_folder``.
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
        Field(
            key="auth_method",
            label=N_("Authentication"),
            kind=FieldKind.CHOICE,
            choices=(
                Choice(value="password", label=N_("Username and password")),
                Choice(value="key", label=N_("SSH key")),
            ),
            default="password",
        ),
        Field(key="username", label=N_("Username"), account=True, max_length=addresses.MAX_USERNAME),
        Field(
            key="password",
            label=N_("Password"),
            kind=FieldKind.SECRET,
            vaultable=True,
            shown_when=("auth_method", "password"),
            max_length=MAX_PASSWORD,
        ),
        Field(
            key="private_key",
            label=N_("Private key"),
            kind=FieldKind.SECRET_TEXT,
            vaultable=True,
            shown_when=("auth_method", "key"),
            help=N_("RSA of 2048 bits or more, ECDSA or Ed25519, in PEM or OpenSSH form."),
            max_length=ssh_keys.MAX_BYTES,
        ),
        Field(
            key="passphrase",
            label=N_("Passphrase"),
            kind=FieldKind.SECRET,
            required=False,
            vaultable=True,
            shown_when=("auth_method", "key"),
            help=N_("Only if the private key is protected by one."),
            part_of="private_key",
            max_length=MAX_PASSWORD,
        ),
        Field(
            key="hostname",
            label=N_("Hostname"),
            rule=N_("A name or an IP address, with a port from 1 to 65535 after a colon if there is one."),
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
        Revocation(
            text=N_("Lock the account %(username)s on the server of %(target)s, and end its open sessions.")
        ),
        Revocation(
            text=N_("Change the password of %(username)s there, and wherever else the same one is used."),
            shown_when=("auth_method", "password"),
        ),
        Revocation(
            text=N_("Take the public key of %(username)s out of the account's authorized keys there."),
            shown_when=("auth_method", "key"),
        ),
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
    doc = "docs/connectors.md"
    host_key_pinned = True

    @classmethod
    def clean(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """See ``Connector.clean``. An address pasted as host fills the user name and folder that are empty."""
        errors: dict[str, str] = {}
        cleaned = {"auth_method": settings.get("auth_method") or "password"}
        if cleaned["auth_method"] not in ("password", "key"):
            errors["auth_method"] = N_("Choose how to sign in.")
        address = addresses.Address(host="")
        try:
            if not settings.get("hostname", "").strip():
                raise ValueError(N_("Enter the host name."))
            address = addresses.parse_address(settings["hostname"])
            port = address.port or addresses.clean_port(settings.get("port") or str(PORT))
        except ValueError as error:
            errors["hostname"] = str(error)
        else:
            cleaned["hostname"] = addresses.join_host(address.host, port, usual=PORT)
            cleaned["port"] = str(port)
        try:
            cleaned["username"] = addresses.clean_username(
                settings.get("username", "").strip() or address.username
            )
            saslprep(cleaned["username"])
        except SASLPrepError:
            errors["username"] = N_("The user name contains a character that SSH does not allow.")
        except ValueError as error:
            errors["username"] = str(error)
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
    def clean_secret(cls, key: str, value: str, secrets: Mapping[str, str]) -> str:
        """See ``Connector.clean_secret``. A private key is checked together with the passphrase in ``secrets``."""
        if key == "private_key":
            return ssh_keys.clean_private_key(value, secrets.get("passphrase", ""))
        if not value:
            raise InvalidSettings({key: N_("Enter a value.")})
        if len(value) > MAX_PASSWORD:
            raise InvalidSettings({key: N_("This has more than 1024 characters.")})
        if any(c in value for c in "\r\n\0"):
            raise InvalidSettings({key: N_("There is a line break in it. Type it again.")})
        return value

    @classmethod
    def target(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """Scheme, host and port."""
        return {"scheme": "sftp", "host": _host(settings), "port": settings["port"]}

    @classmethod
    def target_label(cls, settings: Mapping[str, str]) -> str:
        """For example ``sftp://eu.contoso.example/newsletter``; pasted as host it fills the form again."""
        host = _host(settings)
        server = f"[{host}]" if ":" in host else host
        port = "" if settings["port"] == str(PORT) else f":{settings['port']}"
        folder = settings.get("export_folder", "")
        return f"sftp://{server}{port}" + (f"/{folder}" if folder else "")

    @classmethod
    def consent_target(cls, settings: Mapping[str, str]) -> str:
        """Scheme, host and port: the folder is no part of the target."""
        try:
            address = addresses.parse_address(settings.get("hostname", ""))
            port = address.port or addresses.clean_port(settings.get("port") or str(PORT))
        except ValueError:
            return ""
        if not address.host:
            return ""
        return f"sftp://{addresses.join_host(address.host, port, usual=PORT)}"

    @classmethod
    def shown(cls, key: str, value: str) -> str:
        """A pasted address without the password that may be in it."""
        return addresses.without_password(value) if key == "hostname" else value

    @classmethod
    def beside(cls, key: str, settings: Mapping[str, str]) -> str:
        """The port that is used, beside the host."""
        if key != "hostname":
            return ""
        try:
            address = addresses.parse_address(settings.get("hostname", "") or "host")
            return f":{address.port or addresses.clean_port(settings.get('port') or str(PORT))}"
        except ValueError:
            return f":{PORT}"

    def verify(self) -> Iterator[Step]:
        """See ``Connector.verify``. At most 5 seconds for a step and 10 for all."""
        yield from sftp_verify.steps(self)

    @contextmanager
    def deliver(self) -> Iterator[FileDelivery]:
        """See ``Connector.deliver``. Raises IdentityChanged, before any credential is sent, for another server key."""
        session = self.session()
        try:
            session.reach(RUN_CONNECT_SECONDS)
            identity, trusted = session.identify(RUN_CONNECT_SECONDS)
            if not trusted:
                raise ssh_errors.identity_changed(f"{identity.algorithm} {identity.fingerprint}")
            session.sign_in(self.credential(), RUN_CONNECT_SECONDS)
            yield SftpDelivery(session, self.settings["export_folder"], lambda: PATIENCE_SECONDS)
        finally:
            session.close()

    def session(self) -> SshSession:
        """A line to the server, not opened yet."""
        return SshSession(
            self.gateway,
            _host(self.settings),
            int(self.settings["port"]),
            username=self.settings["username"],
            methods=METHODS[self.settings["auth_method"]],
            trusted=self.host_key,
        )

    def credential(self) -> Credential:
        """What to sign in with. Raises NeedsAttention for a key that cannot be opened."""
        if self.settings["auth_method"] == "password":
            return Credential(password=self.secrets.get("password", ""))
        try:
            key = ssh_keys.open_private_key(
                self.secrets.get("private_key", ""), self.secrets.get("passphrase", "")
            )
        except InvalidSettings as error:
            raise ssh_errors.key_unusable(str(error)) from None
        return Credential(key=key)


def _host(settings: Mapping[str, str]) -> str:
    return addresses.parse_address(settings["hostname"]).host
