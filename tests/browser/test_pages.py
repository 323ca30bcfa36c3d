"""Every page in a real browser: no error, nothing from elsewhere, readable for all, and user text is only text."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.conftest import Desk, Tab
from tests.browser.pages import PAGES
from tests.browser.studies import DONE, SCRIPT

AXE = next((Path(__file__).parent / "vendor").glob("axe-core-*.min.js")).read_text(encoding="utf-8")
SERIOUS = ("serious", "critical")
NARROW = {"width": 390, "height": 844}
WIDE = {"width": 1360, "height": 900}


def findings(tab: Tab, rule: str | None = None) -> list[str]:
    """What axe finds that keeps people from using the page; with one rule, or all."""
    # Evaluated through the protocol, which no Content-Security-Policy concerns.
    if not tab.page.evaluate("'axe' in window"):
        tab.page.evaluate(AXE)
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if rule is not None:
        options["runOnly"] = [rule]
    found = tab.page.evaluate("options => axe.run(document, options)", options)
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


def test_every_page_is_without_fault(desk: Desk, screenshots: Path | None) -> None:
    """No error on the console, no failed request, none that leaves the server; nothing serious found by axe, in the
    light and in the dark; what users write makes no element; at 390 px only wide tables and charts scroll sideways.
    """
    found, seen = {}, 0
    with desk.tab(color_scheme="light", viewport=WIDE) as tab:
        tab.page.on("dialog", lambda dialog: tab.wrong.append("a script ran"))
        for path in PAGES:
            tab.go(path)
            if tab.page.locator("[data-live]").count():
                tab.page.wait_for_selector("#live:not([hidden])")
            wrong = findings(tab)
            picture(tab, screenshots, path, "light")
            tab.page.emulate_media(color_scheme="dark")
            wrong += [f"dark: {each}" for each in findings(tab, "color-contrast")]
            picture(tab, screenshots, path, "dark")
            tab.page.emulate_media(color_scheme="light")
            tab.page.set_viewport_size(NARROW)
            if tab.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append("it is wider than the screen")
            picture(tab, screenshots, path, "narrow")
            tab.page.set_viewport_size(WIDE)
            if tab.page.locator("img, script:not([src])").count():
                wrong.append("text became an element")
            seen += SCRIPT in tab.page.inner_text("main")
            found[path] = [*wrong, *tab.wrong]
            tab.wrong.clear()
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    assert seen >= 2, "what would be dangerous is shown"


def test_every_page_reads_without_javascript(desk: Desk) -> None:
    """What it shows is in what the server sends."""
    with desk.tab(java_script_enabled=False) as tab:
        for path in PAGES:
            tab.go(path)
            assert tab.page.locator("h1").count() == 1, path
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
