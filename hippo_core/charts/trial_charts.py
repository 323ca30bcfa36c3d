"""One trial over its steps: what it measured, and the values of its hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hippo_core.charts.chart import (
    BLUE,
    GREY,
    ORANGE,
    Area,
    Axis,
    Chart,
    Line,
    Mark,
    Panel,
    Points,
    told_apart,
)
from hippo_core.engine.trial_detail import EvaluationView, TrialDetail

MOST_PANELS = 12
MOST_STEPS = 1000  #: of longer trials not every step is drawn
FEW_POINTS = 60  #: up to so many, each evaluation is a point, too
_WIDE = 30.0  #: from so many times the smallest value on, an axis is logarithmic


def metrics(detail: TrialDetail) -> Chart:
    """A trial's metrics by step: what was evaluated, over repeats with their spread, and what training returned."""
    evaluated = _names(detail.history)
    names = list(dict.fromkeys([*evaluated, *_names(detail.training)]))
    panels = [_metric(detail, name) for name in names[:MOST_PANELS]]
    left_out = len(names) - len(panels)
    return Chart(
        title=f"Metrics of trial {detail.trial.number} by step",
        panels=panels,
        columns=2,
        height=3.2,
        legend=bool(detail.training) or bool(detail.repeats),
        notes=(f"{left_out} more metrics are not drawn",) if left_out else (),
    )


def values(detail: TrialDetail) -> Chart:
    """The values of those of a trial's hyper-parameters that change, by step, as far as it has come."""
    stride = -(-len(detail.values) // MOST_STEPS) or 1
    steps = range(0, len(detail.values), stride)
    names = list(dict.fromkeys(name for each in detail.values[:1] for name in each))
    changing = [
        name for name in names if any(each.get(name) != detail.values[0][name] for each in detail.values)
    ]
    panels = [_value(detail.values, steps, name) for name in changing[:MOST_PANELS]]
    left_out = len(changing) - len(panels)
    notes = [f"values at every {stride} steps"] if stride > 1 else []
    notes += [f"{left_out} more are not drawn"] if left_out else []
    return Chart(
        title=f"Values of trial {detail.trial.number} by step",
        panels=panels,
        columns=2,
        height=2.8,
        legend=False,
        notes=tuple(notes),
    )


def _names(history: Sequence[EvaluationView]) -> list[str]:
    return list(dict.fromkeys(name for each in history for name in each.metrics))


def _points(history: Sequence[EvaluationView], name: str) -> tuple[list[float], list[float]]:
    found = [(each.step, value) for each in history if (value := each.metrics.get(name)) is not None]
    return [float(step) for step, _ in found], [value for _, value in found]


def _metric(detail: TrialDetail, name: str) -> Panel:
    marks: list[Mark] = []
    spread = [
        (float(each.step), value, deviation)
        for each in detail.history
        if (value := each.metrics.get(name)) is not None and (deviation := each.spread.get(name)) is not None
    ]
    if spread:
        marks.append(
            Area(
                x=[step for step, _, _ in spread],
                low=[value - deviation for _, value, deviation in spread],
                high=[value + deviation for _, value, deviation in spread],
                colour=BLUE,
                label="standard deviation",
            )
        )
    for repeat in detail.repeats:
        x, y = _points(repeat.history, name)
        if x:
            tip = f"repeat {repeat.repeat}"
            marks.append(Line(x=x, y=y, colour=GREY, label="repeats", width=1.0, opacity=0.6, tip=tip))
    for history, colour, label in (
        (detail.training, ORANGE, "in training"),
        (detail.history, BLUE, "mean of repeats" if detail.repeats else "evaluated"),
    ):
        x, y = _points(history, name)
        if not x:
            continue
        marks.append(Line(x=x, y=y, colour=colour, label=label, dashed=history is detail.training))
        if len(x) <= FEW_POINTS:
            tips = [f"step {step:.0f}: {value:.6g}" for step, value in zip(x, y, strict=True)]
            marks.append(Points(x=x, y=y, colour=colour, size=4.0, tips=tips))
    return Panel(marks=marks, x=Axis(label="step", whole=True), y=Axis(label=name))


def _value(values: Sequence[Mapping[str, Any]], steps: Sequence[int], name: str) -> Panel:
    found = [(step, values[step][name]) for step in steps if name in values[step]]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for _, value in found)
    texts = [] if numbers else list(dict.fromkeys(str(value) for _, value in found))
    x = [float(step) for step, _ in found]
    y = [float(value) if numbers else float(texts.index(str(value))) for _, value in found]
    log = numbers and min(y) > 0 and max(y) > _WIDE * min(y)
    ticks = [(float(place), text) for place, text in enumerate(told_apart(texts))] or None
    line = Line(x=[*x, float(len(values))], y=[*y, y[-1]], colour=BLUE, steps=True)
    return Panel(marks=[line], x=Axis(label="step", whole=True), y=Axis(label=name, log=log, ticks=ticks))
