"""Where every test gets its fixtures from."""

import os

# Playwright's synchronous interface keeps an event loop in the thread, and Django then refuses to use the database
# there. Nothing of ours runs in that loop.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

pytest_plugins = (
    "tests.fixtures",
    "tests.connectors.servers",
    "tests.runs.helpers",
    "tests.runs.processes",
    "tests.enrichments.bringing",
    "tests.key_vault.double",
)
