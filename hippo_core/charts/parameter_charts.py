"""What was drawn, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from hippo_core.charts.chart import (
    BLUE,
    BLUES,
    FAINT,
    GREY,
    VERMILLION,
    Axis,
    Bars,
    Chart,
    Colour,
    Line,
    Mark,
    Marker,
    Panel,
    Points,
    Text,
    told_apart,
)  # fmt: skip
from hippo_core.charts.selection import Selection
from hippo_core.domains import Choice, Domain, Horizon, Integer, Uniform
from hippo_core.engine.states import ENDED_TRIAL_STATES, TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.optuna_words import Drawn
from hippo_core.simulation.recorded_parts import RecordedTrial
from hippo_core.words import known

MOST_CHARACTERS = 28  #: of a tick
_KINDS: tuple[tuple[TrialState | None, Colour, str, Marker], ...] = (
    (TrialState.STOPPED, FAINT, "stopped", "square"),
    (None, GREY, "not over", "diamond"),
    (TrialState.COMPLETED, BLUE, "completed", "circle"),
)


class Parameter:
    """Something drawn, as an axis.

    Args:
        selection: The study.
        name: Of the domain.
    """

    def __init__(self, selection: Selection, name: str) -> None:
        self.name = name
        self._domain: Domain = selection.spec.space.domains[name]
        options: Sequence[Any] = ()
        if isinstance(self._domain, Choice):
            options = Drawn(selection.recording).labels(name)
        elif isinstance(self._domain, Horizon):
            options = selection.spec.lengths
        self._texts = [str(each) for each in options]
        self._options = told_apart(self._texts, MOST_CHARACTERS)
        self._lengths = selection.spec.lengths

    @property
    def log(self) -> bool:
        """Whether it is drawn so."""
        return isinstance(self._domain, Uniform | Integer) and self._domain.log

    @property
    def options(self) -> Sequence[str]:
        """Of a choice, its options' names; else none."""
        return self._options

    def place(self, trial: RecordedTrial) -> float | None:
        """Where a trial is on the axis; None: it has not this parameter."""
        drawn = (trial.assignment or {}).get(self.name)
        if drawn is None:
            return None
        return float(self._lengths.index(int(drawn))) if isinstance(self._domain, Horizon) else float(drawn)  # type: ignore[arg-type]

    def axis(self, most: int = MOST_CHARACTERS) -> Axis:
        """The axis; options have a tick each, of so many characters at most."""
        ticks = [(float(place), text) for place, text in enumerate(told_apart(self._texts, most))] or None
        limits = (-0.5, len(self._options) - 0.5) if self._options else None
        return Axis(label=self.name, log=self.log, ticks=ticks, limits=limits)

    def fraction(self, place: float) -> float:
        """A place on the axis as a number from 0 to 1."""
        if self._options:
            return place / (len(self._options) - 1) if len(self._options) > 1 else 0.5
        domain: Any = self._domain
        low, high = domain.low, domain.high
        if self.log:
            low, high, place = math.log(low), math.log(high), math.log(place)
        return (place - low) / (high - low) if high > low else 0.5

    def at(self, fraction: float) -> float:
        """The place on the axis of a number, not of an option, whose :meth:`fraction` this is."""
        domain: Any = self._domain
        if self.log:
            return float(domain.low * (domain.high / domain.low) ** fraction)
        return float(domain.low + (domain.high - domain.low) * fraction)

    def ends(self) -> list[tuple[float, str]]:
        """What is told on an axis of :meth:`fraction`: fractions and texts."""
        if self._options:
            return [(self.fraction(float(place)), text) for place, text in enumerate(self._options)]
        domain: Any = self._domain
        return [(0.0, f"{domain.low:.3g}"), (1.0, f"{domain.high:.3g}")]


def parameters(selection: Selection, names: Sequence[str] | None) -> list[Parameter]:
    """The parameters of those names; None: all of which trials have different values.

    Raises:
        InvalidStudy: There is no such parameter.
    """
    domains = selection.spec.space.domains
    for name in names or ():
        if name not in domains:
            raise InvalidStudy("params", f"{name!r} is not searched", known(name, domains))
    found = [Parameter(selection, name) for name in (domains if names is None else names)]
    if names is not None:
        return found
    return [each for each in found if len({each.place(trial) for trial, _ in selection.valued} - {None}) > 1]


