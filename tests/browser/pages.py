"""The table of all pages: every row is walked by ``test_pages.py``. A new page adds a row."""

from __future__ import annotations

from urllib.parse import quote

from tests.browser.studies import DONE, HOSTILE, PAUSED, RUNNING


def of_study(name: str, *tabs: str) -> list[str]:
    """Paths of a study's tabs."""
    return [f"/studies/{quote(name, safe='')}{'/' + tab if tab else ''}" for tab in tabs]


PAGES = [
    "/",
    "/?q=d&state=completed&sort=name",
    *of_study(DONE, "", "configuration"),
    *of_study(RUNNING, ""),
    *of_study(PAUSED, ""),
    *of_study(HOSTILE, "", "configuration"),
]
