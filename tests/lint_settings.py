"""Settings for tools that load the project without running it: throw-away keys, database in memory."""

import base64
import os

os.environ["PORTAL_DEV"] = "1"
os.environ["SECRET_KEY"] = "only-for-lint-" * 4
os.environ["CONNECTION_SECRET_KEYS"] = "1:" + base64.b64encode(os.urandom(32)).decode()
os.environ["DATABASE_URL"] = "sqlite:///"

from connections_portal.settings import *  # noqa: F403
