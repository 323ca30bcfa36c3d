"""Draws charts with plotly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hippo_core.charts.chart import Area, Axis, Bars, Chart, Colour, Line, Mark, Points, Text
from hippo_core.errors import HippoError

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MARKERS = {"circle": "circle", "square": "square", "diamond": "diamond", "triangle": "triangle-up"}
_INCH = 96
_FEW = 10  #: whole numbers of no more each have a tick
_ABOVE, _BELOW, _RIGHT = 70, 75, 40  #: pixels for the title, and for the ticks and the name of an axis


def draw(chart: Chart) -> go.Figure:
    """The figure.

    Raises:
        HippoError: plotly is not installed.
    """
    try:
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots
    except ImportError as error:
        raise HippoError(
            "backend='plotly' needs plotly.", "pip install plotly, or use matplotlib."
        ) from error
    columns = min(chart.columns, max(1, len(chart.panels)))
    rows = max(1, math.ceil(len(chart.panels) / columns))
    left = _left(chart)
    width, height = chart.width * _INCH - left - _RIGHT, chart.height * rows * _INCH
    if columns > 1:
        width += columns * max(0.0, left - 80)  # long ticks take no room from the panels
    titles = [each.title for each in chart.panels] or None
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=titles,
        # Between panels there is room for ticks and names of axes, however small the figure is.
        horizontal_spacing=min(0.9 / max(1, columns - 1), (left + 10) / width),
        vertical_spacing=min(0.9 / max(1, rows - 1), _BELOW / height),
    )
    told: set[str] = set()
    for place, panel in enumerate(chart.panels):
        where = {"row": place // columns + 1, "col": place % columns + 1}
        for mark in panel.marks:
            if isinstance(mark, Text):
                # An annotation's place on a logarithmic axis is the exponent; such axes have no texts.
                figure.add_annotation(
                    x=mark.x, y=mark.y, text=_escaped(mark.text), showarrow=False,
                    font={"size": 10, "color": mark.colour}, bgcolor="rgba(255,255,255,0.7)" if mark.backed else None,
                    xanchor="left", yanchor="bottom" if mark.above else "middle", **where,
                )  # fmt: skip
                continue
            *others, last = _traces(go, mark)
            for trace in others:
                trace.showlegend = False
            last.showlegend = bool(mark.label) and mark.label not in told
            told.add(mark.label)
            if mark.label in chart.labels:
                last.legendrank = 100 + list(chart.labels).index(mark.label)
            for trace in (*others, last):
                figure.add_trace(trace, **where)
        figure.update_xaxes(**_axis(panel.x), **where)
        figure.update_yaxes(**_axis(panel.y), **where)
    title = _escaped(chart.title)
    if chart.notes:
        title += f"<br><sup>{_escaped('; '.join(chart.notes))}</sup>"
    if not any(panel.marks for panel in chart.panels):
        figure.add_annotation(
            text=_escaped(chart.empty),
            xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False,
        )  # fmt: skip
        figure.update_xaxes(showticklabels=False)
        figure.update_yaxes(showticklabels=False)
    figure.update_layout(
        title={"text": title, "y": 1 - (34 if chart.notes else 18) / (height + _ABOVE + _BELOW), "yanchor": "top"},
        template="plotly_white", barmode="overlay", showlegend=chart.legend and bool(told - {""}),
        width=width + left + _RIGHT, height=height + _ABOVE + _BELOW,
        margin={"t": _ABOVE, "b": _BELOW, "l": left, "r": _RIGHT},
        # Below the names of the axes, as with matplotlib: beside the panels it takes their room.
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -_BELOW / height, "yanchor": "top"},
    )  # fmt: skip
    return figure


def _left(chart: Chart) -> float:
    """So many pixels the ticks and the name of a vertical axis need."""
    texts = [text for panel in chart.panels if not panel.y.hidden for _, text in panel.y.ticks or ()]
    return 60 + 6.5 * max(map(len, texts), default=2)


def _traces(go: Any, mark: Mark) -> list[Any]:
    named = {"name": _escaped(mark.label), "legendgroup": mark.label} if not isinstance(mark, Text) else {}
    match mark:
        case Line():
            return [
                go.Scatter(
                    x=list(mark.x), y=list(mark.y), mode="lines", opacity=mark.opacity, **named,
                    line={
                        "color": mark.colour, "width": mark.width, "dash": "dash" if mark.dashed else "solid",
                        "shape": "hv" if mark.steps else "linear",
                    },
                    **_tips([mark.tip] * len(mark.x) if mark.tip else ()),
                )
            ]  # fmt: skip
        case Points():
            style = {"color": mark.colour, "size": mark.size * 1.4, "symbol": _MARKERS[mark.marker]}
            return [
                go.Scatter(
                    x=list(mark.x),
                    y=list(mark.y),
                    mode="markers",
                    marker=style,
                    opacity=mark.opacity,
                    **named,
                    **_tips(mark.tips),
                )
            ]
        case Bars():
            widths = [end - begin for begin, end in zip(mark.begin, mark.end, strict=True)]
            return [
                go.Bar(
                    x=widths, y=list(mark.y), base=list(mark.begin), orientation="h", width=mark.height,
                    marker={"color": mark.colour, "line": {"width": 0}}, opacity=mark.opacity,
                    **named, **_tips(mark.tips),
                )
            ]  # fmt: skip
        case Area():
            edge = {"width": 0, "color": mark.colour}
            low = go.Scatter(
                x=list(mark.x),
                y=list(mark.low),
                mode="lines",
                line=edge,
                hoverinfo="skip",
                legendgroup=mark.label,
            )
            high = go.Scatter(
                x=list(mark.x), y=list(mark.high), mode="lines", line=edge, fill="tonexty", hoverinfo="skip",
                fillcolor=_see_through(mark.colour, mark.opacity), **named,
            )  # fmt: skip
            return [low, high]
        case Text():
            return []


def _see_through(colour: Colour, opacity: float) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _tips(tips: Any) -> dict[str, Any]:
    if not tips:
        return {}
    return {"hovertext": [_escaped(tip) for tip in tips], "hoverinfo": "text"}


def _escaped(text: str) -> str:
    """Plotly reads some HTML in texts; what users have written is none."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>")


def _axis(axis: Axis) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": {"text": _escaped(axis.label)},
        "automargin": True,
        "exponentformat": "e",
    }
    limits = axis.limits
    if axis.log:
        found["type"] = "log"
        limits = limits and (math.log10(limits[0]), math.log10(limits[1]))
    if axis.ticks is not None:
        found |= {
            "tickmode": "array",
            "tickvals": [place for place, _ in axis.ticks],
            "ticktext": [_escaped(text) for _, text in axis.ticks],
        }
    elif axis.whole and limits is not None and limits[1] - limits[0] <= _FEW:
        found |= {"tick0": 0, "dtick": 1}
    if limits is not None:
        found["range"] = list(reversed(limits)) if axis.reverse else list(limits)
    elif axis.reverse:
        found["autorange"] = "reversed"
    if axis.hidden:
        found["visible"] = False
    return found
