"""Every address × every role → status. Fails when an address is missing from the table.

Roles: signed out, nobody (no role), viewer, contributor (the connection is shared with them), outsider (a
contributor with whom nothing is shared), support, admin. A line gives the status per role for GET and for POST;
``-`` means that the method does not exist (405). POSTs are sent empty: what matters is who gets past the door.
"""

import pytest

pytestmark = pytest.mark.django_db

ROLES = ("out", "nobody", "viewer", "contributor", "outsider", "support", "admin")
ENTRY = 302  # sent to the sign-in page

# name: (GET per role, POST per role); one word stands for everybody who is signed in, in the order of ROLES otherwise
MATRIX: dict[str, tuple[str, str]] = {
    "home": ("302 200 200 200 200 200 200", "302 - - - - - -"),
    "health": ("200 200 200 200 200 200 200", "- - - - - - -"),
    "sign_in": ("200 302 302 302 302 302 302", "422 302 302 302 302 302 302"),
    "sign_out": ("- - - - - - -", "302 302 302 302 302 302 302"),
    "password_change": ("302 200 200 200 200 200 200", "302 422 422 422 422 422 422"),
    "theme": ("- - - - - - -", "302 302 302 302 302 302 302"),
    "tables:list": ("302 403 200 200 200 403 200", "302 - - - - - -"),
    "tables:detail": ("302 403 200 200 200 403 200", "302 - - - - - -"),
    "connections:discover": ("302 403 403 403 403 403 200", "302 - - - - - -"),
    "connections:exports": ("302 403 403 403 403 403 200", "302 - - - - - -"),
    "connections:enrichment": ("302 403 403 403 403 403 200", "302 - - - - - -"),
    "connections:set_up": ("302 403 403 403 403 403 200", "302 403 403 403 403 403 422"),
    "connections:detail": ("302 403 403 403 403 403 200", "302 - - - - - -"),
    "connections:remove": ("302 403 403 403 403 403 200", "302 403 403 403 403 403 409"),
    "exports:list": ("302 403 200 200 200 403 200", "302 - - - - - -"),
    "exports:create": ("302 403 403 200 200 403 200", "302 403 403 422 422 403 422"),
    "exports:detail": ("302 403 200 200 200 403 200", "302 - - - - - -"),
    "exports:edit": ("302 403 200 200 200 403 200", "302 403 403 422 403 403 422"),
    "exports:run_now": ("- - - - - - -", "302 403 403 303 403 403 303"),
    "exports:detach": ("302 403 403 200 403 403 200", "302 403 403 303 403 403 303"),
    "exports:attach": ("302 403 403 200 403 403 200", "302 403 403 422 403 403 422"),
    "exports:remove": ("302 403 403 200 403 403 200", "302 403 403 303 403 403 303"),
    "exports:run": ("302 403 200 200 200 403 200", "302 - - - - - -"),
    "exports:run_status": ("302 403 200 200 200 403 200", "302 - - - - - -"),
    "exports:cancel": ("- - - - - - -", "302 403 403 303 403 403 303"),
}
