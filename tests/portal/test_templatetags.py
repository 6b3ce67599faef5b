"""Icons, people, times, sizes and form controls in templates."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.paginator import Paginator
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import timezone

from connections_portal import icons
from connections_portal.templatetags import portal

NOW = datetime(2026, 11, 22, 13, 26, tzinfo=UTC)


class ExampleForm(forms.Form):
    """One field of every shape that ``_field.html`` knows."""

    title = forms.CharField(label="Display name", help_text="Say what it is for.")
    host = forms.CharField(label="Hostname", required=False)
    method = forms.ChoiceField(
        label="Method", widget=forms.RadioSelect, choices=[("a", "First"), ("b", "Second")]
    )
    zone = forms.ChoiceField(label="Zone", choices=[("x", "X"), ("y", "<Y>")])
    agree = forms.BooleanField(label="I agree")
    vault = forms.BooleanField(
        label="Use it", required=False, widget=forms.CheckboxInput(attrs={"role": "switch"})
    )
    draft = forms.CharField(widget=forms.HiddenInput, required=False)


def field_html(name: str, data: dict[str, str] | None = None, **parameters: object) -> str:
    """The named field of the example form through ``_field.html``; bound when there are data."""
    return render_to_string("_field.html", {"field": ExampleForm(data)[name], **parameters})


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(0), "Just now"),
        (timedelta(seconds=59), "Just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=13), "13 days ago"),
        (timedelta(days=14), "2 weeks ago"),
        (timedelta(days=60), "2 months ago"),
        (timedelta(days=364), "12 months ago"),
        (timedelta(days=800), "2 years ago"),
        (timedelta(seconds=-1), "In less than a minute"),
        (timedelta(minutes=-48), "In 48 minutes"),
        (timedelta(hours=-17, minutes=-5), "In 17 hours"),
        (timedelta(days=-1), "In 1 day"),
    ],
)
def test_relative_times_use_one_unit(before: timedelta, text: str) -> None:
    """Past and future, at the edges of each unit."""
    assert portal.relative(NOW - before, NOW) == text


def test_day_and_time_are_those_of_the_readers_zone() -> None:
    """Half past eleven at night in London is tomorrow already in Berlin."""
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    with timezone.override("UTC"):
        assert portal.day_and_time(late, NOW) == "Today, 23:30"
    with timezone.override(ZoneInfo("Europe/Berlin")):
        assert portal.day_and_time(late, NOW) == "Tomorrow, 00:30"
        assert portal.day_and_time(late - timedelta(days=2), NOW) == "Yesterday, 00:30"
        assert portal.day_and_time(late - timedelta(days=4), NOW) == "19 November 2026, 00:30"


def test_ago_gives_a_time_element_with_the_exact_time() -> None:
    """Machines get the offset, people the zone's name; both in the reader's zone."""
    moment = datetime(2026, 7, 14, 6, 0, tzinfo=UTC)
    with timezone.override(ZoneInfo("Europe/Berlin")):
        html = portal.ago(moment)
    assert 'datetime="2026-07-14T08:00:00+02:00"' in html
    assert 'title="14 July 2026, 08:00 CEST"' in html


def test_no_time_shows_the_word_given_instead() -> None:
    """Escaped, in grey; without a word there is nothing at all."""
    assert portal.ago(None, "Never <b>") == '<span class="muted no-time">Never &lt;b&gt;</span>'
    assert portal.day_time(None, "None") == '<span class="muted no-time">None</span>'
    assert portal.ago(None) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4, "under 1 s"),
        (8, "8 s"),
        (59.9, "59 s"),
        (118, "1 min 58 s"),
        (782, "13 min 02 s"),
        (timedelta(hours=1, minutes=5, seconds=40), "1 h 05 min"),
        (timedelta(days=2), "48 h 00 min"),
        (None, ""),
    ],
)
def test_duration(value: float | timedelta | None, text: str) -> None:
    """Two units at most."""
    assert portal.duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (1_130_000, "1.1 MB"),
        (5_000_000_000_000_000, "5,000.0 TB"),
    ],
)
def test_sizes(value: int | None, text: str) -> None:
    """Powers of 1000; no 1000.0 kB."""
    assert portal.byte_size(value) == text


def test_numbers_are_grouped() -> None:
    """And nothing for nothing."""
    assert portal.number(77131) == "77,131"
    assert portal.number(0) == "0"
    assert portal.number(None) == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Lena Hofmann", "LH"),
        ("Ana Maria de Weber", "AW"),
        ("admin", "AD"),
        ("ana.weber", "AW"),
        ("(Team) Campaign", "CA"),
        ("", "?"),
        ("  ", "?"),
        ("Žofie Ćosić", "ŽĆ"),
    ],
)
def test_initials(name: str, expected: str) -> None:
    """First and last word, or two letters of the only one."""
    assert portal.initials(name) == expected


def test_an_avatar_keeps_its_tint_and_escapes() -> None:
    """The same name looks the same on every page."""
    assert portal.avatar("Ana Weber") == portal.avatar("Ana Weber")
    assert "square" in portal.avatar("Campaign team", group=True)
    assert "<script" not in portal.avatar("<script x>")


def test_an_icon_is_decorative_and_an_unknown_one_is_an_error() -> None:
    """A misspelt name must not go unnoticed, and no name reaches outside the folder."""
    html = portal.icon("edit", 16)
    assert html.startswith('<svg class="icon small"')
    assert 'aria-hidden="true"' in html
    assert "<path" in html
    for wrong in ("no_such_icon", "../../../manage", "EDIT", ""):
        with pytest.raises(LookupError):
            portal.icon(wrong)


def test_icons_named_in_templates_are_there() -> None:
    """Those in branches that no other test reaches as well; navigation needs the filled variant too."""
    named = set()
    for path in Path(settings.BASE_DIR, "templates").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r'{% icon "([^"]+)"', text)) | set(re.findall(r'with icon="([^"]+)"', text))
    assert len(named) > 20
    assert named - icons.names() == set()


def test_a_category_keeps_its_tint() -> None:
    """Whatever its case; an unknown one is grey."""
    assert "tint-orange" in portal.type_icon("folder_arrow_up", "Files")
    assert "tint-grey" in portal.type_icon("folder_arrow_up", "Astrology")


def test_a_field_is_tied_to_its_help_and_error() -> None:
    """Label, help and error by id, the star hidden from readers because the input says it is required."""
    html = field_html("title", {})
    assert '<label for="id_title">Display name' in html
    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_title_helptext id_title_error"' in html
    assert 'id="id_title_helptext"' in html
    assert 'id="id_title_error"' in html
    assert 'class="required" aria-hidden="true"' in html
    assert 'class="required"' not in field_html("host")


def test_options_are_a_group_with_a_name() -> None:
    """Radio buttons stand in a fieldset; each has its own label, the chosen one stays chosen."""
    html = field_html("method", {"method": "b"}, shown_when="zone=x")
    assert 'data-shown-when="zone=x"' in html
    assert "<legend>Method" in html
    assert len(re.findall(r'class="radio"', html)) == 2
    assert re.search(r'value="b"[^>]* checked', html)


def test_each_kind_of_field_gets_its_class() -> None:
    """Select, box, switch, fixed text before the input, hidden field."""
    assert '<span class="select"><select' in field_html("zone").replace("\n", "")
    assert "&lt;Y&gt;" in field_html("zone")
    assert 'class="tick"' in field_html("agree")
    assert 'class="switch"' in field_html("vault")
    before_input = r'class="affix"><span aria-hidden="true">sftp://</span><input[^>]*class="input"'
    assert re.search(before_input, field_html("host", prefix="sftp://"))
    assert field_html("draft").strip().startswith('<input type="hidden"')


def test_errors_link_to_the_fields() -> None:
    """The bar names every wrong field; a valid form has none."""
    html = render_to_string("_errors.html", {"form": ExampleForm({})})
    assert 'href="#id_title"' in html
    assert 'href="#id_method"' in html
    assert 'role="alert"' in html
    valid = ExampleForm({"title": "t", "method": "a", "zone": "x", "agree": "on"})
    assert valid.is_valid()
    assert render_to_string("_errors.html", {"form": valid}).strip() == ""


def test_pager_keeps_the_query_string(rf: RequestFactory) -> None:
    """Search and sort survive a change of page; page numbers carry no thousand separators in addresses."""
    request = rf.get("/list/", {"q": "a&b", "page": "1500"})
    page = Paginator(range(50_000), 25).page(1500)
    request.user = AnonymousUser()
    html = render_to_string("_pager.html", {"page_obj": page, "target": "#t"}, request=request)
    assert 'href="?q=a%26b&amp;page=1501"' in html
    assert 'hx-get="?q=a%26b&amp;page=1499"' in html
    assert "37,476–37,500 of 50,000" in html
    assert re.search(r'id="page-1500"[^>]*aria-current="page"', html)
