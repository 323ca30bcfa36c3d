"""S08. What users and programs write is only ever text, wherever it is shown as HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from hippo_client.notebook import NotebookProgress, handle_html, study_html, trial_html
from tests.studies import grid
from tests.unit.client import messages

PAYLOADS = [
    *(
        f"<{tag} {attribute}=alert(1)>x</{tag}>"
        for tag in ("script", "img", "svg", "iframe", "body", "a", "math", "object", "td", "style")
        for attribute in ("src", "onerror", "onload", "href")
    ),
    "<script>alert(1)</script>",
    "</td></tr></table><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "`><script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<img src=`x`onerror=alert(1)>",
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "\u202e<script>\u202c",
    "\x00<script>alert(1)</script>",
    "＜script＞alert(1)＜/script＞",
    "<\u200bscript>alert(1)</script>",
]
TEMPLATE = {
    ("table", ()), ("thead", ()), ("tbody", ()), ("tr", ()), ("th", ()), ("td", ()), ("div", ()),
    ("th", (("style", "text-align:left"),)), ("td", (("style", "text-align:left"),)),
}  # fmt: skip


class Shown(HTMLParser):
    """What a browser would make of a text: its elements with their attributes, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[tuple[str, tuple[tuple[str, str | None], ...]]] = set()
        self.others: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


def expect_text(html: str, payload: str) -> None:
    shown = Shown(html)
    assert shown.elements <= TEMPLATE
    assert shown.others == []
    assert payload.replace("\x00", "") in shown.words.replace("\x00", "")


def test_there_are_enough_payloads() -> None:
    assert len(set(PAYLOADS)) >= 50


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_study_and_its_trials_show_it_as_it_stands(payload: str) -> None:
    """In every text that a user, a program or a worker chooses: reasons, names of values and metrics, the values."""
    trial = messages.trial(1, reason=payload)
    named = messages.trial(2, metrics=messages.metrics(**{payload: 0.5}))
    valued = messages.trial(3, hyperparameters={"x": payload})
    keyed = messages.trial(4, hyperparameters={payload: 0.1})
    for each in (trial, named, valued, keyed):
        expect_text(trial_html(each), payload)
    study = messages.study(name=payload)
    study.reason = payload
    expect_text(handle_html(study, [trial, named, valued, keyed]), payload)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_study_that_is_not_submitted_and_its_progress_too(payload: str) -> None:
    from hippo_core import space

    if payload.isascii() and payload.isprintable():  # others are written as JSON escapes them
        expect_text(study_html(grid({"lr": space.choice([payload, 0.1])})), payload)
    drawn: list[str] = []
    progress = NotebookProgress(lambda html, text: drawn.append(html))
    progress.notice(payload)
    expect_text(drawn[-1], payload)
