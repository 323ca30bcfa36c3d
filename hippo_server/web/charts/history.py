"""The history of a study as a small chart, for its summary."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from markupsafe import Markup

from hippo_core.charts.progress_charts import optimization_history
from hippo_core.charts.selection import Selection
from hippo_server.driver import Driver
from hippo_server.web.charts import svg
from hippo_server.web.charts.study_data import StudyData, read_study_data

MOST_TRIALS = 500
WIDTH = 720


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallHistory:
    """A chart of the first objective.

    Attributes:
        title: What it is called.
        svg: The element.
        notes: What is left out, in words.
    """

    title: str
    svg: Markup
    notes: tuple[str, ...]


async def small_history(driver: Driver, project: str, name: str) -> SmallHistory | None:
    """The history; None: no trial has a value.

    Raises:
        NotFound: There is no such study.
    """
    data = await read_study_data(driver, project, name, most=MOST_TRIALS)
    return await asyncio.to_thread(_drawn, data)


def _drawn(data: StudyData) -> SmallHistory | None:
    chart = optimization_history(Selection(data.recording))
    if not chart.panels[0].marks:
        return None
    drawn = svg.draw(chart, width=WIDTH)
    return SmallHistory(
        title=chart.title, svg=drawn.svg, notes=tuple(filter(None, (data.note, *chart.notes)))
    )