def _empty(selection: Selection, found: Sequence[Parameter]) -> str:
    """What a chart of parameters says that has nothing to draw."""
    if not selection.spec.space.domains:
        return "the study searches no parameter"
    return selection.empty if found or not selection.valued else "trials differ in no parameter"


def slices(selection: Selection, params: Sequence[str] | None) -> Chart:
    """The value by each parameter; the options of a choice are below each other, so that they can be read."""
    found = parameters(selection, params)
    panels = []
    for parameter in found:
        marks: list[Mark] = []
        for state, colour, label, marker in _KINDS:
            points = [
                (place, value, f"trial {trial.number}: {value:.6g}", trial.number)
                for trial, value in selection.valued
                if (trial.state if trial.state in ENDED_TRIAL_STATES else None) is state
                and (place := parameter.place(trial)) is not None
            ]
            if points:
                places, values, tips, trials = zip(*points, strict=True)
                x, y = (values, places) if parameter.options else (places, values)
                marks.append(
                    Points(x=x, y=y, colour=colour, label=label, marker=marker, tips=tips, trials=trials)
                )
        axes = parameter.axis(), Axis(label=selection.metric)
        x_axis, y_axis = reversed(axes) if parameter.options else axes
        panels.append(Panel(marks=marks, x=x_axis, y=y_axis))
    return Chart(
        empty=_empty(selection, found),
        title=f"{selection.recording.name}: {selection.metric} by parameter",
        panels=panels,
        columns=2,
        width=10.0,
        height=max([3.2, *(1.4 + 0.3 * len(parameter.options) for parameter in found)]),
        notes=selection.notes,
    )


def parallel_coordinate(selection: Selection, params: Sequence[str] | None) -> Chart:
    """A line for each trial through its parameters to its value; the better, the darker."""
    axes = parameters(selection, params)
    values = [value for _, value in selection.valued]
    low, high = min(values, default=0.0), max(values, default=1.0)
    marks: list[Mark] = []

    def height(value: float) -> float:
        return (value - low) / (high - low) if high > low else 0.5

    sign = 1 if selection.maximize else -1
    ranked = sorted(selection.valued, key=lambda each: (each[0].number == selection.best, sign * each[1]))
    ranked = ranked if axes else []
    for trial, value in ranked:
        places = [(x, axis.place(trial)) for x, axis in enumerate(axes)]
        points = [(float(x), axes[x].fraction(place)) for x, place in places if place is not None]
        points.append((float(len(axes)), height(value)))
        good = height(value) if selection.maximize else 1 - height(value)
        best, stopped = trial.number == selection.best, trial.state is TrialState.STOPPED
        colour = VERMILLION if best else FAINT if stopped else BLUES[min(4, int(good * 5))]
        marks.append(
            Line(
                x=[x for x, _ in points],
                y=[y for _, y in points],
                colour=colour,
                width=2.4 if best else 1.0,
                opacity=1.0 if best else 0.5 if stopped else 0.8,
                label=f"best: trial {trial.number}" if best else "stopped" if stopped else "",
                tip=f"trial {trial.number}: {value:.6g}",
                trial=trial.number,
            )
        )
    for x, axis in enumerate([*axes, None] if axes and values else ()):
        marks.append(Line(x=[x, x], y=[0.0, 1.0], colour=GREY, width=1.0))
        ends = [(height(value), f"{value:.4g}") for value in sorted({low, high})]
        for place, text in axis.ends() if axis else ends:
            marks.append(Text(x=x + 0.03, y=place, text=text, backed=True))
    ticks = [(float(x), axis.name) for x, axis in enumerate(axes)] + [(float(len(axes)), selection.metric)]
    panel = Panel(
        marks=marks,
        x=Axis(ticks=ticks, limits=(-0.1, len(axes) + 0.45)),
        y=Axis(hidden=True, limits=(-0.06, 1.06)),
    )
    return Chart(
        empty=_empty(selection, axes), title=f"{selection.recording.name}: parameters and {selection.metric}",
        panels=[panel], width=max(8.0, 2.2 * (len(axes) + 1)), notes=selection.notes,
    )  # fmt: skip


