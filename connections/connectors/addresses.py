"""What people type for a server, a user and a folder, brought into one form (rule S19).

Pure functions, shared by every connection type that is given a host. They raise ``ValueError`` with a sentence
marked for translation; the connector says at which field it belongs.
"""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from connections.connectors.base import N_

MAX_FOLDER = 255
MAX_FILE_NAME = 255
MAX_USERNAME = 64

# Categories of characters that do not show: control, format (bidi, zero width), surrogate, private, unassigned,
# line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PORT = re.compile(r"[0-9]{1,5}")
# IDNA 2003 (what Python's codec does) and IDNA 2008 lead these letters to different servers.
_DISPUTED = "ßςẞ"

BAD_HOST = N_("This is not a host name or an address. Type it like example.com or example.com:1234.")
BAD_URL = N_("This is not an address. Type it like https://example.com/path.")
BAD_PORT = N_("A port is a number from 1 to 65535.")


@dataclass(frozen=True, kw_only=True)
class Address:
    """The parts of a typed or pasted address; a part that was not in it is empty (``port`` is None)."""

    host: str
    port: int | None = None
    username: str = ""
    folder: str = ""


def has_hidden(text: str) -> bool:
    """Whether a character is in it that cannot be seen: control, bidi, zero width, private, unassigned."""
    return any(unicodedata.category(c) in _HIDDEN for c in text)


def parse_address(text: str) -> Address:
    """Take ``host``, ``host:port``, ``[v6]:port`` or ``sftp://user@host:port/folder`` apart.

    The folder is read as OpenSSH's ``sftp`` command reads it: ``/in`` is ``in`` below the folder one signs in to,
    ``//in`` is ``/in``. The host comes back in its one form (see ``clean_host``); user and folder are decoded,
    not checked. Raises ValueError.
    """
    text = text.strip()
    if has_hidden(text) or any(c.isspace() for c in text):
        raise ValueError(BAD_HOST)
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() != "sftp":
        raise ValueError(N_("Only sftp:// addresses work here. Type the host alone, or an sftp:// address."))
    if not mark:
        rest = text
    if not rest:
        raise ValueError(BAD_HOST)
    if _is_v6(rest):
        return Address(host=clean_host(rest))
    try:
        parts = urlsplit(f"sftp://{rest}")
    except ValueError:
        raise ValueError(BAD_HOST) from None
    if parts.query or parts.fragment:
        raise ValueError(BAD_HOST)
    account, at, server = parts.netloc.rpartition("@")
    username, colon, _password = account.partition(":")
    if at and colon:
        raise ValueError(N_("Leave the password out of the address and type it in its own field."))
    host, port = _host_and_port(server)
    folder = unquote(parts.path.removeprefix("/~/").removeprefix("/"))
    return Address(host=clean_host(host), port=port, username=unquote(username), folder=folder)


