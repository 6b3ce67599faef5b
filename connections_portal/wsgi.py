"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "connections_portal.settings")

application = get_wsgi_application()

from connections_portal.checks import refuse_unsafe_start  # noqa: E402  (Django has to be set up)

refuse_unsafe_start()
