"""Draws charts with matplotlib."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from hippo_core.charts.chart import Area, Axis, Bars, Chart, Line, Panel, Points, Text
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
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar in a name is a dollar
}
_BACKED = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
_MARKERS = {"circle": "o", "cross": "x", "diamond": "D", "triangle": "^"}


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
    with matplotlib.rc_context(STYLE):
        pyplot = sys.modules.get("matplotlib.pyplot")
        make: Any = Figure if pyplot is None else pyplot.figure
        figure: Figure = make(figsize=size, layout="constrained")
        # What is left out stands below the title: below the panels is the legend.
        figure.suptitle("\n".join(filter(None, [chart.title, "; ".join(chart.notes)])), fontsize=11)
        for place, panel in enumerate(chart.panels):
            _panel(figure.add_subplot(rows, columns, place + 1), panel)
        if not chart.panels:
            figure.text(0.5, 0.5, "nothing to draw", ha="center", color="#777777")
        if chart.legend:
            _legend(figure)
    return figure


def _panel(axes: Axes, panel: Panel) -> None:
    from matplotlib.collections import PolyCollection

    if not panel.marks:
        axes.text(
            0.5,
            0.5,
            "nothing to draw yet",
            ha="center",
            va="center",
            color="#777777",
            transform=axes.transAxes,
        )
    for order, mark in enumerate(panel.marks, 2):
        match mark:
            case Line():
                axes.plot(
                    mark.x, mark.y, color=mark.colour, label=mark.label or None, linewidth=mark.width,
                    alpha=mark.opacity, linestyle="--" if mark.dashed else "-",
                    drawstyle="steps-post" if mark.steps else "default", zorder=order,
                )  # fmt: skip
            case Points():
                axes.plot(
                    mark.x, mark.y, color=mark.colour, label=mark.label or None, alpha=mark.opacity, linestyle="",
                    marker=_MARKERS[mark.marker], markersize=mark.size, zorder=order,
                )  # fmt: skip
            case Bars():
                # One collection: a patch for each of thousands of bars takes a quarter of a minute.
                axes.add_collection(
                    PolyCollection(
                        _corners(mark), facecolor=mark.colour, alpha=mark.opacity, label=mark.label or None,
                        edgecolor="white", linewidth=0.4, zorder=order,
                    )
                )  # fmt: skip
                axes.autoscale_view()
            case Area():
                axes.fill_between(
                    mark.x, mark.low, mark.high, color=mark.colour, alpha=mark.opacity, label=mark.label or None,
                    linewidth=0, zorder=order,
                )  # fmt: skip
            case Text():
                axes.annotate(
                    mark.text, (mark.x, mark.y), color=mark.colour, fontsize=7.5,
                    bbox=_BACKED if mark.backed else None, annotation_clip=False, zorder=order,
                    ha="left", va="bottom" if mark.above else "center",
                )  # fmt: skip
    if panel.title:
        axes.set_title(panel.title)
    _axis(axes, panel.x, "x")
    _axis(axes, panel.y, "y")


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
        side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        side.set_major_formatter(StrMethodFormatter("{x:g}"))
        side.set_minor_formatter(NullFormatter())
    if axis.ticks is not None:
        texts = [text for _, text in axis.ticks]
        side.set_ticks([place for place, _ in axis.ticks], texts)
        if which == "x" and max(map(len, "\n".join(texts).split("\n")), default=0) * len(texts) > 60:
            axes.tick_params(axis="x", labelrotation=30)
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
                label.set_rotation_mode("anchor")
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


def _legend(figure: Figure) -> None:
    """Each label once, below all panels."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=min(4, len(found)))
