"""Every page in every kind of state, light and dark, wide and narrow: axe finds nothing, nothing scrolls sideways."""

from collections.abc import Callable, Iterator

import pytest
from django.urls import Resolver404, resolve
from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import Check
from tests.browser.pages import PAGES, visit
from tests.browser.running import Portal, running_portal
from tests.test_access_matrix import MATRIX, ROLES

NewContext = Callable[..., BrowserContext]

# Addresses that answer GET and are no page that anybody looks at.
NO_PAGE = {
    "health": "a word for machines",
    "audit_download": "a file",
    "enrichments:create": "leads on to the only type",
    "enrichments:run_status": "the moving part of a run's page; without htmx that page",
    "key_vault:names": "how a list stands that opens in the form of a connection",
    "exports:run_status": "the moving part of a run's page; without htmx that page",
}
# What hides a control from everybody: it is in the window's width and not cut off by what is around it.
OUT_OF_REACH = """() => {
    const wide = document.documentElement.clientWidth;
    const above = [...document.querySelectorAll("dialog[open], [popover]:popover-open")].pop();
    const within = above && above.id !== "toasts" ? above : document;
    const controls = within.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary");
    const cut = [];
    for (const control of controls) {
        if (!control.checkVisibility({visibilityProperty: true})) continue;
        if (control.closest(".visually-hidden, .skip-link")) continue;
        const box = control.getBoundingClientRect();
        if (!box.width || control.closest("thead")) continue;
        const scrolled = control.closest(".table-card, .tabs, .cut, pre, .scroll-list");
        if (!scrolled && (box.left < -1 || box.right > wide + 1)) cut.push(control.outerHTML.slice(0, 120));
    }
    return cut;
}"""
# Where Tab goes from one control to one that is above it, or before it in the same line.
OUT_OF_ORDER = """() => {
    const above = [...document.querySelectorAll("dialog[open]")].pop();
    const within = above || document.querySelector("main");
    const kinds = "a[href], button, input:not([type=hidden]), select, textarea, summary";
    const controls = [...within.querySelectorAll(kinds)];
    const seen = controls.filter((c) => c.checkVisibility({visibilityProperty: true}) && c.tabIndex >= 0 && !c.disabled
        && !c.closest(".visually-hidden, thead, [popover]"));
    const moves = (box) => /auto|scroll/.test(getComputedStyle(box).overflow) && box.scrollHeight > box.clientHeight;
    const scroller = (c) => {
        let box = c.parentElement;
        while (box && box !== within && !moves(box) && !box.matches(".pane-head, .pane-foot, .command-bar")) {
            box = box.parentElement;
        }
        return box;
    };
    const astray = controls.filter((c) => c.tabIndex > 0).map((c) => c.outerHTML.slice(0, 120));
    for (let i = 1; i < seen.length; i++) {
        const [one, next] = [seen[i - 1], seen[i]];
        if (scroller(one) !== scroller(next)) continue;
        const [a, b] = [one.getBoundingClientRect(), next.getBoundingClientRect()];
        const nextColumn = b.left >= a.right - 1;
        const upwards = b.bottom <= a.top + 1 && !nextColumn;
        const backwards = b.right <= a.left + 1 && b.top < a.top + 4 && b.bottom > a.top;
        if (upwards || backwards) astray.push(one.outerHTML.slice(0, 100) + " → " + next.outerHTML.slice(0, 100));
    }
    return astray;
}"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One portal for all looks."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


def test_every_address_that_shows_something_is_looked_at() -> None:
    zero = "00000000-0000-0000-0000-000000000000"
    looked_at = set()
    for look in PAGES.values():
        path = look.address.split("?")[0]
        for name in ("connection", "export", "run"):
            path = path.replace(f"{{{name}}}", zero)
        for name in ("contributor", "group"):
            path = path.replace(f"{{{name}}}", "1")
        while "{" in path:
            path = path[: path.index("{")] + zero + path[path.index("}") + 1 :]
        try:
            looked_at.add(resolve(path).view_name)
        except Resolver404:
            assert path in {"/nowhere/", f"/{zero}"}
    answers_get = {name for name, (get, _post) in MATRIX.items() if get.split()[ROLES.index("admin")] != "-"}
    assert answers_get - looked_at == set(NO_PAGE)


@pytest.mark.timeout(1200)
def test_every_page(
    portal: Portal, new_context: NewContext, axe: Check, axe_colours: Check, problems: list[str]
) -> None:
    found: list[str] = []
    names = []

    def check(what: str, look: Check, page: Page) -> None:
        try:
            look(page)
        except AssertionError as wrong:
            found.append(f"{what}: {wrong}")

    for name, page in visit(lambda: new_context().new_page(), portal):
        names.append(name)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="light")
            check(f"{name}, {width}, light", axe, page)
            check(f"{name}, {width}", everything_can_be_reached, page)
            page.emulate_media(color_scheme="dark")
            check(f"{name}, {width}, dark", axe_colours, page)
        # as wide as 1280 is at 400 %
        page.set_viewport_size({"width": 320, "height": 640})
        check(f"{name}, 320", everything_can_be_reached, page)
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="light")
    assert sorted(names) == sorted(PAGES)
    assert not found, f"{len(found)} findings\n" + "\n".join(found)


def everything_can_be_reached(page: Page) -> None:
    overflow = page.evaluate(SIDEWAYS)
    assert overflow <= 0, f"scrolls sideways by {overflow} px"
    cut = page.evaluate(OUT_OF_REACH)
    assert not cut, "out of the window: " + "\n".join(cut)
    astray = page.evaluate(OUT_OF_ORDER)
    assert not astray, "Tab goes back up: " + "\n".join(astray)
