"""The only settings module. Every variable is read from the environment here and nowhere else.

The README has the table of variables. Unsafe combinations are reported by ``manage.py check`` (checks.py).
"""

import base64
import binascii
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def env_text(name: str, default: str = "") -> str:
    """The variable's text; where NAME_FILE is set, the content of that file."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return os.environ.get(name, default).strip()


def env_bool(name: str, default: bool = False) -> bool:
    """True for 1, true, yes, on."""
    return env_text(name, str(default)).lower() in {"1", "true", "yes", "on"}


def env_int(name: str, default: int) -> int:
    """A whole number; anything else stops the start."""
    text = env_text(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text!r}") from None


def env_list(name: str, default: str = "") -> list[str]:
    """Words separated by commas."""
    return [word.strip() for word in env_text(name, default).split(",") if word.strip()]


# How long to wait for a row or table that somebody else has locked, and for the answer to one question (PostgreSQL; 0
# is without limit, for a migration of large tables).
DATABASE_LOCK_SECONDS = 20
DATABASE_SECONDS = env_int("DATABASE_SECONDS", 60)


def database(url: str) -> dict[str, Any]:
    """Django's settings for ``sqlite:///path`` or ``postgresql://user:password@host:port/name``.

    What follows a ``?`` is given to libpq as it is (``sslmode=verify-full``). A database that is busy or away is an
    error after DATABASE_LOCK_SECONDS, one question after DATABASE_SECONDS: nothing waits for ever.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path.removeprefix("/")) or ":memory:",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": DATABASE_LOCK_SECONDS,
                # up to 16 MB of pages in memory: in 2 (the default) long lists read their indexes again and again
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA cache_size=-16000;",
            },
            "TEST": {"NAME": str(Path(tempfile.gettempdir()) / f"portal-test-{os.getpid()}.sqlite3")},
        }
    if parts.scheme in {"postgresql", "postgres"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 600,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {
                "connect_timeout": 5,
                # a machine that is gone without a word is noticed while waiting for it (tcp(7), libpq)
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": DATABASE_LOCK_SECONDS * 1000,
                # the last one: a frozen process must not hold its locks against all others
                "options": f"-c lock_timeout={DATABASE_LOCK_SECONDS}s -c statement_timeout={DATABASE_SECONDS}s "
                "-c idle_in_transaction_session_timeout=60s",
            }
            | dict(parse_qsl(parts.query)),
        }
    raise ImproperlyConfigured("DATABASE_URL must start with sqlite:/// or postgresql://")


def mail_server(url: str) -> dict[str, Any]:
    """Which backend sends e-mail, with host, port, user, password and encryption where it is a server.

    ``smtp://user:password@host:port`` (``smtp+tls://`` for STARTTLS, ``smtps://`` for TLS from the start), ``console:``
    to print every message, nothing for no e-mail at all.
    """
    parts = urlsplit(url)
    backend = {"": "dummy", "console": "console"}.get(parts.scheme, "smtp")
    if backend == "smtp" and (parts.scheme not in {"smtp", "smtp+tls", "smtps"} or not parts.hostname):
        raise ImproperlyConfigured("EMAIL_URL must read smtp://host:port, smtp+tls://… or smtps://…")
    if backend == "smtp" and not env_text("EMAIL_FROM"):
        raise ImproperlyConfigured("EMAIL_FROM is not set: the address that messages come from")
    return {
        "backend": f"django.core.mail.backends.{backend}.EmailBackend",
        "host": parts.hostname or "",
        "port": parts.port or {"smtp+tls": 587, "smtps": 465}.get(parts.scheme, 25),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "starttls": parts.scheme == "smtp+tls",
        "tls": parts.scheme == "smtps",
    }


def secret_keys(text: str) -> dict[int, bytes]:
    """``2:BASE64,1:BASE64`` as key version to 32 bytes, in the order given (the first one writes)."""
    keys: dict[int, bytes] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        version, _, encoded = entry.partition(":")
        try:
            number, key = int(version), base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise ImproperlyConfigured("CONNECTION_SECRET_KEYS must read VERSION:BASE64,…") from None
        if len(key) != 32 or number < 1 or number in keys:
            raise ImproperlyConfigured("CONNECTION_SECRET_KEYS: each key has its own version and 32 bytes")
        keys[number] = key
    return keys


# Tests bring throw-away keys with them; nothing else starts without real ones (checks.py refuses known keys).
TESTING = "pytest" in sys.modules
TEST_SECRET_KEY = "only-for-tests-" * 4
TEST_CONNECTION_KEYS = "1:" + base64.b64encode(b"only-for-tests-only-for-tests-!!").decode()

# Set by `make run`: sandbox, demonstration users and a portal without https belong there only.
DEV = env_bool("PORTAL_DEV") or TESTING

DEMO_PASSWORD = env_text("DEMO_PASSWORD") if DEV else ""

VAR_DIR = Path(env_text("VAR_DIR", str(BASE_DIR / "var"))).resolve()
SECRET_KEY = env_text("SECRET_KEY", TEST_SECRET_KEY if TESTING else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set: 50 or more random characters (make run makes its own)")
CONNECTION_SECRET_KEYS = secret_keys(
    env_text("CONNECTION_SECRET_KEYS", TEST_CONNECTION_KEYS if TESTING else "")
)
if not CONNECTION_SECRET_KEYS:
    raise ImproperlyConfigured(
        "CONNECTION_SECRET_KEYS is not set: VERSION:BASE64 of 32 random bytes, for example "
        '"1:$(head -c 32 /dev/urandom | base64)"'
    )

DEBUG = False
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if DEV else "")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "connections_portal.admin_site.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "guardian",
    "axes",
    "csp",
    "django_htmx",
    "django_tasks",
    "django_tasks_db",
    "connections_portal",
    "connections",
    "exports",
    "enrichments",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "connections_portal.middleware.PortalMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "connections_portal.urls"
