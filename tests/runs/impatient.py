"""The portal's settings with a worker that waits a second for a database that is locked, not twenty."""

from connections_portal.settings import *  # noqa: F403
from connections_portal.settings import DATABASES

if "OPTIONS" in DATABASES["default"]:
    DATABASES["default"]["OPTIONS"]["timeout"] = 1
