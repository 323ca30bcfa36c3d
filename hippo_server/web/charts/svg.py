"""Any chart as one SVG element: presentation attributes and classes only, all text escaped, no scripts.

Colours are classes, ``ink-`` and the name of a :class:`~hippo_core.charts.chart.Colour`: a page's stylesheet says what
they are in the light and in the dark; a drawing that stands alone brings its own. Marks that have something to tell
hold a ``title`` and, where they are a trial's, ``data-trial``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from unicodedata import east_asian_width

from markupsafe import Markup

from hippo_core.charts.chart import (
    Area,
    Axis,
    Bars,
    Chart,
    Colour,
    Line,
    Mark,
    Panel,
    Points,
    Text,
    shortened,
)
from hippo_server.web.charts.scales import Scale, linear_ticks, log_ticks, span, thinned, tick_text

MOST_BARS = 2000
MOST_POINTS_OF_A_LINE = 400
WIDTH = 960
_INCH = 72  #: so many pixels for an inch of a chart's height
_CHARACTER = 6.4
_TOP, _RIGHT, _BOTTOM = 10.0, 18.0, 46.0
_LEGEND = 22.0
_LONGEST_TICK = 26

STYLE = """
.hippo-chart{font:12px system-ui,sans-serif;background:#fff}
.hippo-chart text{fill:#1a1e24}
.hippo-chart .tick,.hippo-chart .label{fill:#59616d}
.hippo-chart .grid{stroke:#e6e9ee}
.hippo-chart .axis{stroke:#59616d}
.hippo-chart .fill{fill:var(--ink);stroke:none}
.hippo-chart .stroke{stroke:var(--ink);fill:none}
.hippo-chart .ground{fill:#fff;opacity:.8}
""" + "\n".join(f".ink-{each.name.lower()}{{--ink:{each.value}}}" for each in Colour)
"""For a drawing that stands alone; a page has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A chart as SVG.

    Attributes:
        svg: The element.
        left_out: So many bars are not drawn: the shortest.
    """

    svg: Markup
    left_out: int


def draw(chart: Chart, *, width: int = WIDTH, alone: bool = False) -> Drawn:
    """A chart as SVG.

    Args:
        chart: The chart.
        width: In pixels; the height follows.
        alone: Whether it brings its own style.
    """
    chart, left_out = _fewer_bars(chart)
    panels = chart.panels or (Panel(marks=(), x=Axis(), y=Axis()),)
    columns = min(chart.columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    height = min(1400.0, max(150.0, chart.height * _INCH))
    legend = list(_legend(chart, width)) if chart.legend else []
    lines = 1 + max((line for line, _ in legend), default=-1)
    whole = rows * height + lines * _LEGEND
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="hippo-chart" viewBox="0 0 {width} {whole:.0f}" '
        f'width="{width}" height="{whole:.0f}" role="img" aria-label="{escape(chart.title)}">',
        f"<style>{STYLE}</style>" if alone else "",
    ]
    for place, panel in enumerate(panels):
        left, top = place % columns * (width / columns), place // columns * height
        parts += _PanelCanvas(panel, left, top, width / columns, height, chart.empty).draw()
    for line, part in legend:
        parts.append(f'<g transform="translate(0 {rows * height + line * _LEGEND:.0f})">{part}</g>')
    parts.append("</svg>")
    return Drawn(svg=Markup("\n".join(filter(None, parts))), left_out=left_out)  # noqa: S704 - all text is escaped


def _fewer_bars(chart: Chart) -> tuple[Chart, int]:
    """A chart without its shortest bars, where there are too many; and how many those are."""
    lengths = sorted(
        (
            end - begin
            for panel in chart.panels
            for mark in panel.marks
            if isinstance(mark, Bars)
            for begin, end in zip(mark.begin, mark.end, strict=True)
        ),
        reverse=True,
    )
    if len(lengths) <= MOST_BARS:
        return chart, 0
    shortest, room = lengths[MOST_BARS], MOST_BARS - sum(each > lengths[MOST_BARS] for each in lengths)
    panels = []
    for panel in chart.panels:
        marks: list[Mark] = []
        for mark in panel.marks:
            if isinstance(mark, Bars):
                kept = []
                for place, (begin, end) in enumerate(zip(mark.begin, mark.end, strict=True)):
                    if end - begin > shortest or (end - begin == shortest and room > 0):
                        room -= end - begin == shortest
                        kept.append(place)
                mark = _some_bars(mark, kept)
            marks.append(mark)
        panels.append(replace(panel, marks=marks))
    return replace(chart, panels=panels), len(lengths) - MOST_BARS


def _some_bars(bars: Bars, kept: Sequence[int]) -> Bars:
    return replace(
        bars,
        begin=[bars.begin[place] for place in kept],
        end=[bars.end[place] for place in kept],
        y=[bars.y[place] for place in kept],
        tips=[bars.tips[place] for place in kept] if bars.tips else (),
        trials=[bars.trials[place] for place in kept] if bars.trials else (),
    )


class _PanelCanvas:
    """A pair of axes, and what is between them."""

    def __init__(
        self, panel: Panel, left: float, top: float, width: float, height: float, empty: str
    ) -> None:
        self.panel = panel
        self.empty = empty
        self.edges = left, left + width
        x_values, y_values = _values(panel.marks)
        self.x_log = panel.x.log and min(x_values, default=1.0) > 0
        self.y_log = panel.y.log and min(y_values, default=1.0) > 0
        x_span = panel.x.limits or span(x_values, self.x_log)
        y_span = panel.y.limits or span(y_values, self.y_log)
        self.top = top + _TOP + (16.0 if panel.title else 0.0)
        lines = max((text.count("\n") for _, text in panel.x.ticks or ()), default=0)
        self.bottom = top + height - _BOTTOM - 14.0 * lines
        self.y = _scale(panel.y, y_span, self.bottom, self.top, self.y_log)
        self.y_ticks = self._ticks(panel.y, self.y, (self.bottom - self.top) / 45)
        longest = max((len(text) for _, text in self.y_ticks), default=0)
        self.left = left + (8.0 if panel.y.hidden else 34.0 + _CHARACTER * min(longest, _LONGEST_TICK))
        self.right = left + width - _RIGHT
        self.x = _scale(panel.x, x_span, self.left, self.right, self.x_log)
        self.x_ticks = self._ticks(panel.x, self.x, (self.right - self.left) / 80)

    @staticmethod
    def _ticks(axis: Axis, scale: Scale, wished: float) -> list[tuple[float, str]]:
        """Where ticks are, and their texts; of given ones those that have room."""
        if axis.hidden:
            return []
        if axis.ticks is not None:
            room = abs(scale.end - scale.begin)
            every = max(1, math.ceil(len(axis.ticks) * 14 / max(1.0, room)))
            return list(axis.ticks)[::every]
        low, high = sorted((scale.low, scale.high))
        if scale.log:
            return [(each, tick_text(each)) for each in log_ticks(low, high, max(2, round(wished)))]
        found = linear_ticks(low, high, max(2, round(wished)), whole=axis.whole)
        return [(each, tick_text(each)) for each in found]

    def draw(self) -> Iterator[str]:
        """The panel."""
        yield (
            f'<g class="panel" data-frame="{self.left:.1f} {self.top:.1f} {self.right:.1f} {self.bottom:.1f}" '
            f'data-x="{self.x.low:.10g} {self.x.high:.10g}" data-y="{self.y.low:.10g} {self.y.high:.10g}">'
        )
        middle = (self.left + self.right) / 2
        if self.panel.title:
            place = f'x="{middle:.1f}" y="{self.top - 8:.1f}"'
            yield f'<text {place} text-anchor="middle">{escape(self.panel.title)}</text>'
        if self.panel.marks:
            yield from self._axes()
        else:
            yield (
                # At the left: of a narrow window that is what is seen first.
                f'<text class="label" x="{self.left:.1f}" y="{(self.top + self.bottom) / 2:.1f}">'
                f"{escape(self.empty)}</text>"
            )
        for mark in self.panel.marks:
            yield from self._mark(mark)
        yield "</g>"

    def _axes(self) -> Iterator[str]:
        room = (self.right - self.left) / max(1, len(self.x_ticks))
        for value, text in self.x_ticks:
            x = self.x.place(value)
            yield f'<path class="grid" d="M{x:.1f} {self.top:.1f}V{self.bottom:.1f}"/>'
            for line, words in enumerate(text.split("\n")):
                half = min(_room(words), room) / 2
                at = min(max(x, self.edges[0] + half), self.edges[1] - half)
                yield (
                    f'<text class="tick" x="{at:.1f}" y="{self.bottom + 16 + 14 * line:.1f}" text-anchor="middle">'
                    f"{_fitting(words, room - _CHARACTER)}</text>"
                )
        for value, text in self.y_ticks:
            y = self.y.place(value)
            yield f'<path class="grid" d="M{self.left:.1f} {y:.1f}H{self.right:.1f}"/>'
            yield (
                f'<text class="tick" x="{self.left - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">'
                f"{_fitting(text, _LONGEST_TICK * _CHARACTER)}</text>"
            )
        if not self.panel.y.hidden:
            corner = f"M{self.left:.1f} {self.top:.1f}V{self.bottom:.1f}H{self.right:.1f}"
            yield f'<path class="axis" fill="none" d="{corner}"/>'
        yield from self._labels()

    def _labels(self) -> Iterator[str]:
        width, height = self.right - self.left, self.bottom - self.top
        lines = max((text.count("\n") for _, text in self.x_ticks), default=0)
        if self.panel.x.label:
            yield (
                f'<text class="label" x="{(self.left + self.right) / 2:.1f}" y="{self.bottom + 36 + 14 * lines:.1f}" '
                f'text-anchor="middle">{_fitting(self.panel.x.label, width)}</text>'
            )
        if self.panel.y.label and not self.panel.y.hidden:
            longest = max((min(len(text), _LONGEST_TICK) for _, text in self.y_ticks), default=0)
            x, y = self.left - 18 - _CHARACTER * longest, (self.top + self.bottom) / 2
            yield (
                f'<text class="label" x="{x:.1f}" y="{y:.1f}" transform="rotate(-90 {x:.1f} {y:.1f})" '
                f'text-anchor="middle">{_fitting(self.panel.y.label, height)}</text>'
            )

    def _mark(self, mark: Mark) -> Iterator[str]:
        ink = f"ink-{mark.colour.name.lower()}"
        match mark:
            case Line():
                path = self._path(mark)
                dashed = ' stroke-dasharray="5 4"' if mark.dashed else ""
                yield (
                    f'<path class="{ink} stroke{" mark" if mark.tip else ""}" d="{path}" stroke-width="{mark.width:g}"'
                    f'{_opacity(mark.opacity)}{dashed} stroke-linejoin="round"{_closed("path", mark.tip, mark.trial)}'
                )
            case Points():
                yield f'<g class="{ink} fill {mark.marker}"{_opacity(mark.opacity)}>'
                for place, (x, y) in enumerate(zip(mark.x, mark.y, strict=True)):
                    shape = _shape(mark.marker, self.x.place(x), self.y.place(y), 0.6 * mark.size)
                    yield f'<path class="mark" d="{shape}"{_closed("path", *_told(mark, place))}'
                yield "</g>"
            case Bars():
                half = mark.height / 2
                yield f'<g class="{ink} fill"{_opacity(mark.opacity)}>'
                for place, (begin, end, y) in enumerate(zip(mark.begin, mark.end, mark.y, strict=True)):
                    left, right = self.x.place(begin), self.x.place(end)
                    top, bottom = sorted((self.y.place(y - half), self.y.place(y + half)))
                    yield (
                        f'<rect class="mark" x="{left:.1f}" y="{top:.1f}" width="{max(0.8, right - left - 0.4):.1f}" '
                        f'height="{max(0.8, bottom - top):.1f}"{_closed("rect", *_told(mark, place))}'
                    )
                yield "</g>"
            case Area():
                there = [(self.x.place(x), self.y.place(y)) for x, y in zip(mark.x, mark.high, strict=True)]
                back = [(self.x.place(x), self.y.place(y)) for x, y in zip(mark.x, mark.low, strict=True)]
                corners = "L".join(f"{x:.1f} {y:.1f}" for x, y in (*there, *reversed(back)))
                yield f'<path class="{ink} fill" opacity="{mark.opacity:g}" d="M{corners}Z"/>'
            case Text():
                x, y = self.x.place(mark.x), self.y.place(mark.y) + (-2 if mark.above else 4)
                text = shortened(mark.text, 40)
                if mark.backed:
                    yield (
                        f'<rect class="ground" x="{x - 2:.1f}" y="{y - 11:.1f}" width="{_room(text) + 4:.1f}" '
                        f'height="15" rx="2"/>'
                    )
                yield f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'

    def _path(self, line: Line) -> str:
        xs, ys = thinned(line.x, line.y, MOST_POINTS_OF_A_LINE)
        places = [(self.x.place(x), self.y.place(y)) for x, y in zip(xs, ys, strict=True)]
        if not places:
            return ""
        first, *rest = places
        if len(places) == 1:  # a line of one point is seen as a dot
            return f"M{first[0] - 1.5:.1f} {first[1]:.1f}h3"
        if line.steps:
            return f"M{first[0]:.1f} {first[1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in rest)
        return f"M{first[0]:.1f} {first[1]:.1f}" + "".join(f"L{x:.1f} {y:.1f}" for x, y in rest)


def _scale(axis: Axis, ends: tuple[float, float], begin: float, end: float, log: bool) -> Scale:
    low, high = ends
    if axis.reverse:
        begin, end = end, begin
    return Scale(low=low, high=high, begin=begin, end=end, log=log)


def _values(marks: Iterable[Mark]) -> tuple[list[float], list[float]]:
    """All that is drawn, to the right and upwards."""
    xs: list[float] = []
    ys: list[float] = []
    for mark in marks:
        match mark:
            case Line() | Points():
                xs += mark.x
                ys += mark.y
            case Bars():
                xs += [*mark.begin, *mark.end]
                ys += [y + side for y in mark.y for side in (-mark.height / 2, mark.height / 2)]
            case Area():
                xs += mark.x
                ys += [*mark.low, *mark.high]
            case Text():
                pass
    return xs, ys


def _told(mark: Points | Bars, place: int) -> tuple[str, int | None]:
    return mark.tips[place] if mark.tips else "", mark.trials[place] if mark.trials else None


def _closed(tag: str, tip: str, trial: int | None) -> str:
    """The end of an element, with what it tells."""
    number = "" if trial is None else f' data-trial="{trial}"'
    return f"{number}><title>{escape(tip)}</title></{tag}>" if tip else f"{number}/>"


def _opacity(opacity: float) -> str:
    return "" if opacity == 1.0 else f' opacity="{opacity:g}"'


def _shape(marker: str, x: float, y: float, radius: float) -> str:
    """A marker's outline."""
    r = f"{radius:.1f}"
    two = f"{2 * radius:.1f}"
    match marker:
        case "circle":
            return f"M{x - radius:.1f} {y:.1f}a{r} {r} 0 1 0 {two} 0a{r} {r} 0 1 0-{two} 0"
        case "square":
            return f"M{x - radius:.1f} {y - radius:.1f}h{two}v{two}h-{two}z"
        case "diamond":
            return f"M{x - radius:.1f} {y:.1f}l{r}-{r} {r} {r}-{r} {r}z"
        case _:
            return f"M{x - radius:.1f} {y + radius:.1f}h{two}l-{r}-{two}z"


def _room(text: str) -> float:
    """About how many pixels a text takes."""
    wide = sum(each in "mwMW@%" or east_asian_width(each) in "WF" for each in text)
    return _CHARACTER * (len(text) + 0.7 * wide)


def _fitting(text: str, room: float) -> str:
    """A text that has so many pixels; where it is cut, all of it is told where the pointer is."""
    wide = _room(text) / (_CHARACTER * len(text)) if text else 1.0
    short = shortened(text, max(4, int(room / (_CHARACTER * wide))))
    return escape(text) if short == text else f"<title>{escape(text)}</title>{escape(short)}"


def _legend(chart: Chart, width: float) -> Iterator[tuple[int, str]]:
    """Each label once, with its line."""
    told: set[str] = set()
    line, x = 0, 8.0
    for panel in chart.panels:
        for mark in panel.marks:
            if isinstance(mark, Text) or not mark.label or mark.label in told:
                continue
            told.add(mark.label)
            room = 34 + _CHARACTER * len(mark.label) + 18
            if x + room > width and x > 8:
                line, x = line + 1, 8.0
            words = f'<text class="label" x="{x + 30:.1f}" y="15">{escape(mark.label)}</text>'
            yield line, _swatch(mark, x) + words
            x += room


def _swatch(mark: Line | Points | Bars | Area, x: float) -> str:
    ink = f"ink-{mark.colour.name.lower()}"
    match mark:
        case Line():
            dashed = ' stroke-dasharray="5 4"' if mark.dashed else ""
            return f'<path class="{ink} stroke" stroke-width="{max(1.5, mark.width):g}"{dashed} d="M{x:.1f} 11h22"/>'
        case Points():
            return f'<path class="{ink} fill" d="{_shape(mark.marker, x + 11, 11, 4)}"/>'
        case Bars() | Area():
            opacity = max(0.3, mark.opacity)
            return (
                f'<rect class="{ink} fill" opacity="{opacity:g}" x="{x:.1f}" y="6" width="22" height="10"/>'
            )
