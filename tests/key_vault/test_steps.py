"""A step that works with a restriction, as pages show it."""

from django.template.loader import render_to_string

from connections.connectors.base import Step, StepStatus
from connections.views import steps as shown


def rendered(status, **more):
    step = Step(key="list", status=status, milliseconds=12, **more)
    found = shown._shown("List secrets", vars(step) | {"status": str(status), "identity": None})
    return " ".join(render_to_string("_steps.html", {"steps": [found]}).split())


def test_a_restriction_is_told_beside_the_step_and_in_words():
    html = rendered(StepStatus.LIMITED, cause="Names cannot be listed.", remedy="Give the permission.")
    assert '<li class="warn">' in html
    assert "List secrets: Names cannot be listed." in html
    assert "Give the permission." in html
    assert ": with a restriction" in html
    assert "12 ms" in html


def test_what_is_done_has_no_cause():
    html = rendered(StepStatus.DONE)
    assert '<li class="ok">' in html
    assert "List secrets:" not in html.replace("List secrets</span>", "")
