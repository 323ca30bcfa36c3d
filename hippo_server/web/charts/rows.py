"""A chart as a table, for those who read rather than see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from hippo_core.charts.chart import Area, Axis, Bars, Chart, Line, Panel, Points, Text

MOST_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One mark, in words.

    Attributes:
        series: What it is one of.
        x: Where.
        y: How high.
        told: What it tells besides.
        trial: Whose it is; None: nobody's.
    """

    series: str
    x: str
    y: str
    told: str
    trial: int | None


def rows(chart: Chart) -> tuple[Row, ...]:
    """The first marks of a chart; of a line with something to tell its last point, of others all points."""
    return tuple(islice((row for panel in chart.panels for row in _rows(panel)), MOST_ROWS))


def _rows(panel: Panel) -> Iterator[Row]:
    for mark in panel.marks:
        match mark:
            case Line() if mark.tip and mark.x:
                x, y = _words(panel.x, mark.x[-1]), _words(panel.y, mark.y[-1])
                yield Row(series=mark.label or panel.y.label, x=x, y=y, told=mark.tip, trial=mark.trial)
            case Line() if mark.label:
                for x_value, y_value in zip(mark.x, mark.y, strict=True):
                    x, y = _words(panel.x, x_value), _words(panel.y, y_value)
                    yield Row(series=mark.label, x=x, y=y, told="", trial=None)
            case Points():
                for place, (x_value, y_value) in enumerate(zip(mark.x, mark.y, strict=True)):
                    yield Row(
                        series=mark.label,
                        x=_words(panel.x, x_value),
                        y=_words(panel.y, y_value),
                        told=mark.tips[place] if mark.tips else "",
                        trial=mark.trials[place] if mark.trials else None,
                    )
            case Bars():
                for place, (begin, end, y_value) in enumerate(zip(mark.begin, mark.end, mark.y, strict=True)):
                    yield Row(
                        series=mark.label,
                        x=f"{begin:.4g} to {end:.4g}",
                        y=_words(panel.y, y_value),
                        told=mark.tips[place] if mark.tips else "",
                        trial=mark.trials[place] if mark.trials else None,
                    )
            case Line() | Area() | Text():
                pass


def _words(axis: Axis, value: float) -> str:
    """A value as its axis writes it."""
    return next(
        (text.replace("\n", ", ") for place, text in axis.ticks or () if place == value), f"{value:.6g}"
    )
