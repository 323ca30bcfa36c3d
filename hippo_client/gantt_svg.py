"""What each slot of a simulation did when, as SVG: a row a slot, time runs to the right.

A row is grey while the slot is there. Training is the darker, the more trials it serves; each study has a hue of its
own. All text is escaped; there are no scripts and no outside references.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from hippo_core.simulation import Activity
from hippo_core.words import plural

if TYPE_CHECKING:
    from hippo_core.simulation import Host, Simulated, Span

_LEFT = 12
_TOP = 44
_BOTTOM = 12
_TALLEST_ROW = 22
_ROWS = 640  #: about how tall all rows are together, where there are many
_CHARACTER = 5.6
_TEXT = "#777"  # readable on white and on black: the drawing does not know the page
_HUES = (158, 212, 32, 276, 96, 336, 188, 60)
_COLOURS: Mapping[Activity, str] = {
    Activity.SAVE: "#d9932f",
    Activity.LOAD: "#8a6fc2",
    Activity.SETUP: "#8d979e",
    Activity.LOST: "#c8443c",
}
_TICKS = 1e9
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def draw(simulated: Simulated, width: int = 1200) -> str:
    """The drawing.

    Args:
        simulated: What a simulation came to.
        width: In pixels; the height follows from the number of slots.
    """
    rows = [(host, slot) for host in simulated.hosts for slot in range(host.slots)]
    row = min(_TALLEST_ROW, max(6, _ROWS // max(1, len(rows))))
    named = max((len(_slot_name(*each)) for each in rows), default=0)
    left = _LEFT + named * _CHARACTER + 6
    height = _TOP + row * len(rows) + _BOTTOM
    end = simulated.makespan_seconds or 1.0
    scale = (width - left - _LEFT) / end
    studies = list(dict.fromkeys(study.study for study in simulated.studies))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="ui-monospace, monospace" font-size="9.5" role="img">',
        f"<title>{escape(_title(simulated, studies))}</title>",
        *_legend(simulated, studies, left),
        *_axis(end, scale, left, height),
        *_names(rows, row),
    ]
    places = {(host.name, slot): _TOP + row * index for index, (host, slot) in enumerate(rows)}
    parts += [_presence(host, end, left, scale, places[host.name, slot], row) for host, slot in rows]
    for span in _merged(simulated.spans):
        parts.append(_bar(span, left, scale, places[span.host, span.slot], row, studies))
    parts.append(_bound(simulated.lower_bound_seconds, scale, left, height))
    parts.append("</svg>")
    return "\n".join(parts)


def _merged(spans: Sequence[Span]) -> Iterator[Span]:
    """The spans, where one goes on as the one before on its slot did, as one."""
    last: dict[tuple[str, int], Span] = {}
    for span in sorted(spans, key=lambda each: each.begin):
        place = (span.host, span.slot)
        before = last.get(place)
        if before is not None and before.end == span.begin and _alike(before, span):
            last[place] = replace(before, end=span.end, stop=span.stop)
            continue
        if before is not None:
            yield before
        last[place] = replace(span)
    yield from last.values()


def _alike(one: Span, other: Span) -> bool:
    same = (one.fence, one.node, one.activity, one.trials) == (
        other.fence, other.node, other.activity, other.trials,
    )  # fmt: skip
    return same and one.stop == other.start


def _title(simulated: Simulated, studies: Sequence[str]) -> str:
    return (
        f"{', '.join(studies)}: {simulated.steps_trained} steps on {simulated.slots} slots "
        f"in {_duration(simulated.makespan_seconds)}"
    )


def _legend(simulated: Simulated, studies: Sequence[str], left: float) -> Iterator[str]:
    entries = [(study, _training(index, 1.0)) for index, study in enumerate(studies)]
    entries += [
        (f"{kind.value} {_duration(simulated.slot_seconds[kind.value])}", colour)
        for kind, colour in _COLOURS.items()
        if simulated.slot_seconds[kind.value] > 0
    ]
    entries.append((f"lower bound {_duration(simulated.lower_bound_seconds)}", ""))
    x = left
    for text, colour in entries:
        if colour:
            yield f'<rect x="{x:.1f}" y="6" width="10" height="10" rx="2" fill="{colour}" />'
        else:
            yield f'<path d="M{x + 5:.1f} 5V17" stroke="{_TEXT}" stroke-dasharray="3 2" fill="none" />'
        yield f'<text x="{x + 14:.1f}" y="15" fill="{_TEXT}">{escape(text)}</text>'
        x += 14 + len(text) * _CHARACTER + 14


def _axis(end: float, scale: float, left: float, height: float) -> Iterator[str]:
    unit, name = next((each for each in _UNITS if end >= 2 * each[0]), _UNITS[-1])
    wished = end / unit / 10
    magnitude = 10.0 ** math.floor(math.log10(wished))
    every = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= wished)
    for number in range(int(end / unit / every) + 1):
        value = number * every
        x = left + value * unit * scale
        yield f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{height - _BOTTOM}" stroke="#8883" />'
        yield (
            f'<text x="{x:.1f}" y="{_TOP - 10}" text-anchor="middle" fill="{_TEXT}">'
            f"{value:g}{' ' + name if number == 0 else ''}</text>"
        )


def _names(rows: Sequence[tuple[Host, int]], row: float) -> Iterator[str]:
    every = math.ceil(10 / row)
    for index, (host, slot) in enumerate(rows):
        if index % every == 0:
            y = _TOP + row * index + row / 2 + 3
            yield f'<text x="{_LEFT}" y="{y:.1f}" fill="{_TEXT}">{escape(_slot_name(host, slot))}</text>'


def _slot_name(host: Host, slot: int) -> str:
    return f"{host.name}/{slot}"


def _presence(host: Host, end: float, left: float, scale: float, y: float, row: float) -> str:
    begin = min(host.joins_seconds, end)
    stop = end if host.lost_seconds is None else min(host.lost_seconds, end)
    return (
        f'<rect x="{left + begin * scale:.2f}" y="{y + 1:.1f}" width="{(stop - begin) * scale:.2f}" '
        f'height="{row - 2:.1f}" fill="#8882" />'
    )


def _bar(span: Span, left: float, scale: float, y: float, row: float, studies: Sequence[str]) -> str:
    x, end = left + span.begin / _TICKS * scale, left + span.end / _TICKS * scale
    width = max(0.3, end - x - (0.6 if end - x > 3 else 0))
    if span.activity is Activity.TRAINING:
        colour = _training(studies.index(span.study), min(1.0, math.log2(max(1, span.trials)) / 6))
    else:
        colour = _COLOURS[span.activity]
    return (
        f'<rect x="{x:.2f}" y="{y + 1:.1f}" width="{width:.2f}" height="{row - 2:.1f}" fill="{colour}">'
        f"<title>{escape(_tooltip(span))}</title></rect>"
    )


def _training(study: int, shared: float) -> str:
    """A study's colour, the darker the more of the trials share what is trained."""
    return f"hsl({_HUES[study % len(_HUES)]}, 48%, {74 - 44 * shared:.0f}%)"


def _tooltip(span: Span) -> str:
    took = _duration((span.end - span.begin) / _TICKS)
    lines = [f"{span.activity.value} {took} for {span.study}, lease {span.fence}"]
    if span.node:
        served = [plural(span.trials, "trial")] if span.trials else []
        served += [plural(span.probes, "probe")] if span.probes else []
        words = f", for {' and '.join(served)}" if served else ""
        lines.append(f"node {span.node}: steps {span.start} to {span.stop}{words}")
    return "\n".join(lines)


def _bound(seconds: float, scale: float, left: float, height: float) -> str:
    x = left + seconds * scale
    return (
        f'<path d="M{x:.1f} {_TOP - 6}V{height - _BOTTOM + 6}" stroke="{_TEXT}" stroke-width="1.5" '
        f'stroke-dasharray="4 3" fill="none" />'
    )


def _duration(seconds: float) -> str:
    unit, name = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{seconds / unit:.4g} {name}"
