"""A study's charts: which one, of what and of which trials is in the address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from hippo_core.charts.chart import Chart
from hippo_core.charts.selection import Selection
from hippo_core.errors import InvalidStudy, Unavailable
from hippo_server.auth.roles import VIEWERS
from hippo_server.web.addresses import segment
from hippo_server.web.charts import rows, svg
from hippo_server.web.charts.importance import Importances
from hippo_server.web.charts.kinds import KINDS, Kind, Wanted, axes_told, hyperparameter_names
from hippo_server.web.charts.study_data import StudyData, read_study_data
from hippo_server.web.page import Page, caller
from hippo_server.web.site import Site
from hippo_server.web.study import show_tab

MOST_NUMBERS = 200  #: of trials, in an address


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address asks for.

    Attributes:
        kind: Which chart.
        metric: By name; empty: the first objective.
        stopped: Whether stopped trials are drawn.
        trials: Their numbers; none: all.
        wanted: What of the study is drawn.
    """

    kind: Kind
    metric: str
    stopped: bool
    trials: tuple[int, ...]
    wanted: Wanted

    @classmethod
    def of(cls, request: Request) -> Asked:
        """As the address says.

        Raises:
            InvalidStudy: There is no such chart, or what should be numbers are none.
        """
        given = request.query_params
        word = given.get("kind") or "history"
        if word not in KINDS:
            raise InvalidStudy("kind", f"there is no chart {word[:40]!r}.", f"Known are: {', '.join(KINDS)}.")
        kind = KINDS[word]
        stopped = given.get("stopped") or ("yes" if kind.stopped else "no")
        wanted = Wanted(
            params=given.getlist("param") if kind.params or kind.names else (),
            one=given.get("one", "") if kind.two else "",
            other=given.get("other", "") if kind.two else "",
        )
        return cls(
            kind=kind,
            metric=given.get("metric", "") if kind.metric else "",
            stopped=kind.stopped is not None and stopped == "yes",
            trials=_numbers(given.get("trials", "")),
            wanted=wanted,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A chart on a page.

    Attributes:
        chart: The chart.
        svg: The element.
        notes: What is left out, in words.
        rows: Its marks as a table.
        axes: What a script needs to know of the axes of parallel coordinates, as JSON; of others nothing.
        metrics: All that trials report.
        params: All that is searched.
        names: All hyper-parameters.
    """

    chart: Chart
    svg: Markup
    notes: tuple[str, ...]
    rows: tuple[rows.Row, ...]
    axes: str
    metrics: Sequence[str]
    params: Sequence[str]
    names: Sequence[str]


def pages(site: Site) -> tuple[Page, ...]:
    """The charts of a study, and each as a file."""
    importances = Importances()

    async def chart(request: Request, asked: Asked, *, alone: bool = False) -> Shown:
        who, name = caller(request), request.path_params["study"]
        data = await read_study_data(
            site.driver,
            who.project,
            name,
            most=asked.kind.most,
            wanted=asked.trials,
            times=asked.kind.times,
        )
        wanted = asked.wanted
        selection = await asyncio.to_thread(
            Selection, data.recording, asked.metric or None, None, asked.stopped
        )
        failure = ""
        if asked.kind.word == "importance":
            try:
                wanted = Wanted(importances=await importances.of(selection))
            except Unavailable as error:
                failure = str(error)
        return await asyncio.to_thread(_shown, asked.kind, selection, wanted, data, failure, alone)

    async def show(request: Request) -> Response:
        asked = Asked.of(request)
        # What stands above the chart is fetched by itself, too, and needs none of it.
        wants_chart = request.query_params.get("fragment") in (None, "chart")
        return await show_tab(
            site,
            request,
            "charts",
            "study_charts.html",
            asked=asked,
            kinds=KINDS.values(),
            shown=await chart(request, asked) if wants_chart else None,
            most_rows=rows.MOST_ROWS,
            file=f"/studies/{segment(request.path_params['study'])}/charts.svg?"
            + urlencode(
                [each for each in request.query_params.multi_items() if each[0] not in ("fragment", "done")]
            ),
        )

    async def file(request: Request) -> Response:
        asked = Asked.of(request)
        drawn = await chart(request, asked, alone=True)
        return Response(
            str(drawn.svg),
            media_type="image/svg+xml",
            headers={"Content-Disposition": f'attachment; filename="{asked.kind.word}.svg"'},
        )

    return (
        Page(path="/studies/{study}/charts", roles={"GET": VIEWERS}, answer=show),
        Page(path="/studies/{study}/charts.svg", roles={"GET": VIEWERS}, answer=file),
    )


def _shown(
    kind: Kind, selection: Selection, wanted: Wanted, data: StudyData, failure: str, alone: bool
) -> Shown:
    chart = kind.make(selection, wanted)
    drawn = svg.draw(chart, alone=alone)
    left_out = f"the {drawn.left_out:,} shortest bars are not drawn" if drawn.left_out else ""
    return Shown(
        chart=chart,
        svg=drawn.svg,
        notes=tuple(filter(None, (data.note, *chart.notes, left_out, failure))),
        rows=rows.rows(chart),
        axes=json.dumps(axes_told(selection, wanted))
        if kind.word == "parallel" and chart.panels[0].marks
        else "",
        metrics=data.recording.metric_names(),
        params=list(data.recording.spec.space.domains),
        names=hyperparameter_names(data.recording.spec),
    )


def _numbers(text: str) -> tuple[int, ...]:
    """Numbers of trials with commas or spaces between them.

    Raises:
        InvalidStudy: They are none, or too many.
    """
    found = text.replace(",", " ").split()
    if len(found) > MOST_NUMBERS:
        raise InvalidStudy("trials", f"are {len(found)}.", f"Name at most {MOST_NUMBERS}.")
    wrong = next(
        (each for each in found if not each.isascii() or not each.isdecimal() or len(each) > 15), None
    )
    if wrong is not None:
        raise InvalidStudy("trials", f"{wrong[:40]!r} is no trial's number.", "Write numbers: 0, 3, 7.")
    return tuple(int(each) for each in found)
