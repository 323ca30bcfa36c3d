"""How well trials do: by number, by steps trained, by step, and as a distribution."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from hippo_core.charts.chart import (
    BLUE,
    FAINT,
    GREY,
    PURPLE,
    VERMILLION,
    Axis,
    Chart,
    Line,
    Mark,
    Panel,
    Points,
)
from hippo_core.charts.selection import Selection
from hippo_core.engine.states import ENDED_TRIAL_STATES, TrialState
from hippo_core.words import plural

MOST_RUNGS = 30  #: of more, lines hide the curves


def optimization_history(selection: Selection) -> Chart:
    """The value of each trial by its number, and the best so far among those that completed.

    Trials that diverged stand beside the worst value that is drawn.
    """
    places = {trial.number: float(trial.number) for trial in selection.recording.trials}
    return _history(selection, places, Axis(label="trial", whole=True), "trial")


def history_by_steps(selection: Selection) -> Chart:
    """The same by how many steps had been trained when a trial ended: what a search has cost until then."""
    timeline = selection.timeline
    grown = timeline.savings()
    places = {}
    for trial in selection.recording.trials:
        ended = timeline.ended(trial)
        if ended is not None:
            at = bisect_left(grown.seconds, ended)
            places[trial.number] = grown.trained[min(at, len(grown.trained) - 1)]
    axis = Axis(label=f"steps trained by then ({selection.unit})", whole=True)
    return _history(selection, places, axis, "steps trained")


def _history(selection: Selection, places: Mapping[int, float], axis: Axis, by: str) -> Chart:
    there = sorted(
        ((places[trial.number], trial, value) for trial, value in selection.valued if trial.number in places),
        key=lambda each: (each[0], each[1].number),
    )
    done = [each for each in there if selection.completed(each[1])]
    stopped = [each for each in there if each[1].state is TrialState.STOPPED]
    going = [each for each in there if each[1].state not in ENDED_TRIAL_STATES]
    marks: list[Mark] = []
    diverged = [each for each in selection.diverged if each.number in places]
    if diverged and there:
        values = [value for *_, value in there]
        worst = min(values) if selection.maximize else max(values)
        marks.append(
            Points(
                x=[places[each.number] for each in diverged], y=[worst] * len(diverged), colour=PURPLE,
                label="diverged", marker="triangle", trials=[each.number for each in diverged],
                tips=[f"trial {each.number} diverged after step {each.step}" for each in diverged],
            )
        )  # fmt: skip
    if going:
        x, trials, y = zip(*going, strict=True)
        marks.append(
            Points(
                x=x, y=y, colour=GREY, label="not over", marker="diamond",
                trials=[each.number for each in trials],
                tips=[f"trial {each.number}, at step {each.step}: {value:.6g}" for _, each, value in going],
            )
        )  # fmt: skip
    if stopped:
        x, trials, y = zip(*stopped, strict=True)
        tips = [f"trial {each.number}, stopped: {value:.6g}" for _, each, value in stopped]
        marks.append(
            Points(
                x=x, y=y, colour=FAINT, label="stopped", marker="square", tips=tips,
                trials=[each.number for each in trials],
            )
        )  # fmt: skip
    if done:
        x, trials, y = zip(*done, strict=True)
        best = list(accumulate(y, max if selection.maximize else min))
        tips = [f"trial {each.number}: {value:.6g}" for _, each, value in done]
        marks.append(Line(x=x, y=best, colour=VERMILLION, label="best so far", steps=True))
        marks.append(
            Points(
                x=x, y=y, colour=BLUE, label="completed", tips=tips, trials=[each.number for each in trials]
            )
        )  # fmt: skip
    panel = Panel(marks=marks, x=axis, y=Axis(label=selection.metric))
    return Chart(
        empty=selection.empty,
        title=f"{selection.recording.name}: {selection.metric} by {by}",
        panels=[panel],
        notes=(*selection.left_out(selection.failed, "failed"), *selection.assumed),
    )


def curves(selection: Selection, *, with_rungs: bool = False) -> Chart:
    """A metric over the steps, a line for each trial.

    Args:
        selection: The study.
        with_rungs: Whether the steps at which trials were compared are marked.
    """
    marks: list[Mark] = []
    ends: list[tuple[float, float, str, int]] = []
    for trial in selection.in_order():
        points = [
            (step, value)
            for step, metrics in sorted(trial.means.items())
            if (value := metrics.get(selection.metric)) is not None
        ]
        if not points:
            continue
        colour, label, opacity, width = selection.look(trial)
        x, y = zip(*points, strict=True)
        tip = f"trial {trial.number}, {trial.state}: {y[-1]:.6g} at step {x[-1]}"
        marks.append(
            Line(
                x=x, y=y, colour=colour, label=label, opacity=opacity, width=width, tip=tip, trial=trial.number
            )
        )  # fmt: skip
        if trial.state is TrialState.STOPPED:
            ends.append((*points[-1], tip, trial.number))
    if ends:
        x, y, tips, trials = zip(*ends, strict=True)
        marks.append(
            Points(x=x, y=y, tips=tips, trials=trials, colour=FAINT, marker="square", size=4, label="stopped")
        )
    heights = [y for mark in marks if isinstance(mark, Line) for y in mark.y]
    steps = sorted(selection.arrived)[:MOST_RUNGS]
    if with_rungs and heights and len(steps) > 1:
        rungs = [
            Line(
                x=[step, step], y=[min(heights), max(heights)], colour=FAINT, width=1.0, dashed=True,
                label="rung: trials are compared",
            )
            for step in steps
        ]  # fmt: skip
        marks = [*rungs, *marks]
    panel = Panel(
        marks=marks, x=Axis(label=f"step ({selection.unit})", whole=True), y=Axis(label=selection.metric)
    )
    return Chart(
        empty=selection.empty,
        title=f"{selection.recording.name}: {selection.metric} by step",
        panels=[panel],
        notes=selection.notes,
    )


def edf(selection: Selection) -> Chart:
    """Which share of the trials that completed is at most so good."""
    values = sorted(value for trial, value in selection.valued if selection.completed(trial))
    marks: list[Mark] = []
    if values:
        share = [(place + 1) / len(values) for place in range(len(values))]
        marks.append(Line(x=[values[0], *values], y=[0.0, *share], colour=BLUE, steps=True, width=2))
    panel = Panel(
        marks=marks,
        x=Axis(label=selection.metric),
        y=Axis(label="share with at most this value", limits=(0.0, 1.02)),
    )
    return Chart(
        empty=selection.empty,
        title=f"{selection.recording.name}: {selection.metric} of {plural(len(values), 'completed trial')}",
        panels=[panel], legend=False, notes=selection.notes,
    )  # fmt: skip
