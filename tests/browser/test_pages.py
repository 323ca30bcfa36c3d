"""Every page in a real browser: no error, nothing from elsewhere, readable for all, and user text is only text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.conftest import Desk, Tab
from tests.browser.pages import PAGES
from tests.browser.studies import DONE, HOSTILE

AXE = next((Path(__file__).parent / "vendor").glob("axe-core-*.min.js")).read_text(encoding="utf-8")
SERIOUS = ("serious", "critical")
NARROW = {"width": 390, "height": 844}
WIDE = {"width": 1360, "height": 900}


def findings(tab: Tab) -> list[str]:
    """What axe finds that keeps people from using the page."""
    # Evaluated through the protocol, which no Content-Security-Policy concerns.
    tab.page.evaluate(AXE)
    found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


def picture(tab: Tab, folder: Path | None, path: str, word: str) -> None:
    if folder is not None:
        name = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "start"
        tab.page.screenshot(path=folder / f"{name}.{word}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_without_fault(desk: Desk, screenshots: Path | None, scheme: str) -> None:
    """No error on the console, no failed request, none that leaves the server, nothing serious found by axe."""
    found = {}
    with desk.tab(color_scheme=scheme, viewport=WIDE) as tab:
        for path in PAGES:
            tab.go(path)
            tab.page.wait_for_selector("#live:not([hidden])")
            found[path] = [*findings(tab), *tab.wrong]
            tab.wrong.clear()
            picture(tab, screenshots, path, scheme)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


def test_every_page_fits_a_narrow_screen(desk: Desk, screenshots: Path | None) -> None:
    """At 390 px the page itself never scrolls sideways: wide tables and charts do so by themselves."""
    wide = {}
    with desk.tab(viewport=NARROW) as tab:
        for path in PAGES:
            tab.go(path)
            wide[path] = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            picture(tab, screenshots, path, "narrow")
    assert {path: by for path, by in wide.items() if by > 0} == {}


def test_every_page_reads_without_javascript(desk: Desk) -> None:
    """What it shows is in what the server sends."""
    with desk.tab(java_script_enabled=False) as tab:
        for path in PAGES:
            tab.go(path)
            assert tab.page.locator("h1").count() == 1, path
            assert tab.page.locator("[hidden]").count() >= 1, path
        assert tab.wrong == []


def test_what_users_write_is_only_text(desk: Desk) -> None:
    """Names, values and reasons make no element: neither as the page comes nor as it is replaced."""
    with desk.tab() as tab:
        tab.page.on("dialog", lambda dialog: tab.wrong.append("a script ran"))
        for path in PAGES:
            tab.go(path)
            assert tab.page.locator("img, main b:has-text('lr'), script:not([src])").count() == 0, path
        tab.go("/")
        assert tab.page.get_by_role("link", name=HOSTILE, exact=True).count() == 1
        tab.page.get_by_role("link", name=HOSTILE, exact=True).click()
        assert tab.page.locator("h1").inner_text() == HOSTILE
        assert tab.wrong == []


def test_refusals_say_what_to_do(desk: Desk) -> None:
    with desk.tab("") as tab:
        tab.expected = {401, 403, 404}
        tab.go(f"/studies/{DONE}")
        assert "hippo open" in tab.page.inner_text("main")
        tab.go("/login?link=hippo_wrong")
        tab.page.wait_for_selector("h1:has-text('Not allowed')")
        assert "hippo open" in tab.page.inner_text("main")
        assert tab.wrong == []
    with desk.tab("viewer") as tab:
        tab.expected = {404}
        tab.go("/studies/nowhere")
        assert tab.page.inner_text("h1") == "Not found"
        assert findings(tab) == []
        assert tab.wrong == []
