"""Draws charts with matplotlib, in its style: where that has a dark background, in colours for it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hippo_core.charts.chart import Area, Axis, Bars, Chart, Colour, Line, Mark, Panel, Points, Text
from hippo_core.errors import HippoError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: Any = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar in a name is a dollar
}
_ON_DARK: Mapping[Colour, str] = {
    Colour.BLACK: "#e8e8e8", Colour.GREY: "#949494", Colour.FAINT: "#6d747d", Colour.ORANGE: "#e69f00",
    Colour.GREEN: "#2cb890", Colour.BLUE: "#4da6dd", Colour.VERMILLION: "#f08040", Colour.PURPLE: "#d98fb8",
    Colour.BLUE_1: "#35516e", Colour.BLUE_2: "#38709d", Colour.BLUE_3: "#3f86bd", Colour.BLUE_4: "#6fb3e6",
    Colour.BLUE_5: "#c4e2fa",
}  # fmt: skip
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle": "^"}


def draw(chart: Chart) -> Figure:
    """The figure. Where ``matplotlib.pyplot`` is imported already, it is one of its: ``plt.show()`` shows it.

    Raises:
        HippoError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise HippoError("Plots need matplotlib.", "pip install 'hippo-hpo[plots]'") from error
    columns = min(chart.columns, max(1, len(chart.panels)))
    rows = max(1, math.ceil(len(chart.panels) / columns))
    size = (chart.width, chart.height * rows)
    with matplotlib.rc_context({**STYLE, "grid.color": "#333333" if _dark() else "#e6e6e6"}):
        pyplot = sys.modules.get("matplotlib.pyplot")
        make: Any = Figure if pyplot is None else pyplot.figure
        figure: Figure = make(figsize=size, layout="constrained")
        # What is left out stands below the title: below the panels is the legend.
        figure.suptitle("\n".join(filter(None, [chart.title, "; ".join(chart.notes)])), fontsize=11)
        for place, panel in enumerate(chart.panels):
            _panel(figure.add_subplot(rows, columns, place + 1), panel, chart.width / columns, chart.empty)
        if not chart.panels:
            figure.text(0.5, 0.5, chart.empty, ha="center", color="#777777")
        if chart.legend:
            _legend(figure, chart.labels)
    return figure


def _dark() -> bool:
    """Whether the background of the style is dark."""
    import matplotlib
    from matplotlib.colors import to_rgb

    return sum(to_rgb(matplotlib.rcParams["axes.facecolor"])) < 1.5


def _panel(axes: Axes, panel: Panel, width: float, empty: str) -> None:
    dark = _dark()
    for order, mark in enumerate(panel.marks, 2):
        _mark(axes, mark, order, _ON_DARK[mark.colour] if dark else mark.colour)
    if panel.title:
        axes.set_title(panel.title)
    _axis(axes, panel.x, "x")
    _axis(axes, panel.y, "y")
    if not panel.marks:
        axes.set(xticks=[], yticks=[])
        axes.text(
            0.5, 0.5, empty, ha="center", va="center", color="#777777", transform=axes.transAxes
        )  # fmt: skip
    elif panel.x.ticks and _longest(panel.x) * len(panel.x.ticks) > 10 * width - _longest(panel.y):
        axes.tick_params(axis="x", labelrotation=30)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")


def _longest(axis: Axis) -> int:
    """So many characters its longest tick has."""
    return max((len(line) for _, text in axis.ticks or () for line in text.split("\n")), default=0)


def _mark(axes: Axes, mark: Mark, order: int, colour: str) -> None:
    from matplotlib.collections import PolyCollection

    match mark:
        case Line():
            axes.plot(
                mark.x, mark.y, color=colour, label=mark.label or None, linewidth=mark.width,
                alpha=mark.opacity, linestyle="--" if mark.dashed else "-",
                drawstyle="steps-post" if mark.steps else "default", zorder=order,
            )  # fmt: skip
        case Points():
            axes.plot(
                mark.x, mark.y, color=colour, label=mark.label or None, alpha=mark.opacity, linestyle="",
                marker=_MARKERS[mark.marker], markersize=mark.size, zorder=order,
            )  # fmt: skip
        case Bars():
            # One collection: a patch for each of thousands of bars takes a quarter of a minute.
            axes.add_collection(
                PolyCollection(
                    _corners(mark), facecolor=colour, alpha=mark.opacity, label=mark.label or None,
                    edgecolor="face" if mark.joined else axes.get_facecolor(), linewidth=0.4, zorder=order,
                )
            )  # fmt: skip
            axes.autoscale_view()
        case Area():
            axes.fill_between(
                mark.x, mark.low, mark.high, color=colour, alpha=mark.opacity, label=mark.label or None,
                linewidth=0, zorder=order,
            )  # fmt: skip
        case Text():
            behind = {"facecolor": axes.get_facecolor(), "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
            axes.annotate(
                mark.text, (mark.x, mark.y), color=colour, fontsize=7.5, bbox=behind if mark.backed else None,
                annotation_clip=False, zorder=order, ha="left", va="bottom" if mark.above else "center",
            )  # fmt: skip


def _corners(bars: Bars) -> list[list[tuple[float, float]]]:
    half = bars.height / 2
    return [
        [(begin, y - half), (end, y - half), (end, y + half), (begin, y + half)]
        for begin, end, y in zip(bars.begin, bars.end, bars.y, strict=True)
    ]


def _axis(axes: Axes, axis: Axis, which: str) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    side: Any = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}label")(axis.label)
    if axis.log:
        getattr(axes, f"set_{which}scale")("log")
        low, high = sorted(getattr(axes, f"get_{which}lim")())
        # 1, 2, 5 of one decade have room beside each other, those of several have not.
        close = (1.0, 2.0, 5.0) if low > 0 and high / low < 100 else (1.0,)
        side.set_major_locator(LogLocator(subs=close, numticks=7))
        side.set_major_formatter(StrMethodFormatter("{x:g}"))
        side.set_minor_formatter(NullFormatter())
    if axis.ticks is not None:
        side.set_ticks([place for place, _ in axis.ticks], [text for _, text in axis.ticks])
    elif axis.whole:
        side.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    elif not axis.log and which == "x":
        side.set_major_locator(MaxNLocator(nbins=6))
    if axis.limits is not None:
        getattr(axes, f"set_{which}lim")(*axis.limits)
    if axis.reverse:
        getattr(axes, f"invert_{which}axis")()
    if axis.hidden:
        side.set_visible(False)
        axes.spines["left" if which == "y" else "bottom"].set_visible(False)


def _legend(figure: Figure, first: Sequence[str]) -> None:
    """Each label once, below all panels."""
    found: dict[str, Any] = dict.fromkeys(first)
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if found.get(label) is None:
                found[label] = handle
    found = {label: handle for label, handle in found.items() if handle is not None}
    if found:
        room = int(figure.get_figwidth() * 13 / (8 + max(map(len, found))))
        columns = max(1, min(4, room, len(found)))
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns)
