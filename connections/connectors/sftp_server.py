"""What every connection type over SFTP shares: the fields for server and account, and the line to the server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from asyncssh.saslprep import SASLPrepError, saslprep

from connections.connectors import addresses, ssh_errors, ssh_keys
from connections.connectors.base import N_, Choice, Connector, Field, FieldKind, Revocation
from connections.connectors.errors import InvalidSettings
from connections.connectors.ssh_session import Credential, SshSession

PORT = 22
MAX_PASSWORD = 1024
RUN_CONNECT_SECONDS = 15.0
PATIENCE_SECONDS = 60.0

# SSH's names of the ways to sign in. Keyboard-interactive is how many servers ask for a password.
METHODS = {"password": ("password", "keyboard-interactive"), "key": ("publickey",)}

SIGN_IN_FIELDS = (
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
        shown_when=("auth_method", "password"),
        max_length=MAX_PASSWORD,
    ),
    Field(
        key="private_key",
        label=N_("Private key"),
        kind=FieldKind.SECRET_TEXT,
        shown_when=("auth_method", "key"),
        help=N_("RSA of 2048 bits or more, ECDSA or Ed25519, in PEM or OpenSSH form."),
        max_length=ssh_keys.MAX_BYTES,
    ),
    Field(
        key="passphrase",
        label=N_("Passphrase"),
        kind=FieldKind.SECRET,
        required=False,
        shown_when=("auth_method", "key"),
        help=N_("Only if the private key is protected by one."),
        part_of="private_key",
        max_length=MAX_PASSWORD,
    ),
)
HOST_RULE = N_("A name or an IP address, with a port from 1 to 65535 after a colon if there is one.")
REVOKE_SIGN_IN = (
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
)


class SftpServer(Connector):
    """A type whose service is an SFTP server that one signs in to by password or key.

    Cleaned settings of ``clean_server``: ``auth_method`` (``password`` or ``key``), ``username``, ``hostname``
    (``host`` or ``host:port`` when the port is not 22, as the form shows it), ``port`` (decimal).
    """

    host_key_pinned = True
    doc = "docs/connectors.md"

    @classmethod
    def clean_server(
        cls, settings: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, str], addresses.Address]:
        """What is right of server and account, what is wrong, and the parts of the typed or pasted address."""
        errors: dict[str, str] = {}
        cleaned = {"auth_method": settings.get("auth_method") or "password"}
        if cleaned["auth_method"] not in METHODS:
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
        return cleaned, errors, address

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
        """For example ``sftp://eu.contoso.example:2222``; pasted as host it fills the form again."""
        host = _host(settings)
        server = f"[{host}]" if ":" in host else host
        port = "" if settings["port"] == str(PORT) else f":{settings['port']}"
        return f"sftp://{server}{port}"

    @classmethod
    def consent_target(cls, settings: Mapping[str, str]) -> str:
        """Scheme, host and port: a folder is no part of the target."""
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

    @contextmanager
    def signed_in(self) -> Iterator[SshSession]:
        """The line a run works over. Raises IdentityChanged, before any credential is sent, for another server key."""
        session = self.session()
        try:
            session.reach(RUN_CONNECT_SECONDS)
            identity, trusted = session.identify(RUN_CONNECT_SECONDS)
            if not trusted:
                raise ssh_errors.identity_changed(f"{identity.algorithm} {identity.fingerprint}")
            session.sign_in(self.credential(), RUN_CONNECT_SECONDS)
            yield session
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