def without_password(text: str) -> str:
    """A typed address as it may be shown again: ``sftp://ana:secret@host`` becomes ``sftp://ana@host``."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "", text
    account, at, server = rest.rpartition("@")
    return f"{scheme}{mark}{account.partition(':')[0]}{at}{server}"


def _host_and_port(server: str) -> tuple[str, int | None]:
    """``host``, ``host:port``, ``[v6]`` or ``[v6]:port`` as host and port."""
    if server.startswith("["):
        host, closed, rest = server[1:].partition("]")
        if not closed or not _is_v6(host) or (rest and not rest.startswith(":")):
            raise ValueError(BAD_HOST)
        port = rest.removeprefix(":")
        return host, clean_port(port) if rest else None
    host, colon, port = server.partition(":")
    return host, clean_port(port) if colon else None


def _is_v6(text: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(text), ipaddress.IPv6Address)
    except ValueError:
        return False


def clean_host(text: str) -> str:
    """One form of a host: lower case, IDNA, IPv4 in four numbers, IPv6 compressed without brackets.

    Source: RFC 1123 §2.1 for names, RFC 5952 for IPv6; a name that ends in a number is an IPv4 address or wrong
    (so that ``127.1`` and ``0x7f.1`` cannot hide one). Raises ValueError.
    """
    host = text.strip().removesuffix(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
            raise ValueError(N_("An address with a network interface in it (%) cannot be used."))
        return str(address)
    if any(c in _DISPUTED for c in host):
        raise ValueError(N_("Type this name in its xn-- form: its letters are read in two ways."))
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(BAD_HOST) from None
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(BAD_HOST)
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        raise ValueError(BAD_HOST)
    return name


def clean_port(text: str) -> int:
    """A port from 1 to 65535. Raises ValueError."""
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise ValueError(BAD_PORT)
    return int(text)


def join_host(host: str, port: int, *, usual: int) -> str:
    """``host``, or ``host:port`` where the port is not the ``usual`` one; IPv6 in brackets where a port follows."""
    if port == usual:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def clean_username(text: str) -> str:
    """A user name of 1 to 64 visible characters, composed (NFC), without spaces around. Raises ValueError."""
    name = unicodedata.normalize("NFC", text.strip())
    if not name:
        raise ValueError(N_("Enter the user name."))
    if len(name) > MAX_USERNAME:
        raise ValueError(N_("A user name has at most 64 characters."))
    if has_hidden(name):
        raise ValueError(N_("The user name contains a character that cannot be seen. Type it again."))
    return name


def clean_folder(text: str) -> str:
    """A folder in lower case, ``in/reports`` below the sign-in folder or ``/in/reports`` from the top.

    Empty stays empty and means the folder one signs in to. Raises ValueError for ``..``, backslashes, hidden
    characters and more than 255 characters.
    """
    folder = unicodedata.normalize("NFC", text.strip()).lower()
    if has_hidden(folder):
        raise ValueError(N_("The folder contains a character that cannot be seen. Type it again."))
    if "\\" in folder:
        raise ValueError(N_("Use / between folders."))
    parts = [part.strip() for part in folder.split("/")]
    if ".." in parts:
        raise ValueError(N_("A folder above another one (..) cannot be used. Type the whole path."))
    path = "/".join(part for part in parts if part not in ("", "."))
    if len(path) > MAX_FOLDER - 1:
        raise ValueError(N_("The folder has more than 254 characters."))
    return f"/{path}" if folder.startswith("/") and path else path


def clean_path(text: str) -> str:
    """A folder below the one that is signed in to, ``in/reports``, spelled as it was typed; empty stays empty.

    Raises ValueError for ``..``, a path from the top, backslashes, hidden characters and more than 255 characters.
    """
    path = text.strip()
    if has_hidden(path):
        raise ValueError(N_("The path contains a character that cannot be seen. Type it again."))
    if "\\" in path:
        raise ValueError(N_("Use / between folders."))
    if path.startswith("/"):
        raise ValueError(N_("The path begins in the folder that is signed in to; leave the / before it out."))
    parts = [part.strip() for part in path.split("/")]
    if ".." in parts:
        raise ValueError(N_("A folder above another one (..) cannot be used."))
    path = "/".join(part for part in parts if part not in ("", "."))
    if len(path) > MAX_FOLDER:
        raise ValueError(N_("The path has more than 255 characters."))
    return path


def clean_file_name(text: str) -> str:
    """The name of one file as it was typed: it names what is there already. Raises ValueError."""
    name = text.strip()
    if not name:
        raise ValueError(N_("Enter the file's name."))
    if has_hidden(name):
        raise ValueError(N_("The name contains a character that cannot be seen. Type it again."))
    if "/" in name or "\\" in name or name in (".", ".."):
        raise ValueError(N_("This is not a file's name. A folder goes into its own field."))
    if len(name) > MAX_FILE_NAME:
        raise ValueError(N_("The name has more than 255 characters."))
    return name


MAX_URL = 1024


def clean_url(text: str) -> str:
    """An https address in one form: lower-case host, no default port, no fragment, no slash alone at its end.

    Raises ValueError for http, a user name or password in it, hidden characters, and more than 1024 characters.
    """
    url = text.strip()
    if not url:
        raise ValueError(N_("Enter the address."))
    if has_hidden(url) or any(c.isspace() for c in url) or "\\" in url:
        raise ValueError(BAD_URL)
    if len(url) > MAX_URL:
        raise ValueError(N_("The address has more than 1,024 characters."))
    scheme, mark, rest = url.partition("://")
    if mark and scheme.lower() != "https":
        raise ValueError(N_("Only https addresses work here: what is sent is personal data."))
    try:
        parts = urlsplit(f"https://{rest if mark else url}")
    except ValueError:
        raise ValueError(BAD_URL) from None
    if "@" in parts.netloc:
        raise ValueError(N_("Leave user name and password out of the address."))
    if not parts.netloc:
        raise ValueError(BAD_URL)
    host, port = _host_and_port(parts.netloc)
    netloc = join_host(clean_host(host), port or 443, usual=443)
    if ":" in netloc and _is_v6(netloc):
        netloc = f"[{netloc}]"
    path = parts.path if parts.path != "/" else ""
    return f"https://{netloc}{path}" + (f"?{parts.query}" if parts.query else "")
