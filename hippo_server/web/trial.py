"""One trial: its state and why, curves, schedules, path, checkpoints, what happened to it, and its log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hippo_core.byte_sizes import bytes_in_words
from hippo_core.charts import trial_charts
from hippo_core.charts.chart import Chart
from hippo_core.engine.checkpoint_views import KeptView, kept_checkpoints
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import PathFailed
from hippo_core.engine.lookup import find_study
from hippo_core.engine.states import TrialState
from hippo_core.engine.trial_detail import TrialDetail, forked_from, lease_parts, trial_detail
from hippo_core.probes import in_words as probe_in_words
from hippo_core.retention import Need
from hippo_server.auth.roles import VIEWERS
from hippo_server.web.addresses import trial_number
from hippo_server.web.charts import svg
from hippo_server.web.page import Page, caller
from hippo_server.web.site import Site
from hippo_server.web.study import show_tab
from hippo_wire.v1 import study_pb2

TAIL_CHARACTERS = 12_000
LOG_CHARACTERS = 200_000  #: on a page of the log
MOST_CHILDREN = 100
MOST_HAPPENINGS = 500

#: How a failure's reason begins, or what is in it, and what to do about it; the last one fits any.
REMEDIES = (
    ("Out of memory", "Take the smaller batch that the reason names, or fewer slots on that worker."),
    (
        "stalled at",
        "The log ends with where it stood: a lock, a data loader that died, a network. Where a step takes that "
        "long, the server needs a larger --stall-seconds.",
    ),
    ("quarantined", "Look at the hosts that it names: their kernel's log tells what killed the workers."),
    ("was killed by", "The log ends with the stack that called into native code."),
    ("", "Mend the trainer and submit again: changed code is another program, and trains anew."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A trial on its page.

    Attributes:
        detail: All that is known of it.
        children: The trials that were forked from it.
        kept: Its checkpoints, and why each is kept.
    """

    detail: TrialDetail
    children: tuple[int, ...]
    kept: tuple[KeptView, ...]

    @property
    def environment(self) -> dict[str, Any]:
        """What its path is trained in; empty before the first lease."""
        return dict(json.loads(self.detail.environment)) if self.detail.environment else {}

    @property
    def has_failed(self) -> bool:
        """Whether somebody has to do something about it."""
        return self.detail.trial.state in (TrialState.FAILED, TrialState.DIVERGED)

    @property
    def remedy(self) -> str:
        """What to do about its failure."""
        if self.detail.trial.state is TrialState.DIVERGED:
            return (
                "A metric was no finite number: the hyper-parameters are beyond what trains, or the trainer has "
                "a fault there."
            )
        return next(remedy for word, remedy in REMEDIES if word in self.detail.trial.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A part of what a trial's trainer printed.

    Attributes:
        text: The part.
        start: Where it begins, in characters of the whole.
        more: Whether more follows.
    """

    text: str
    start: int
    more: bool = False

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)


def pages(site: Site) -> tuple[Page, ...]:
    """A trial, and its log."""

    async def show(request: Request) -> Response:
        fragment = request.query_params.get("fragment")
        shown = await _shown(site, request) if fragment in (None, "trial", "failure", "log") else None
        return await show_tab(
            site,
            request,
            "trials",
            "trial.html",
            number=trial_number(request.path_params),
            shown=shown,
            trace=await _trace(site, request, shown) if fragment in (None, "failure") else "",
            happenings=await _happenings(site, request) if fragment in (None, "story") else (),
            log=await _tail(site, request) if fragment in (None, "log", "failure") else None,
            drawn=lambda chart: svg.draw(chart).svg,
            metrics_chart=lambda: _filled(trial_charts.metrics(shown.detail)) if shown else None,
            values_chart=lambda: _filled(trial_charts.values(shown.detail)) if shown else None,
            pinned=Need.PINNED.name.lower(),
            probe_in_words=probe_in_words,
            bytes_in_words=bytes_in_words,
            most_children=MOST_CHILDREN,
            most_happenings=MOST_HAPPENINGS,
        )

    async def show_log(request: Request) -> Response:
        asked = request.query_params.get("offset", "")
        offset = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 15 else 0
        return await show_tab(
            site,
            request,
            "trials",
            "trial_log.html",
            number=trial_number(request.path_params),
            log=await _part(site, request, offset),
            page_characters=LOG_CHARACTERS,
        )

    return (
        Page(path="/studies/{study}/trials/{trial}", roles={"GET": VIEWERS}, answer=show),
        Page(path="/studies/{study}/trials/{trial}/log", roles={"GET": VIEWERS}, answer=show_log),
    )


def _filled(chart: Chart) -> Chart | None:
    return chart if chart.panels else None


async def _shown(site: Site, request: Request) -> Shown:
    project, name = caller(request).project, request.path_params["study"]
    number = trial_number(request.path_params)

    def look(engine: Engine) -> Shown:
        detail = trial_detail(engine, project, name, number)
        own = {(each.node, each.step, each.fence) for each in detail.checkpoints}
        kept = kept_checkpoints(engine, project, name).checkpoints if own else ()
        return Shown(
            detail=detail,
            children=forked_from(engine, project, name, number),
            kept=tuple(
                sorted(
                    (each for each in kept if (each.node, each.step, each.fence) in own),
                    key=lambda each: (each.step, each.fence),
                )
            ),
        )

    return await site.driver.current().read(look)


async def _trace(site: Site, request: Request, shown: Shown | None) -> str:
    """Where in the user's code a trial that failed did so; empty where nobody knows."""
    if shown is None or shown.detail.trial.state is not TrialState.FAILED:
        return ""
    project, name = caller(request).project, request.path_params["study"]
    number = shown.detail.trial.number
    study, nodes = await site.driver.current().read(
        lambda engine: (
            find_study(engine.state, project, name).id,
            lease_parts(engine, project, name, number),
        )
    )
    told = await asyncio.to_thread(site.driver.store.trial_events, study, number, nodes, ())
    traces = [each.event.traceback for each in told if isinstance(each.event, PathFailed)]
    return traces[-1][-TAIL_CHARACTERS:] if traces else ""


async def _happenings(site: Site, request: Request) -> list[study_pb2.TrialEvent]:
    message = study_pb2.ExplainTrialRequest(
        name=request.path_params["study"], trial=trial_number(request.path_params)
    )
    answer = await site.calls.call(request, "StudyService/ExplainTrial", message)
    return list(answer.events)


async def _pieces(site: Site, request: Request) -> AsyncIterator[str]:
    """The whole log, piece by piece; each lease's part begins with a line on it."""
    message = study_pb2.ReadTrialLogRequest(
        name=request.path_params["study"], trial=trial_number(request.path_params)
    )
    lease = None
    async for each in site.calls.stream(request, "StudyService/ReadTrialLog", message):
        if (each.node, each.fence) != lease and each.fence:
            lease = (each.node, each.fence)
            yield f"--- node {each.node}, lease {each.fence}\n"
        yield each.text


async def _tail(site: Site, request: Request) -> Log:
    text, whole = "", 0
    async for piece in _pieces(site, request):
        whole += len(piece)
        text = (text + piece)[-TAIL_CHARACTERS:]
    return Log(text=text, start=whole - len(text))


async def _part(site: Site, request: Request, offset: int) -> Log:
    """A page of the log, from so many characters on."""
    parts: list[str] = []
    begin, room = 0, LOG_CHARACTERS
    async for piece in _pieces(site, request):
        wanted = piece[max(0, offset - begin) :]
        begin += len(piece)
        if len(wanted) > room:
            parts.append(wanted[:room])
            return Log(text="".join(parts), start=offset, more=True)
        parts.append(wanted)
        room -= len(wanted)
    return Log(text="".join(parts), start=min(offset, begin))
