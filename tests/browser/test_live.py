"""What changes while a page is open, and what a keyboard does."""

from __future__ import annotations

import threading

from hippo_core.errors import Unavailable
from hippo_wire.v1 import study_pb2
from tests.browser.conftest import Desk
from tests.browser.studies import PAUSED


def pause(desk: Desk, request_id: str, name: str = PAUSED) -> None:
    desk.client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id=request_id, name=name))


def resume(desk: Desk, request_id: str, name: str = PAUSED) -> None:
    desk.client.studies.ResumeStudy(study_pb2.ResumeStudyRequest(request_id=request_id, name=name))


def test_a_page_that_is_open_shows_what_changes_also_after_the_server_began_anew(desk: Desk) -> None:
    """Two tabs, one stream; what is focused stays focused; a new term, whose marks are others, is no end."""
    with desk.tab() as tab:
        other = tab.page.context.new_page()
        other.goto(desk.server.url + "/")
        tab.go(f"/studies/{PAUSED}")
        shown = tab.page.locator("#standing .state")
        row = other.locator("tr", has=other.get_by_role("link", name=PAUSED, exact=True)).locator(".state")
        assert (shown.inner_text(), row.inner_text()) == ("paused", "paused")
        tab.page.get_by_role("link", name="Extend…").focus()
        resume(desk, "live resume")
        tab.page.wait_for_selector("#standing .state-running")
        row.locator("xpath=self::*[contains(@class, 'state-running')]").wait_for()
        assert tab.page.evaluate("document.activeElement.textContent") == "Extend…"

        driver = desk.server.server.driver
        desk.server.in_loop(
            lambda: driver._give_up(driver.current(), Unavailable("a new term, for the test."))
        )
        desk.until_ready()
        pause(desk, "live pause")
        tab.page.wait_for_selector("#standing .state-paused")
        tab.page.wait_for_selector("#live:not(.lost):has-text('Live')")


def test_a_lost_connection_is_told_for_as_long_as_it_lasts(desk: Desk) -> None:
    """And what changed meanwhile is shown when it is back, without a word of the reader's."""
    driver = desk.server.server.driver
    database = driver._database
    away = threading.Event()
    kept = database.ensure, database.running

    def ensure() -> None:
        if away.is_set():
            raise Unavailable("no database there.", "Wait.")
        kept[0]()

    with desk.tab() as tab:
        tab.go(f"/studies/{PAUSED}")
        tab.page.wait_for_selector("#live:has-text('Live')")
        database.ensure, database.running = ensure, lambda: not away.is_set() and kept[1]()  # type: ignore[method-assign]
        try:
            away.set()
            desk.server.in_loop(lambda: driver._give_up(driver.current(), Unavailable("away, for the test.")))
            tab.page.wait_for_selector("#live.lost:has-text('Connection lost')")
        finally:
            away.clear()
            database.ensure, database.running = kept  # type: ignore[method-assign]
        desk.until_ready()
        resume(desk, "resume after a loss")
        tab.page.wait_for_selector("#live:not(.lost):has-text('Live')")
        tab.page.wait_for_selector("#standing .state-running")
        pause(desk, "pause after a loss")
        tab.page.wait_for_selector("#standing .state-paused")
        assert [each for each in tab.wrong if not each.startswith("status 503")] == []


def test_a_study_is_paused_resumed_and_stopped_by_the_keyboard(desk: Desk) -> None:
    """Skip link first; buttons and confirmations are reached and pressed without a pointer, and answer in words."""
    with desk.tab("editor") as tab:
        tab.go(f"/studies/{PAUSED}")
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.textContent") == "Skip to content"
        tab.page.keyboard.press("Enter")
        assert tab.page.evaluate("document.activeElement.id") == "main"
        for label, words in (("Resume", "Taken up again."), ("Pause", "Paused.")):
            press(desk, tab, label)
            tab.page.wait_for_selector(f".told:has-text('{words}')")
        press(desk, tab, "Stop…")
        tab.page.wait_for_selector("h1:has-text('Stop study')")
        press(desk, tab, "Cancel")
        tab.page.wait_for_selector("#standing .state-paused")
        assert tab.wrong == []


def press(desk: Desk, tab: object, label: str) -> None:
    """Tabs to what is called so, and presses Enter."""
    page = tab.page  # type: ignore[attr-defined]
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == label:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"no {label} is reached by the keyboard")
