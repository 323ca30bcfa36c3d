"""All trials of a study, as a table: a page at a time, and as a file."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hippo_core.engine.engine import Engine
from hippo_core.engine.lookup import find_study
from hippo_core.engine.reported_names import ReportedNames
from hippo_core.engine.states import TrialState
from hippo_core.engine.trial_glance import TrialGlance, glance
from hippo_core.engine.trial_views import TrialView, some_trial_views
from hippo_core.objective import Objective
from hippo_core.spreadsheets import cell
from hippo_server.auth.roles import VIEWERS
from hippo_server.web.addresses import segment
from hippo_server.web.page import Page, caller
from hippo_server.web.paging import page_of
from hippo_server.web.site import HEADERS, Site
from hippo_server.web.study import show_tab
from hippo_server.web.trial_table import COMPARISONS, MOST_CONDITIONS, Asked, Column, columns_of

T = TypeVar("T")

PAGE_TRIALS = 100
VIEWS_AT_ONCE = 250  #: while they are gathered, the engine decides nothing
GLANCES_AT_ONCE = 1000  #: the same
MOST_REMEMBERED = 100_000
SHOWN_CONDITIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What of a study its table is made by.

    Attributes:
        study: Its number.
        columns: All columns, by key.
        objective: Its first.
        count: How many trials it has.
    """

    study: int
    columns: Mapping[str, Column]
    objective: Objective
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One page of the trials that fit."""

    known: Known
    asked: Asked
    trials: tuple[TrialView, ...]
    count: int
    page: int
    pages: int


class Remembered:
    """What was found in the study that was looked through last, for the next look."""

    def __init__(self) -> None:
        self._of: tuple[int, int] | None = None
        self._made: dict[int, Mapping[str, Any]] = {}
        self._reported = ReportedNames()

    def hyperparameters(self, term: int, study: int, count: int) -> dict[int, Mapping[str, Any]]:
        """What was made of a study in a term, by trial, to be filled; of one that is too large nothing stays."""
        if count > MOST_REMEMBERED:
            return {}
        self._turn_to(term, study)
        return self._made

    def reported(self, term: int, study: int) -> ReportedNames:
        """What the trials of a study were found to report in a term, to go on."""
        self._turn_to(term, study)
        return self._reported

    def _turn_to(self, term: int, study: int) -> None:
        if self._of != (term, study):
            self._of, self._made, self._reported = (term, study), {}, ReportedNames()


def pages(site: Site) -> tuple[Page, ...]:
    """The table of trials, and the same as CSV."""
    remembered = Remembered()

    async def show(request: Request) -> Response:
        # What stands above the table is fetched by itself, too, and needs none of it.
        wants_table = request.query_params.get("fragment") in (None, "trials")
        return await show_tab(
            site,
            request,
            "trials",
            "study_trials.html",
            listed=await _listed(site, request, remembered) if wants_table else None,
            states=list(TrialState),
            comparisons=list(COMPARISONS),
            conditions_shown=lambda count: min(max(SHOWN_CONDITIONS, count + 1), MOST_CONDITIONS),
            file=f"/studies/{segment(request.path_params['study'])}/trials.csv?"
            + urlencode(
                [
                    each
                    for each in request.query_params.multi_items()
                    if each[0] not in ("fragment", "done", "page")
                ]
            ),
        )

    async def file(request: Request) -> Response:
        known = await _known(site, request, remembered)
        asked = Asked.of(request.query_params, known.columns)
        numbers = await _numbers(site, request, known, asked, remembered)
        return StreamingResponse(
            _rows(site, request, asked.columns, numbers),
            media_type="text/csv",
            headers={**HEADERS, "Content-Disposition": 'attachment; filename="trials.csv"'},
        )

    return (
        Page(path="/studies/{study}/trials", roles={"GET": VIEWERS}, answer=show),
        Page(path="/studies/{study}/trials.csv", roles={"GET": VIEWERS}, answer=file),
    )


async def _listed(site: Site, request: Request, remembered: Remembered) -> Listed:
    known = await _known(site, request, remembered)
    asked = Asked.of(request.query_params, known.columns)
    numbers = await _numbers(site, request, known, asked, remembered)
    page, pages_there = page_of(request.query_params.get("page", "1"), len(numbers), PAGE_TRIALS)
    wanted = numbers[(page - 1) * PAGE_TRIALS : page * PAGE_TRIALS]
    trials = await _read(
        site, request, lambda engine, project, name: some_trial_views(engine, project, name, wanted)
    )
    return Listed(known=known, asked=asked, trials=trials, count=len(numbers), page=page, pages=pages_there)


async def _read(site: Site, request: Request, look: Callable[[Engine, str, str], T]) -> T:
    project, name = caller(request).project, request.path_params["study"]
    return await site.driver.current().read(lambda engine: look(engine, project, name))


async def _known(site: Site, request: Request, remembered: Remembered) -> Known:
    term = site.driver.current().number

    def find_names(engine: Engine, project: str, name: str) -> bool:
        study = find_study(engine.state, project, name)
        return remembered.reported(term, study.id).go_on(engine.state, study, GLANCES_AT_ONCE)

    def look(engine: Engine, project: str, name: str) -> Known:
        study = find_study(engine.state, project, name)
        spec = study.spec
        names = dict.fromkeys([each.metric for each in spec.objectives])
        names.update((name, None) for each in spec.constraints for name in each.metrics)
        names.update(remembered.reported(term, study.id).names)
        return Known(
            study=study.id,
            columns=columns_of(list(names), list(spec.space.kinds)),
            objective=spec.objectives[0],
            count=len(study.trials),
        )

    more = True
    while more:
        more = await _read(site, request, find_names)
        await asyncio.sleep(0)
    return await _read(site, request, look)


async def _numbers(
    site: Site, request: Request, known: Known, asked: Asked, remembered: Remembered
) -> Sequence[int]:
    """The numbers of the trials that are meant, in order. All trials are looked at once, and only where need be."""
    if not asked.filters and asked.sort in ("number", "-number"):
        return range(known.count) if asked.sort == "number" else range(known.count - 1, -1, -1)
    rank = asked.rank(known.columns, known.objective)
    made = remembered.hyperparameters(site.driver.current().number, known.study, known.count)
    found: list[tuple[tuple[Any, ...], int]] = []

    def look(trial: TrialGlance) -> tuple[tuple[Any, ...], int] | None:
        return (rank(trial), trial.number) if asked.fits(trial) else None

    for first in range(0, known.count, GLANCES_AT_ONCE):
        seen = await _read(
            site,
            request,
            lambda engine, project, name, first=first: glance(  # type: ignore[misc]
                engine, project, name, range(first, first + GLANCES_AT_ONCE), made, look
            ),
        )
        found += [each for each in seen if each is not None]
        await asyncio.sleep(0)
    return asked.in_order(found)


async def _rows(
    site: Site, request: Request, columns: Sequence[Column], numbers: Sequence[int]
) -> AsyncIterator[str]:
    """The table as CSV, some trials at a time."""
    yield _csv([cell(each.label) for each in columns])
    for first in range(0, len(numbers), VIEWS_AT_ONCE):
        part = numbers[first : first + VIEWS_AT_ONCE]
        views = await _read(
            site,
            request,
            lambda engine, project, name, part=part: some_trial_views(engine, project, name, part),  # type: ignore[misc]
        )
        yield "".join(_csv([column.cell(each) for column in columns]) for each in views)
        await asyncio.sleep(0)


def _csv(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
