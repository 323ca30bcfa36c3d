"""A stage tree as SVG: time runs to the right, a branch leaves its parent's band where the values part.

A band is as thick as many trials go through it, on a logarithmic scale. Its state is told by colour and by shape:
what is trained is filled, what is being trained is hatched, what may be trained has a solid edge, what waits a dashed
one. What becomes of trials stands where they end. All text is escaped; there are no scripts, no styles
in attributes, and no outside references, so that a page under a strict policy can hold it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate
from math import log2

from hippo_core.drawings.tree_shape import Placed, TreeShape, short
from hippo_core.tree_node import Folded, TreeNode, TrialEnds

_LINE = 26
_MARKS = 11  #: more of a line below whose bands marks stand
_MARGIN = 12
_RIGHT = 132  #: room for what stands at the end of a band
_TOP = 30
_CHARACTER = 5.8
_THINNEST, _THICKEST = 4.0, 11.0
ENDS: Mapping[str, str] = {
    "completed": "✓",
    "stopped": "■",
    "paused": "‖",
    "diverged": "▲",
    "failed": "✕",
}
"""The mark of each state in which trials end or rest."""

STYLE = """
.hippo-tree text{fill:#777;font:9.5px ui-monospace,monospace}
.hippo-tree .grid{stroke:#8883}
.hippo-tree .joint{stroke:#8a949c;fill:none}
.hippo-tree .trained{fill:#2a7f62}
.hippo-tree .running{stroke:#d9932f}
.hippo-tree .hatch{stroke:#d9932f;stroke-width:3}
.hippo-tree .granted,.hippo-tree .ready{fill:#d9932f22;stroke:#d9932f}
.hippo-tree .waiting{fill:none;stroke:#8a949c;stroke-dasharray:3 2}
.hippo-tree .critical .rest{stroke-width:2}
.hippo-tree .failed,.hippo-tree .diverged{fill:#b3261e}
.hippo-tree .dim{opacity:.3}
"""
"""For a drawing that stands alone; a page has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How a tree is drawn.

    Attributes:
        width: In pixels; the height follows.
        metric: Which metric stands at the end of a band; empty: none.
        folded: What hangs on nodes and is not drawn.
        lit: The nodes to bring out; empty: all alike.
        link: Where a node's band leads, with the number in place of ``{}``; empty: nowhere.
        unfold: Where what is folded is shown, likewise.
        alone: Whether it brings its own style.
    """

    width: int = 900
    metric: str = ""
    folded: Mapping[int, Folded] = field(default_factory=dict)
    lit: Collection[int] = ()
    link: str = ""
    unfold: str = ""
    alone: bool = True


def draw(tree: TreeShape, drawing: Drawing) -> str:
    """The tree as an SVG element."""
    placed = list(tree.placed())
    canvas = _Canvas(tree, drawing, placed)
    height = canvas.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="hippo-tree" viewBox="0 0 {drawing.width} {height}" '
        f'width="{drawing.width}" height="{height}" role="group" aria-label="stage tree">',
        f"<style>{STYLE}</style>" if drawing.alone else "",
        '<defs><pattern id="tree-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path class="hatch" d="M0 0V6" /></pattern></defs>',
        *canvas.axis(),
        *(part for each in placed for part in canvas.branch(each)),
        "</svg>",
    ]
    return "\n".join(filter(None, parts))


class _Canvas:
    def __init__(self, tree: TreeShape, drawing: Drawing, placed: Sequence[Placed]) -> None:
        self.tree = tree
        self.drawing = drawing
        marked = {each.line for each in placed if any(self._marks_below(each.node))}
        lines = 1 + max((each.line for each in placed), default=0)
        heights = (_LINE + _MARKS * (line in marked) for line in range(lines))
        #: Where each line begins, and where the last one ends.
        self.tops = list(accumulate(heights, initial=_TOP))
        self.height = self.tops[-1] + _MARGIN
        self.first = tree.first_step
        self.end = drawing.width - _RIGHT
        self.scale = (self.end - _MARGIN) / max(1, tree.last_step - self.first)
        self.most = max((len(node.trials) for node in tree), default=1)

    def x(self, step: int) -> float:
        return _MARGIN + (step - self.first) * self.scale

    def middle(self, line: int) -> float:
        return self.tops[line] + _LINE - _THICKEST / 2

    def thickness(self, node: TreeNode) -> float:
        share = log2(1 + len(node.trials)) / log2(1 + max(1, self.most))
        return _THINNEST + (_THICKEST - _THINNEST) * share

    def axis(self) -> Iterator[str]:
        last = self.tree.last_step
        wished = max(1, (last - self.first) // 10)
        magnitude = 10 ** (len(str(wished)) - 1)
        every = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= wished)
        for step in range(-(-self.first // every) * every, last + 1, every):
            x = self.x(step)
            yield f'<path class="grid" d="M{x:.1f} 16V{self.height - _MARGIN}" />'
            yield f'<text x="{x:.1f}" y="12" text-anchor="middle">{step}</text>'

    def branch(self, placed: Placed) -> Iterator[str]:
        node = placed.node
        x, end = self.x(node.start), self.x(node.stop)
        middle = self.middle(placed.line)
        thickness = self.thickness(node)
        yield f'<g class="{self._classes(node)}" data-node="{node.node}" data-parent="{_number(node.parent)}">'
        if placed.parent_line is not None:
            top = self.middle(placed.parent_line)
            yield f'<path class="joint" d="M{x:.1f} {top:.1f}V{middle:.1f}" />'
        label = self.tree.label(node)
        told = f"<title>{escape(told_of(node, label))}</title>"
        if self.drawing.link:
            href = escape(self.drawing.link.format(node.node))
            yield f'<a href="{href}" aria-label="{escape(told_of(node, label))}">'
        yield told
        trained = self.x(min(max(node.trained, node.start), node.stop))
        if trained > x:
            yield _band(x, trained, middle, thickness, "trained")
        if end > trained:
            yield _band(trained, end, middle, thickness, f"rest {escape(node.state)}")
        yield from self._words(node, label, x, end, middle)
        yield from self._ends_within(node, middle)
        if self.drawing.link:
            yield "</a>"
        yield from self._end(node, end, middle)
        yield "</g>"

    def _classes(self, node: TreeNode) -> str:
        lit = self.drawing.lit
        words = ["node"]
        if node.critical:
            words.append("critical")
        if lit:
            words.append("lit" if node.node in lit else "dim")
        return " ".join(words)

    def _words(self, node: TreeNode, label: str, x: float, end: float, middle: float) -> Iterator[str]:
        """What stands above a band. Nothing follows a leaf on its line: its words may go on beyond a short band."""
        room = int(((end if self.tree.children(node) else self.end) - x) / _CHARACTER)
        if room < 4:
            return
        text = f"{through(node)} · {label}" if label else through(node)
        text = text if len(text) <= room else text[: room - 1] + "…"
        yield f'<text x="{x + 2:.1f}" y="{middle - _THICKEST / 2 - 3:.1f}">{escape(text)}</text>'

    def _marks_below(self, node: TreeNode) -> Iterator[tuple[int, str]]:
        """Where trials end, or rest, that others go beyond: steps, and what stands there."""
        goes_on = any(child.start == node.stop for child in self.tree.children(node))
        for step in sorted({each.step for each in node.ends if each.step < node.stop or goes_on}):
            marks = [_mark(each) for each in node.ends if each.step == step and each.state in ENDS]
            if marks:
                yield step, " ".join(marks)

    def _ends_within(self, node: TreeNode, middle: float) -> Iterator[str]:
        for step, marks in self._marks_below(node):
            x, y = self.x(step), middle + _THICKEST / 2
            yield f'<path class="joint" d="M{x:.1f} {middle - _THICKEST / 2:.1f}V{y + 2:.1f}" />'
            yield f'<text x="{x + 3:.1f}" y="{y + 9:.1f}">{marks}</text>'

    def _end(self, node: TreeNode, end: float, middle: float) -> Iterator[str]:
        """What stands after a band: the metric at its end, what becomes of its trials, and what is folded."""
        if any(child.start == node.stop for child in self.tree.children(node)):
            return
        x, y = end + 5, middle + 3.5
        words = []
        value = node.metrics.get(self.drawing.metric)
        if value is not None:
            so_far = "" if node.trained >= node.stop else " so far"
            words.append(f"<tspan>{escape(short(value))}{so_far}</tspan>")
        words += [_mark(each) for each in node.ends if each.step == node.stop and each.state in ENDS]
        if node.not_reproducible:
            words.append('<tspan class="failed">≠</tspan>')
        if words:
            yield f'<text x="{x:.1f}" y="{y:.1f}">{" ".join(words)}</text>'
        folded = self.drawing.folded.get(node.node)
        if folded is not None:
            text = f"+{folded.nodes}"
            told = f"{_count(folded.nodes, 'more node')} with {_count(folded.trials, 'trial')} below"
            at = x + _CHARACTER * 14
            words_of = f'<text class="fold" x="{at:.1f}" y="{y:.1f}"><title>{told}</title>{text}</text>'
            href = escape(self.drawing.unfold.format(node.node))
            yield f'<a href="{href}" aria-label="{told}">{words_of}</a>' if self.drawing.unfold else words_of


def _band(x: float, end: float, middle: float, thickness: float, classes: str) -> str:
    width = max(1.0, end - x - 1)
    # As an attribute: in a stylesheet of its own, the address would be another document's.
    hatch = ' fill="url(#tree-hatch)"' if classes.endswith(" running") else ""
    return (
        f'<rect class="{classes}"{hatch} x="{x:.1f}" y="{middle - thickness / 2:.1f}" width="{width:.1f}" '
        f'height="{thickness:.1f}" rx="2" />'
    )


def _mark(ends: TrialEnds) -> str:
    many = f"{ends.count}" if ends.count > 1 else ""
    return f'<tspan class="{escape(ends.state)}">{ENDS[ends.state]}{many}</tspan>'


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _count(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _some(numbers: Collection[int]) -> str:
    shown = ", ".join(str(each) for each, _ in zip(numbers, range(20), strict=False))
    return f"{shown}…" if len(numbers) > 20 else shown


def through(node: TreeNode) -> str:
    """Who goes through a node, in few words."""
    if not node.trials and node.probes:
        return f"probe of {node.probes[0]}" if len(node.probes) == 1 else f"{len(node.probes)} probes"
    return f"trial {node.trials[0]}" if len(node.trials) == 1 else f"{len(node.trials)} trials"


def told_of(node: TreeNode, label: str) -> str:
    """All of a node in lines."""
    trained = max(node.trained, node.start)
    steps = f"steps {node.start} to {node.stop}, trained to {trained}, {node.state}"
    if node.stop == node.start:
        steps = f"failed in the step after {node.start}"
    lines = [
        f"node {node.node}: {steps}",
        label,
        f"{_count(len(node.trials), 'trial')}: {_some(node.trials)}" if node.trials else "",
        f"probes of trials {_some(node.probes)}" if node.probes else "",
        node.reason,
        "on the critical path" if node.critical else "",
        f"{_count(node.steps_saved, 'step')} saved by sharing" if node.steps_saved else "",
        f"{node.seconds:.1f} s of training" if node.seconds else "",
        *(f"{name}: {short(value)}" for name, value in node.metrics.items()),
        "not reproducible: a step trained again gave other metrics" if node.not_reproducible else "",
    ]
    return "\n".join(filter(None, lines))
