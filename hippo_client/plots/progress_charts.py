"""How well trials do: by number, by step, and as a distribution."""

from __future__ import annotations

from hippo_client.plots.chart import BLUE, FAINT, VERMILLION, Axis, Chart, Line, Mark, Panel, Points
from hippo_client.plots.selection import Selection
from hippo_core.engine.states import TrialState


def optimization_history(selection: Selection) -> Chart:
    """The value of each trial by its number, and the best so far among those that completed."""
    done = [(trial.number, value) for trial, value in selection.valued if selection.completed(trial)]
    stopped = [
        (trial.number, value) for trial, value in selection.valued if trial.state is TrialState.STOPPED
    ]
    marks: list[Mark] = []
    if stopped:
        x, y = zip(*stopped, strict=True)
        tips = [f"trial {number}, stopped: {value:.6g}" for number, value in stopped]
        marks.append(Points(x=x, y=y, colour=FAINT, label="stopped", marker="cross", tips=tips))
    if done:
        x, y = zip(*done, strict=True)
        better = max if selection.maximize else min
        best = [better(y[: place + 1]) for place in range(len(y))]
        tips = [f"trial {number}: {value:.6g}" for number, value in done]
        marks.append(Line(x=x, y=best, colour=VERMILLION, label="best so far", steps=True))
        marks.append(Points(x=x, y=y, colour=BLUE, label="completed", tips=tips))
    panel = Panel(marks=marks, x=Axis(label="trial", whole=True), y=Axis(label=selection.metric))
    return Chart(
        title=f"{selection.recording.name}: {selection.metric} by trial",
        panels=[panel],
        notes=selection.notes,
    )


def curves(selection: Selection) -> Chart:
    """A metric over the steps, a line for each trial."""
    marks: list[Mark] = []
    ends: list[tuple[float, float]] = []
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
        marks.append(Line(x=x, y=y, colour=colour, label=label, opacity=opacity, width=width, tip=tip))
        if trial.state is TrialState.STOPPED:
            ends.append(points[-1])
    if ends:
        x, y = zip(*ends, strict=True)
        marks.append(Points(x=x, y=y, colour=FAINT, marker="cross", size=4, label="stopped"))
    panel = Panel(
        marks=marks, x=Axis(label=f"step ({selection.unit})", whole=True), y=Axis(label=selection.metric)
    )
    return Chart(
        title=f"{selection.recording.name}: {selection.metric} by step", panels=[panel], notes=selection.notes
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
        y=Axis(label="share of the trials with at most this value", limits=(0.0, 1.02)),
    )
    return Chart(
        title=f"{selection.recording.name}: {selection.metric} of {len(values)} completed trials",
        panels=[panel], legend=False, notes=selection.notes,
    )  # fmt: skip
