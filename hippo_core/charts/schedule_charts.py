"""The hyper-parameters of trials over the steps, one above the other; and what becomes of trials at the rungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hippo_core.charts.chart import (
    BLUE,
    FAINT,
    GREY,
    VERMILLION,
    Axis,
    Chart,
    Line,
    Mark,
    Panel,
    Points,
    told_apart,
)  # fmt: skip
from hippo_core.charts.selection import Selection
from hippo_core.domains import Integer, Uniform
from hippo_core.engine.states import TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.simulation.recorded_parts import RecordedTrial
from hippo_core.words import known, plural

MOST_STEPS = 1000  #: of longer trials not every step is looked at
_ABSENT = object()  #: what a trial does not have; None is a value
_WIDE = 30.0  #: from so many times the smallest value on, an axis of schedules is logarithmic


def schedules(selection: Selection, names: Sequence[str] | None) -> Chart:
    """The values of hyper-parameters by step as far as trials have come: those of which not all trials have the same.

    Raises:
        InvalidStudy: There is no such hyper-parameter.
    """
    trials = [trial for trial in selection.in_order() if trial.step]
    there = list(dict.fromkeys(name for trial in trials for name in trial.hyperparameters))
    for name in names or ():
        if name not in there:
            raise InvalidStudy("names", f"{name!r} is no hyper-parameter", known(name, there))
    stride = -(-max((trial.step for trial in trials), default=1) // MOST_STEPS)
    values = {
        trial.number: [
            selection.recording.sequence(trial).values(step) for step in range(0, trial.step, stride)
        ]
        for trial in trials
    }
    panels = []
    for name in names or there:
        lines = {trial.number: [step.get(name, _ABSENT) for step in values[trial.number]] for trial in trials}
        if names is None and len({repr(value) for line in lines.values() for value in line}) < 2:
            continue  # one value for all, all the time
        panels.append(_panel(selection, name, trials, lines, stride))
    return Chart(
        empty="trials have the same values at all steps" if trials else selection.empty,
        title=f"{selection.recording.name}: schedules of {plural(len(trials), 'trial')}",
        panels=panels, columns=2, height=3.4, width=9.0,
        notes=(
            *selection.notes,
            *([f"values at every {stride} steps"] if stride > 1 else ()),
        ),
    )  # fmt: skip


def _panel(
    selection: Selection,
    name: str,
    trials: Sequence[RecordedTrial],
    lines: Mapping[int, Sequence[object]],
    stride: int,
) -> Panel:
    there = [value for line in lines.values() for value in line if value is not _ABSENT]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in there)
    texts = [] if numbers else list(dict.fromkeys(str(value) for value in there))
    ticks = [(float(place), text) for place, text in enumerate(told_apart(texts))] or None
    marks: list[Mark] = []
    drawn: set[tuple[object, ...]] = set()
    for trial in trials:
        best = trial.number == selection.best
        line = lines[trial.number]
        if not best and tuple(line) in drawn:
            continue
        drawn.add(tuple(line))
        colour, label, opacity, width = selection.look(trial)
        points = [
            (step * stride, value if numbers else texts.index(str(value)))
            for step, value in enumerate(line)
            if value is not _ABSENT
        ]
        if not points:
            continue
        x, y = [step for step, _ in points], [float(value) for _, value in points]  # type: ignore[arg-type]
        marks.append(
            Line(
                x=[*x, min(x[-1] + stride, trial.step)],
                y=[*y, y[-1]],
                colour=colour,
                label=label,
                opacity=opacity,
                width=width,
                steps=True,
                tip=f"trial {trial.number}",
                trial=trial.number,
            )
        )
    heights = [value for mark in marks if isinstance(mark, Line) for value in mark.y if value > 0]
    every = [value for mark in marks if isinstance(mark, Line) for value in mark.y]
    domain = selection.spec.space.domains.get(name)
    wide = (
        domain.log
        if isinstance(domain, Uniform | Integer)
        else max(every, default=1.0) > _WIDE * min(every, default=1.0)
    )
    log = numbers and wide and len(heights) == len(every) and bool(every)
    return Panel(
        marks=marks,
        x=Axis(label=f"step ({selection.unit})", whole=True),
        y=Axis(label=name, log=log, ticks=ticks),
    )


def rungs(selection: Selection) -> Chart:
    """At each step at which trials came to rest: who went on from there, and who did not."""
    arrived = selection.arrived
    steps = sorted(arrived)
    place = {step: float(number) for number, step in enumerate(steps)}
    marks: list[Mark] = []
    on: list[tuple[float, float, str, int]] = []
    rest: list[tuple[float, float, str, int]] = []
    for trial in selection.in_order():
        points = []
        for step in steps:
            value = trial.means.get(step, {}).get(selection.metric)
            if trial.number in arrived[step] and value is not None:
                tip = f"trial {trial.number} at step {step}: {value:.6g}"
                points.append((place[step], value, tip, trial.number))
        if not points:
            continue
        best = trial.number == selection.best
        if len(points) > 1:
            marks.append(
                Line(
                    x=[point[0] for point in points],
                    y=[point[1] for point in points],
                    width=2.2 if best else 0.8,
                    colour=VERMILLION if best else GREY,
                    opacity=1.0 if best else 0.5,
                    label=f"best: trial {trial.number}" if best else "",
                )
            )
        ended = trial.state is TrialState.COMPLETED
        on += points if ended else points[:-1]
        rest += [] if ended else points[-1:]
    for found, colour, label, marker in (
        (rest, FAINT, "rests or stopped there", "square"), (on, BLUE, "went on, or completed", "circle"),
    ):  # fmt: skip
        if found:
            x, y, tips, trials = zip(*found, strict=True)
            marks.append(
                Points(x=x, y=y, tips=tips, trials=trials, colour=colour, label=label, marker=marker)  # type: ignore[arg-type]
            )
    numbers = {each.number for each in selection.trials}
    ticks = [(place[step], f"step {step}\n{plural(len(arrived[step] & numbers), 'trial')}") for step in steps]
    panel = Panel(
        marks=marks,
        x=Axis(label=f"rung ({selection.unit}s)", ticks=ticks, limits=(-0.5, max(0.5, len(steps) - 0.5))),
        y=Axis(label=selection.metric),
    )
    return Chart(
        empty=selection.empty,
        title=f"{selection.recording.name}: {selection.metric} at the rungs",
        panels=[panel],
        notes=selection.notes,
    )