WSGI_APPLICATION = "connections_portal.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["django.templatetags.i18n", "connections_portal.templatetags.portal"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "connections_portal.web.shell",
            ],
        },
    }
]

DATABASES = {"default": database(env_text("DATABASE_URL", f"sqlite:///{VAR_DIR / 'portal.sqlite3'}"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []}}

AUTH_USER_MODEL = "connections_portal.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 10}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher"
    if TESTING
    else "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "connections_portal.first_password.FirstPasswordHasher",
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"
ANONYMOUS_USER_NAME = None

# Lock-out: five wrong passwords for one name from one address, for fifteen minutes.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "portal/locked_out.html"
AXES_HTTP_RESPONSE_CODE = 429
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False
TRUSTED_PROXIES = env_int("TRUSTED_PROXIES", 0)
AXES_CLIENT_IP_CALLABLE = "connections_portal.web.client_address"
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "password"]

LANGUAGE_CODE = env_text("LANGUAGE_CODE", "en")
LANGUAGES = [("en", "English")]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = True
LOCALE_PATHS = [BASE_DIR / "connections_portal" / "locale"]

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = TESTING
WHITENOISE_AUTOREFRESH = TESTING

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}
CSRF_FAILURE_VIEW = "connections_portal.views.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = not DEV and env_bool("HTTPS_REDIRECT", True)
SECURE_HSTS_SECONDS = 0 if DEV else env_int("HSTS_SECONDS", 31_536_000)
if env_bool("BEHIND_HTTPS_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEV
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

# Customer data (design: read only, in the engine) and what the portal may write itself.
CUSTOMER_DATA_URL = env_text("CUSTOMER_DATA_URL", f"duckdb://{VAR_DIR / 'customer-data'}")
ENRICHMENTS_DIR = Path(env_text("ENRICHMENTS_DIR", str(VAR_DIR / "enrichments")))
SPILL_DIR = Path(env_text("SPILL_DIR", str(VAR_DIR / "spill")))
ENGINE_MEMORY_MB = env_int("ENGINE_MEMORY_MB", 256)
ENGINE_THREADS = env_int("ENGINE_THREADS", 2)
ENGINE_SECONDS = env_int("ENGINE_SECONDS", 3600)
# How long it is kept which records a service refused.
REJECTED_DAYS = env_int("REJECTED_DAYS", 30)
MIN_FREE_BYTES = env_int("MIN_FREE_MB", 1024) * 1024 * 1024

# The way out: host:port pairs inside the company's network that connections may reach.
OUTGOING_ALLOW = env_text("OUTGOING_ALLOW")
# HTTPS goes through this proxy (http://host:port); servers are believed whom this file of certificates names as well.
OUTGOING_PROXY = env_text("OUTGOING_PROXY")
OUTGOING_CA_FILE = env_text("OUTGOING_CA_FILE")
# Key Vaults. The portal's own identity (AZURE_TOKEN_CREDENTIALS and AZURE_*, as azure-identity reads them) is shown to
# these vaults, by host, and to those that its own directory lists.
KEY_VAULT_HOSTS = env_list("KEY_VAULT_HOSTS")
AZURE_CLOUD = env_text("AZURE_CLOUD", "public")
# Its tenant, and where the machine hands out tokens for it: known here too, so that nothing else is ever asked.
AZURE_TENANT_ID = os.environ.get("AZURE_TENANT_ID", "")
AZURE_IDENTITY_ENDPOINTS = [
    os.environ.get(name, default)
    for name, default in (
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://169.254.169.254"),
        ("IDENTITY_ENDPOINT", ""),
        ("MSI_ENDPOINT", ""),
    )
]
VAULT_CHECK_SECONDS = env_int("VAULT_CHECK_SECONDS", 3600)
PRIVACY_STATEMENT_URL = env_text("PRIVACY_STATEMENT_URL")

# E-mail. Workers send it; where the portal's own address is not known, messages have no link.
PORTAL_URL = env_text("PORTAL_URL", f"http://127.0.0.1:{env_int('PORT', 8000)}" if DEV else "").rstrip("/")
_MAIL = mail_server(env_text("EMAIL_URL", "console:" if DEV else ""))
EMAIL_BACKEND = _MAIL["backend"]
EMAIL_HOST, EMAIL_PORT = _MAIL["host"], _MAIL["port"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _MAIL["user"], _MAIL["password"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _MAIL["starttls"], _MAIL["tls"]
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env_text("EMAIL_FROM", "portal@localhost")
MAIL_RETRY_SECONDS = env_int("MAIL_RETRY_SECONDS", 60)

# Runs: seconds. A lease is renewed every beat; a worker that cannot renew it stops.
RUN_LEASE_SECONDS = env_int("RUN_LEASE_SECONDS", 60)
RUN_BEAT_SECONDS = env_int("RUN_BEAT_SECONDS", 15)
RUN_MAX_ATTEMPTS = env_int("RUN_MAX_ATTEMPTS", 3)
TICK_SECONDS = env_int("TICK_SECONDS", 5)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "connections_portal.redaction.RedactingFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env_text("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "asyncssh": {"level": "WARNING"},
        # below these they tell addresses, which hold names of secrets, and who signs in
        "azure": {"level": "WARNING"},
        "azure.identity": {"level": "ERROR"},
        "msal": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        "axes": {"level": "ERROR"},
    },
}

MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SILENCED_SYSTEM_CHECKS: list[str] = []
