"""Charts as values: what is drawn, whatever draws it.

The modules beside this one make charts of studies; the SDK draws them with matplotlib or plotly, and the dashboard as
SVG. Colours are those
of Okabe and Ito ("Color Universal Design", 2008), which the colour-blind can tell apart; lines and points of two kinds
differ in their form, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Colour(StrEnum):
    """What a mark is painted with; where a theme has colours of its own, they go by these names."""

    BLACK = "#222222"
    GREY = "#7f7f7f"
    FAINT = "#b8b8b8"
    ORANGE = "#e69f00"
    GREEN = "#009e73"
    BLUE = "#0072b2"
    VERMILLION = "#d55e00"
    PURPLE = "#cc79a7"
    BLUE_1 = "#cfe1f2"
    BLUE_2 = "#93c3df"
    BLUE_3 = "#4a97c9"
    BLUE_4 = "#1864aa"
    BLUE_5 = "#08306b"


BLACK, GREY, FAINT, ORANGE, GREEN, BLUE, VERMILLION, PURPLE, *_SHADES = Colour
BLUES = tuple(_SHADES)  #: more is darker

Marker = Literal["circle", "square", "diamond", "triangle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points that are joined.

    Attributes:
        x: Where.
        y: How high.
        colour: Its colour.
        label: In the legend, once for each label; empty: not there.
        width: In points.
        opacity: 1: covers what is behind it.
        dashed: Whether it is.
        steps: Whether each value holds up to the next one.
        tip: Shown where the pointer is, by what can.
        trial: Whose it is; None: nobody's.
    """

    x: Sequence[float]
    y: Sequence[float]
    colour: Colour
    label: str = ""
    width: float = 1.5
    opacity: float = 1.0
    dashed: bool = False
    steps: bool = False
    tip: str = ""
    trial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Points by themselves; ``tips`` and ``trials``, whose they are, are one for each, or none."""

    x: Sequence[float]
    y: Sequence[float]
    colour: Colour
    label: str = ""
    marker: Marker = "circle"
    size: float = 5.0
    opacity: float = 1.0
    tips: Sequence[str] = ()
    trials: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Horizontal bars from ``begin`` to ``end`` at the heights ``y``; ``joined``: no gap parts neighbours."""

    begin: Sequence[float]
    end: Sequence[float]
    y: Sequence[float]
    colour: Colour
    label: str = ""
    height: float = 0.7
    opacity: float = 1.0
    tips: Sequence[str] = ()
    trials: Sequence[int] = ()
    joined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """What lies between two lines."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: Colour
    label: str = ""
    opacity: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that begins at a point; ``backed``: what is behind it is dimmed."""

    x: float
    y: float
    text: str
    colour: Colour = BLACK
    above: bool = False
    backed: bool = False


Mark = Line | Points | Bars | Area | Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis.

    Attributes:
        label: What it shows, with its unit.
        log: Whether it is logarithmic.
        ticks: Where ticks are, and their texts; None: anywhere.
        whole: Whether only whole numbers have ticks.
        limits: From where to where; None: as far as there is something.
        reverse: Whether it runs down, or to the left.
        hidden: Whether it is not shown.
    """

    label: str = ""
    log: bool = False
    ticks: Sequence[tuple[float, str]] | None = None
    whole: bool = False
    limits: tuple[float, float] | None = None
    reverse: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A pair of axes, and what is between them; later marks cover earlier ones."""

    marks: Sequence[Mark]
    x: Axis
    y: Axis
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Panels beside each other, in rows of ``columns`` where there are many.

    Attributes:
        title: Above all of them.
        panels: The panels.
        columns: So many beside each other.
        width: Of all, in inches.
        height: Of a row, in inches.
        legend: Whether labels are told.
        labels: Those that are told first, in order, whichever mark comes first.
        notes: What is left out, below.
        empty: What stands where there is no mark: why.
    """

    title: str
    panels: Sequence[Panel]
    columns: int = 3
    width: float = 8.0
    height: float = 4.2
    legend: bool = True
    labels: Sequence[str] = ()
    notes: Sequence[str] = ()
    empty: str = "nothing to draw yet"


def shortened(text: str, most: int = 28) -> str:
    """A text for a tick; a blank one in quotation marks, as it could not be seen."""
    text = text if text.strip() else f'"{text}"'
    return text if len(text) <= most else text[: most - 1] + "…"


def told_apart(texts: Sequence[str], most: int = 28) -> list[str]:
    """Texts for ticks: shortened, with a number where two would be the same."""
    short = [shortened(text, most) for text in texts]
    return [
        f"{text} ({short[: place + 1].count(text)})" if short.count(text) > 1 else text
        for place, text in enumerate(short)
    ]


def time_unit(seconds: float) -> tuple[float, str]:
    """In what to tell times up to so many seconds: its length in seconds, and its sign."""
    units = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
    return next((unit for unit in units if seconds >= 2 * unit[0]), units[-1])
