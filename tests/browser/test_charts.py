"""What scripts add to charts: whose a mark is, by pointer and by keyboard, and brushing; and a chart as a file."""

from __future__ import annotations

import xml.etree.ElementTree as Xml
from urllib.parse import quote

from tests.browser.conftest import Desk
from tests.browser.studies import DONE, HOSTILE, SCRIPT


def test_marks_tell_whose_they_are_and_lead_there_by_pointer_and_by_keyboard(desk: Desk) -> None:
    with desk.tab() as tab:
        tab.go(f"/studies/{DONE}/charts")
        tab.page.wait_for_selector("#live:not([hidden])")
        marks = tab.page.locator(".hippo-chart .circle .mark")
        assert marks.count() == 6
        marks.nth(2).hover()
        assert tab.page.inner_text(".tip").startswith("trial 2: ")
        tab.page.mouse.move(5, 5)
        tab.page.wait_for_selector(".tip", state="detached")
        tab.page.focus(".data-chart")
        tab.page.keyboard.press("ArrowRight")
        tab.page.keyboard.press("ArrowRight")
        assert tab.page.inner_text(".tip").startswith("trial 1: ")
        tab.page.keyboard.press("ArrowLeft")
        assert tab.page.inner_text(".tip").startswith("trial 0: ")
        tab.expected = {404}
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_url(f"**/studies/{DONE}/trials/0")
        assert tab.wrong == []


def test_lines_are_filtered_along_their_axes_by_sliders_and_by_dragging(desk: Desk) -> None:
    with desk.tab() as tab:
        tab.go(f"/studies/{DONE}/charts?kind=parallel")
        status = tab.page.locator(".brushes [role=status]")
        assert status.inner_text() == "6 of 6 lines"
        tab.page.locator(".brushes input").nth(2).focus()
        tab.page.keyboard.press("End")
        assert status.inner_text() == "3 of 6 lines", "those with the larger momentum"
        assert tab.page.locator(".hippo-chart .mark.out").count() == 3
        tab.page.click("text=Show all lines")
        assert status.inner_text() == "6 of 6 lines"
        x, top, bottom = tab.page.evaluate(
            """() => {
              const svg = document.querySelector(".hippo-chart"), panel = svg.querySelector(".panel");
              const [left, top, right, bottom] = panel.dataset.frame.split(" ").map(Number);
              const [low, high] = panel.dataset.x.split(" ").map(Number);
              const place = (x, y) => new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
              const axis = left + (1 - low) / (high - low) * (right - left);
              return [place(axis, top).x, place(axis, top).y, place(axis, bottom).y];
            }"""
        )
        tab.page.mouse.move(x, bottom)
        tab.page.mouse.down()
        tab.page.mouse.move(x, (top + bottom) / 2)
        tab.page.mouse.up()
        assert status.inner_text() == "3 of 6 lines", "those with the smaller momentum"
        assert tab.wrong == []


def test_a_chart_is_a_file_of_its_own_and_what_there_is_not_is_refused(desk: Desk) -> None:
    with desk.tab() as tab:
        tab.go(f"/studies/{quote(HOSTILE)}/charts?kind=slice")
        with tab.page.expect_download() as download:
            tab.page.click("text=Download as SVG")
        found = Xml.parse(download.value.path())
        assert download.value.suggested_filename == "slice.svg"
        texts = [each.text for each in found.iter("{http://www.w3.org/2000/svg}title")]
        assert texts[0] == f"{SCRIPT[:27]}…", "text, and no element"
        tab.expected = {400}
        for wrong, words in (("kind=pie", "there is no chart 'pie'"), ("trials=x", "no trial's number")):
            tab.go(f"/studies/{DONE}/charts?{wrong}")
            assert words in tab.page.inner_text("main")
        for wrong, words in (
            ("metric=nothing", "is not reported"),
            ("kind=slice&param=nothing", "is not searched"),
            ("trials=99", "there is no trial 99"),
        ):
            tab.go(f"/studies/{DONE}/charts?{wrong}")
            assert words in tab.page.inner_text("main")
        assert [each for each in tab.wrong if "ERR_ABORTED" not in each] == []