def importances(found: dict[str, float], selection: Selection, evaluator: str) -> Chart:
    """How much of the differences in value each parameter makes."""
    ordered = sorted(found.items(), key=lambda each: each[1])
    rows = [float(place) for place in range(len(ordered))]
    marks: list[Mark] = [
        Bars(begin=[0.0] * len(rows), end=[value for _, value in ordered], y=rows, colour=BLUE)
    ]
    marks += [
        Text(x=value + 0.01, y=row, text=f"{value:.2f}")
        for row, (_, value) in zip(rows, ordered, strict=True)
    ]
    panel = Panel(
        marks=marks if ordered else [],
        x=Axis(label=f"importance for {selection.metric} ({evaluator})", limits=(0.0, 1.1)),
        y=Axis(
            ticks=[(row, name) for row, (name, _) in zip(rows, ordered, strict=True)],
            limits=(-0.6, max(0.6, len(rows) - 0.4)),
        ),
    )
    return Chart(
        empty=selection.empty, title=f"{selection.recording.name}: importance of parameters",
        panels=[panel], legend=False, height=1.6 + 0.4 * len(rows), notes=selection.notes,
    )  # fmt: skip


def front_of(points: Iterable[tuple[float, float]]) -> set[tuple[float, float]]:
    """The pairs that no other one beats, less being better: none is at most as large in both, and not the same."""
    found: set[tuple[float, float]] = set()
    lowest = math.inf
    for x, y in sorted(set(points)):
        if y < lowest:
            found.add((x, y))
            lowest = y
    return found


def pareto_front(selection: Selection, metrics: tuple[str, str] | None) -> Chart:
    """Two metrics of each trial, and those that no other one beats in both.

    Raises:
        InvalidStudy: The study has one objective, and no second metric is given.
    """
    objectives = [each.metric for each in selection.spec.objectives]
    if metrics is None and len(objectives) < 2:
        raise InvalidStudy(
            "metrics", "the study has one objective", "Give metrics=(one, other), or --metric twice."
        )
    one, other = (
        Selection(selection.recording, metric) for metric in metrics or (objectives[0], objectives[1])
    )
    points = [
        (trial, x, y)
        for trial in selection.trials
        if selection.completed(trial)
        and (x := one.value(trial)) is not None
        and (y := other.value(trial)) is not None
    ]
    signs = (-1 if one.maximize else 1, -1 if other.maximize else 1)
    unbeaten = front_of((signs[0] * x, signs[1] * y) for _, x, y in points)
    front = [each for each in points if (signs[0] * each[1], signs[1] * each[2]) in unbeaten]
    behind = [each for each in points if (signs[0] * each[1], signs[1] * each[2]) not in unbeaten]
    marks: list[Mark] = []
    for found, beaten_ones in ((behind, True), (front, False)):
        if found:
            marker: Marker = "circle" if beaten_ones else "diamond"
            marks.append(
                Points(
                    x=[x for _, x, _ in found],
                    y=[y for _, _, y in found],
                    colour=FAINT if beaten_ones else VERMILLION,
                    label="beaten" if beaten_ones else "Pareto front",
                    marker=marker,
                    size=5.0 if beaten_ones else 7.0,
                    tips=[
                        f"trial {trial.number}: {one.metric} {x:.6g}, {other.metric} {y:.6g}"
                        for trial, x, y in found
                    ],
                    trials=[trial.number for trial, _, _ in found],
                )
            )
    better = [
        "" if each.assumed else " (higher is better)" if each.maximize else " (lower is better)"
        for each in (one, other)
    ]
    panel = Panel(
        marks=marks,
        x=Axis(label=f"{one.metric}{better[0]}"),
        y=Axis(label=f"{other.metric}{better[1]}"),
    )
    return Chart(
        title=f"{selection.recording.name}: Pareto front",
        panels=[panel],
        notes=(*selection.notes, *one.assumed, *other.assumed),
    )
