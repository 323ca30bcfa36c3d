"""Trials over pairs of parameters: their value, between them too, or their rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, groupby

from hippo_core.charts.chart import BLUES, ORANGE, VERMILLION, Bars, Chart, Mark, Panel, Points
from hippo_core.charts.parameter_charts import Parameter, parameters
from hippo_core.charts.selection import Selection
from hippo_core.engine.states import ENDED_TRIAL_STATES
from hippo_core.simulation.recorded_parts import RecordedTrial

MOST = 4  #: of more parameters there are too many pairs to be seen
_SHORT = 14  #: characters of a tick below a panel
_CELLS = 24  #: of the interpolated value, along an axis of numbers
_FIFTHS = ("worst", "second worst", "middle", "second best", "best")

Place = tuple[float, float]
Cell = tuple[float, float, float]  #: from, to, and the middle


def pair(selection: Selection, names: tuple[str, str], *, by_rank: bool) -> Chart:
    """Trials over two parameters; the better, the darker.

    Args:
        selection: The study.
        names: Of the parameters.
        by_rank: Whether trials are coloured by their rank; else by their value.

    Raises:
        InvalidStudy: There is no such parameter.
    """
    one, other = parameters(selection, names)
    word = "rank" if by_rank else "value"
    return Chart(
        empty=selection.empty,
        title=f"{selection.recording.name}: {selection.metric} by {one.name} and {other.name}, by {word}",
        panels=[
            Panel(
                marks=_Shades(selection, selection.valued, by_rank=by_rank).points(one, other),
                x=one.axis(),
                y=other.axis(),
            )
        ],
        height=5.6,
        notes=selection.notes,
    )


def contour(selection: Selection, names: Sequence[str] | None) -> Chart:
    """The value over each pair of parameters, and between the trials, which are points, what it may be.

    That is the mean of their values, weighted by the inverse square of the distance (Shepard, "A two-dimensional
    interpolation function for irregularly-spaced data", ACM National Conference 1968), on the axes as they are drawn.
    Nothing lies between the options of a choice: each has values of its own, and none where it has no trials.

    Raises:
        InvalidStudy: There is no such parameter.
    """
    return _pairs(selection, names, by_rank=False)


def rank(selection: Selection, names: Sequence[str] | None) -> Chart:
    """Trials over each pair of parameters, by their rank: a few bad values do not hide the others.

    Raises:
        InvalidStudy: There is no such parameter.
    """
    return _pairs(selection, names, by_rank=True)


def _pairs(selection: Selection, names: Sequence[str] | None, *, by_rank: bool) -> Chart:
    over = [each for each in selection.valued if each[0].state in ENDED_TRIAL_STATES]
    found = chosen = parameters(selection, names)
    if names is None:
        having = {each.name: sum(each.place(trial) is not None for trial, _ in over) for each in found}
        chosen = sorted(found, key=lambda each: -having[each.name])[:MOST]
    shades = _Shades(selection, over, by_rank=by_rank)
    panels = []
    for pair_of in combinations(chosen, 2):
        # Long texts have room on the left; the rows of a logarithmic axis would all have heights of their own.
        one, other = sorted(pair_of, key=_room)
        x, y = one.axis(_SHORT), other.axis()
        marks = shades.points(one, other)
        if marks and not by_rank:
            there = shades.there(one, other)
            columns = _cells(one, [place for place, *_ in there])
            rows = _cells(other, [place for _, place, *_ in there])
            marks = [*shades.surface(one, other, columns, rows), *shades.trials(one, other)]
            x = replace(x, limits=(columns[0][0], columns[-1][1]))
            y = replace(y, limits=(rows[0][0], rows[-1][1]))
        panels.append(Panel(marks=marks, x=x, y=y))
    notes = list(selection.notes)
    if len(found) > len(chosen):
        notes.append(f"{MOST} of {len(found)} parameters")
    by = "rank" if by_rank else selection.metric
    return Chart(
        empty="there are no two parameters in which the trials that are drawn differ"
        if over and not panels
        else selection.empty,
        title=f"{selection.recording.name}: {by} by pairs of parameters",
        panels=panels,
        columns=2,
        width=6.5 if len(panels) == 1 else 11.0,
        height=4.4 if len(panels) == 1 else 3.6,
        notes=notes,
        labels=[shades.label(shade) for shade in range(len(BLUES))],
    )


def _room(parameter: Parameter) -> tuple[bool, int]:
    """What is drawn across rather than upwards comes first."""
    longest = max(map(len, parameter.options), default=0)
    return bool(parameter.options), longest or not parameter.log


class _Shades:
    """Which of the blues trials have; the better, the darker."""

    def __init__(
        self, selection: Selection, valued: Sequence[tuple[RecordedTrial, float]], *, by_rank: bool
    ) -> None:
        self._selection = selection
        self._by_rank = by_rank
        self._ranked = sorted(valued, key=lambda each: each[1], reverse=not selection.maximize)
        values = [value for _, value in valued]
        self._low, self._high = min(values, default=0.0), max(values, default=0.0)

    def points(self, one: Parameter, other: Parameter) -> list[Mark]:
        """The trials over two parameters, in their shades."""
        shades: list[list[tuple[float, float, str, int]]] = [[] for _ in BLUES]
        order = {trial.number: place for place, (trial, _) in enumerate(self._ranked)}
        for x, y, trial, value in self.there(one, other):
            rank = order[trial.number] * len(BLUES) // len(order)
            shade = rank if self._by_rank else self._shade(value)
            x, y = _beside(one, x, trial, 0.618034), _beside(other, y, trial, 0.414214)
            shades[shade].append((x, y, f"trial {trial.number}: {value:.6g}", trial.number))
        marks: list[Mark] = []
        for shade, points in enumerate(shades):
            if points:
                xs, ys, tips, trials = zip(*points, strict=True)
                marks.append(
                    Points(
                        x=xs, y=ys, colour=BLUES[shade], label=self.label(shade), tips=tips, trials=trials,
                        size=7.0,
                    )
                )  # fmt: skip
        return marks

    def there(self, one: Parameter, other: Parameter) -> list[tuple[float, float, RecordedTrial, float]]:
        """The trials that have both parameters: where they are, and their values."""
        return [
            (x, y, trial, value)
            for trial, value in self._ranked
            if (x := one.place(trial)) is not None and (y := other.place(trial)) is not None
        ]

    def surface(
        self, one: Parameter, other: Parameter, columns: Sequence[Cell], rows: Sequence[Cell]
    ) -> list[Mark]:
        """What lies between the trials, in their shades."""
        there = self.there(one, other)
        marks: list[Mark] = []
        for low, high, y in rows:
            row = [(begin, end, self._between(one, other, (x, y), there)) for begin, end, x in columns]
            for shade, cells in groupby(row, key=lambda each: each[2]):
                if shade is not None:
                    joined = list(cells)
                    marks.append(
                        Bars(
                            begin=[joined[0][0]], end=[joined[-1][1]], y=[(low + high) / 2], height=high - low,
                            colour=BLUES[shade], label=self.label(shade), joined=True,
                        )
                    )  # fmt: skip
        return marks

    def trials(self, one: Parameter, other: Parameter) -> list[Mark]:
        """The trials as points that are seen on all shades; the best one is larger."""
        there, best = self.there(one, other), self._selection.best
        marks: list[Mark] = []
        for those, colour, size, label in (
            ([each for each in there if each[2].number != best], ORANGE, 4.0, "trial"),
            ([each for each in there if each[2].number == best], VERMILLION, 8.0, f"best: trial {best}"),
        ):
            if those:
                marks.append(
                    Points(
                        x=[_beside(one, x, trial, 0.618034) for x, _, trial, _ in those],
                        y=[_beside(other, y, trial, 0.414214) for _, y, trial, _ in those],
                        colour=colour,
                        label=label,
                        size=size,
                        tips=[f"trial {trial.number}: {value:.6g}" for *_, trial, value in those],
                        trials=[trial.number for *_, trial, _ in those],
                    )
                )
        return marks

    def _between(
        self,
        one: Parameter,
        other: Parameter,
        at: Place,
        there: Sequence[tuple[float, float, RecordedTrial, float]],
    ) -> int | None:
        """The shade of what may be between trials; None: there is none of these options."""
        weights = total = 0.0
        for x, y, _, value in there:
            far_x, far_y = _distance(one, x, at[0]), _distance(other, y, at[1])
            if far_x is not None and far_y is not None:
                weight = 1 / (far_x**2 + far_y**2 + 1e-4)
                weights += weight
                total += weight * value
        return self._shade(total / weights) if weights else None

    def _shade(self, value: float) -> int:
        span = self._high - self._low
        above = (value - self._low) / span if span else 0.5
        good = above if self._selection.maximize else 1 - above
        return min(len(BLUES) - 1, int(good * len(BLUES)))

    def label(self, shade: int) -> str:
        """What a shade is of."""
        if self._by_rank:
            return f"{_FIFTHS[shade]} fifth of the trials"
        fifth = (self._high - self._low) / len(BLUES)
        place = shade if self._selection.maximize else len(BLUES) - 1 - shade
        low = self._low + place * fifth
        return f"{self._selection.metric} {low:.3g} to {low + fifth:.3g}"


def _distance(parameter: Parameter, one: float, other: float) -> float | None:
    """As a part of the axis; None: they are two options, which have no distance."""
    if parameter.options:
        return 0.0 if one == other else None
    return abs(parameter.fraction(one) - parameter.fraction(other))


def _beside(parameter: Parameter, place: float, trial: RecordedTrial, irrational: float) -> float:
    """A little beside the middle of an option, so that trials with the same one do not hide each other."""
    return place + 0.5 * (trial.number * irrational % 1 - 0.5) if parameter.options else place


def _cells(parameter: Parameter, places: Sequence[float]) -> list[Cell]:
    """The cells of an axis as far as there are trials."""
    if parameter.options:
        return [(place - 0.5, place + 0.5, float(place)) for place in range(len(parameter.options))]
    fractions = [parameter.fraction(each) for each in places]
    low, high = max(0.0, min(fractions) - 0.03), min(1.0, max(fractions) + 0.03)
    width = (high - low) / _CELLS
    return [
        (
            parameter.at(low + place * width),
            parameter.at(low + (place + 1) * width),
            parameter.at(low + (place + 0.5) * width),
        )
        for place in range(_CELLS)
    ]
