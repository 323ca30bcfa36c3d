"""What is shared: the stage tree, and what it saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hippo_core.charts.chart import (
    BLUE,
    BLUES,
    GREY,
    ORANGE,
    VERMILLION,
    Area,
    Axis,
    Bars,
    Chart,
    Line,
    Mark,
    Panel,
    Text,
    shortened,
    time_unit,
)  # fmt: skip
from hippo_core.charts.selection import Selection
from hippo_core.drawings.tree_shape import on_lines
from hippo_core.words import percent, plural

MOST_LABELS = 40  #: of more lines none has room for a text
SHARES = ((1, "1 trial"), (2, "2 or 3 trials"), (4, "4 to 7"), (8, "8 to 15"), (16, "16 or more"))


def share(trials: int) -> int:
    """Which of ``SHARES`` so many trials are, and which of the blues they have."""
    return max((place for place, (least, _) in enumerate(SHARES) if least <= trials), default=0)


@dataclass(slots=True)
class _Node:
    node: int
    parent: int | None
    start: int
    stop: int
    stops: list[int]  #: where each trial that goes through it leaves it, or ends
    values: Mapping[str, object]

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Its steps, cut where trials leave it: from, to, and how many trials go through."""
        start = self.start
        for stop in sorted(set(self.stops)):
            yield start, stop, sum(each >= stop for each in self.stops)
            start = stop


def _nodes(selection: Selection) -> dict[int, _Node]:
    """The nodes that the trials go through, parents first, as far as they are trained."""
    found: dict[int, _Node] = {}
    for trial in selection.trials:
        parent: int | None = None
        for node, start, stop in trial.path:
            if node not in found:
                values = dict(selection.recording.sequence(trial).values(start))
                found[node] = _Node(node, parent, start, stop, [], values)
            found[node].stop = max(found[node].stop, stop)
            found[node].stops.append(stop)
            parent = node
    return found


def _placed(nodes: dict[int, _Node]) -> Iterator[tuple[_Node, int, int | None]]:
    """Each node with its line and its parent's; one child goes on on its parent's line, the others below it."""
    children: dict[int | None, list[_Node]] = {}
    for node in nodes.values():
        children.setdefault(node.parent, []).append(node)
    for each in children.values():
        each.sort(key=lambda child: (child.start, child.node))
    return on_lines(children.get(None, []), lambda node: children.get(node.node, []))


def stage_tree(selection: Selection) -> Chart:
    """What was trained once, for how many trials, and where they part; the path of the best trial has an edge."""
    nodes = _nodes(selection)
    common = _common([node for node in nodes.values() if node.parent is None])
    placed = list(_placed(nodes))
    lines = 1 + max((line for _, line, _ in placed), default=0)
    marks: list[Mark] = []
    for node, line, above in placed:
        if above is not None:
            marks.append(Line(x=[node.start] * 2, y=[above, line], colour=GREY, width=0.8))
    best = next((each for each in selection.trials if each.number == selection.best), None)
    on_best = {node: stop for node, _, stop in best.path} if best else {}
    for place, (_, label) in enumerate(SHARES):
        those = [
            (node, line, start, stop, trials)
            for node, line, _ in placed
            for start, stop, trials in node.parts()
            if share(trials) == place
        ]
        if those:
            marks.append(
                Bars(
                    begin=[start for _, _, start, _, _ in those],
                    end=[stop for _, _, _, stop, _ in those],
                    y=[line for _, line, _, _, _ in those],
                    colour=BLUES[place],
                    label=label,
                    height=0.36,
                    tips=[
                        f"node {node.node}, {plural(trials, 'trial')}: {_apart(node, nodes, common)}"
                        for node, _, _, _, trials in those
                    ],
                )
            )
    for node, line, _ in placed:
        if node.node in on_best and best is not None:
            end = min(on_best[node.node], best.step)
            marks.append(
                Line(
                    x=[node.start, end],
                    y=[line + 0.26] * 2,
                    colour=VERMILLION,
                    width=2,
                    label=f"path of the best: trial {best.number}",
                )
            )
    last = max((node.stop for node in nodes.values()), default=1)
    if lines <= MOST_LABELS:
        ends = {node.parent for node in nodes.values()}
        for node, line, _ in placed:
            # A leaf's text may go on beyond its bar; that of others ends where something leaves them.
            leaving = [each.start for each in nodes.values() if each.parent == node.node]
            room = (last * 1.02 if node.node not in ends else min(leaving)) - node.start
            most = int(room / last * 105)
            if most >= 6:
                marks.append(
                    Text(
                        x=node.start + last * 0.004,
                        y=line - 0.22,
                        text=shortened(_apart(node, nodes, common), most),
                        above=True,
                    )
                )
    shown = sum(each.stop - each.start for each in nodes.values())
    alone, name = sum(each.step for each in selection.trials), selection.recording.name
    panel = Panel(
        marks=marks,
        x=Axis(label=f"step ({selection.unit})", whole=True, limits=(0, last * 1.02)),
        y=Axis(hidden=True, reverse=True, limits=(-0.9, lines - 0.3)),
    )
    return Chart(
        empty=selection.empty,
        title=f"{name}: {plural(alone, 'step')} of {plural(len(selection.trials), 'trial')}, {shown} of them different",
        panels=[panel], width=9.0, height=max(2.6, min(16.0, 1.4 + 0.36 * lines)), notes=selection.notes,
    )  # fmt: skip


def _apart(node: _Node, nodes: Mapping[int, _Node], common: Mapping[str, object]) -> str:
    """What sets a node apart from its parent; what sets a root apart is what not all roots have in common."""
    other = common if node.parent is None else nodes[node.parent].values
    apart = {name: value for name, value in node.values.items() if name not in other or other[name] != value}
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in (apart or node.values).items()
    )


def _common(roots: Sequence[_Node]) -> dict[str, object]:
    """The values that all roots have; of a single one none is looked at."""
    if len(roots) < 2:
        return {}
    return {
        name: value
        for name, value in roots[0].values.items()
        if all(name in each.values and each.values[name] == value for each in roots)
    }


def savings(selection: Selection) -> Chart:
    """Steps trained over time, and those that training each trial alone would have taken."""
    found = selection.timeline.savings()
    length, unit = time_unit(found.seconds[-1])
    first = next((place for place, steps in enumerate(found.alone) if steps or found.trained[place]), 0)
    place = max(0, first - 1)
    x = [seconds / length for seconds in found.seconds[place:]]
    trained, alone = found.trained[place:], found.alone[place:]
    marks: list[Mark] = [
        Area(
            x=x,
            low=trained,
            high=[max(pair) for pair in zip(trained, alone, strict=True)],
            colour=ORANGE,
            label="saved by sharing",
        ),
        Line(x=x, y=alone, colour=ORANGE, dashed=True, width=2, label=f"each trial alone: {alone[-1]:.0f}"),
        Line(x=x, y=trained, colour=BLUE, width=2, label=f"trained: {trained[-1]:.0f}"),
    ]
    saved = 1 - trained[-1] / alone[-1] if alone[-1] else 0.0
    panel = Panel(
        marks=marks if alone[-1] else [],
        x=Axis(
            label=f"time since the submission ({unit})",
            limits=(0.0, found.seconds[-1] * 1.02 / length or 1.0),
        ),
        y=Axis(label=f"steps ({selection.unit})"),
    )
    title = f"{selection.recording.name}: {percent(max(0.0, saved))} of the steps saved"
    return Chart(title=title, panels=[panel])
