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
    *of_study(DONE, "", "tree", "tree?trial=3&node=1", "tree?nodes=2"),
    *of_study(DONE, "events", "configuration", "extend", "trials/0/fork?at=2"),
    *of_study(DONE, "charts", "charts?kind=parallel"),
    *of_study(
        DONE, "trials?sort=best&name=step&is=>&value=0&columns=state&columns=metric.accuracy", "trials/3"
    ),
    *of_study(HOSTILE, "trials", "trials/0"),
    *of_study(RUNNING, "", "tree", "stop"),
    *of_study(PAUSED, "", "events?trials=no"),
    *of_study(
        HOSTILE, "", "tree", "charts?kind=contour", "charts?kind=slice", "events", "configuration", "stop"
    ),
    "/workers",
    "/workers/gpu-1/cordon?slot=0",
    "/workers/gpu-1/drain",
    "/queue",
    "/tokens",
    "/tokens/viewer/revoke",
    "/audit",
    "/audit?denied=yes",
]
