"""A stage tree as SVG: time runs to the right, a branch leaves its parent's bar where the values part.

The first branch that continues a bar at its end stays on the bar's line; the others go below it, the latest
nearest, so that no connector crosses a bar. All text is escaped; there are no scripts and no outside
references.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hippo_client.stage_tree import StageTree, TreeNode

_LINE = 26
_BAR = 8
_MARGIN = 12
_TOP = 30
_CHARACTER = 5.6
_TRAINED = "#2a7f62"
_RUNNING = "#d9932f"
_WAITING = "#b9c2c9"
_TEXT = "#777"  # readable on white and on black: the drawing does not know the page


@dataclass(frozen=True, slots=True)
class _Placed:
    node: TreeNode
    line: int
    parent_line: int | None


def draw(tree: StageTree, width: int) -> str:
    """The drawing.

    Args:
        tree: The tree.
        width: In pixels; the height follows.
    """
    placed = list(_place(tree))
    height = _TOP + _LINE * (1 + max((each.line for each in placed), default=0)) + _MARGIN
    scale = (width - 2 * _MARGIN) / tree.last_step
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="ui-monospace, monospace" font-size="9.5" role="img">',
        f"<title>{escape(repr(tree)[1:-1])}</title>",
        *_axis(tree.last_step, scale, width, height),
        *(part for each in placed for part in _branch(tree, each, scale, width)),
        "</svg>",
    ]
    return "\n".join(parts)


def _place(tree: StageTree) -> Iterator[_Placed]:
    free = 0
    # Last in, first out: what is drawn nearest is pushed last. None: on the next free line.
    stack: list[tuple[TreeNode, int | None, int | None]] = [
        (root, None, None) for root in reversed(tree.roots)
    ]
    while stack:
        node, line, parent_line = stack.pop()
        if line is None:
            line, free = free, free + 1
        yield _Placed(node, line, parent_line)
        children = tree.children(node)
        onward = next((child for child in children if child.start == node.stop), None)
        # children come earliest first, so the latest is pushed last and gets the nearest line
        stack += [(child, None, line) for child in children if child is not onward]
        if onward is not None:
            stack.append((onward, line, None))


def _axis(last_step: int, scale: float, width: int, height: int) -> Iterator[str]:
    wished = max(1, last_step // 10)
    magnitude = 10 ** (len(str(wished)) - 1)
    every = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= wished)
    for step in range(0, last_step + 1, every):
        x = _MARGIN + step * scale
        yield f'<line x1="{x:.1f}" y1="16" x2="{x:.1f}" y2="{height - _MARGIN}" stroke="#8883" />'
        yield f'<text x="{x:.1f}" y="12" text-anchor="middle" fill="{_TEXT}">{step}</text>'


def _branch(tree: StageTree, placed: _Placed, scale: float, width: int) -> Iterator[str]:
    node = placed.node
    x, end = _MARGIN + node.start * scale, _MARGIN + node.stop * scale
    y = _TOP + _LINE * placed.line + _LINE - _BAR
    if placed.parent_line is not None:
        top = _TOP + _LINE * placed.parent_line + _LINE - _BAR / 2
        yield f'<path d="M{x:.1f} {top:.1f}V{y + _BAR / 2:.1f}" stroke="{_WAITING}" fill="none" />'
    trained = _MARGIN + min(max(node.trained, node.start), node.stop) * scale
    label = tree.label(node)
    yield f"<g><title>{escape(_tooltip(node, label))}</title>"
    if trained > x:
        yield _bar(x, trained, y, _TRAINED)
    if end > trained:
        yield _bar(trained, end, y, _RUNNING if node.running else _WAITING)
    # Nothing follows a leaf on its line: its label may go on beyond a short bar.
    room = int(((end if tree.children(node) else width - _MARGIN) - x) / _CHARACTER)
    if room >= 4:
        text = label if len(label) <= room else label[: room - 1] + "…"
        yield f'<text x="{x + 2:.1f}" y="{y - 3}" fill="{_TEXT}">{escape(text)}</text>'
    yield "</g>"


def _bar(x: float, end: float, y: float, colour: str) -> str:
    width = max(1.0, end - x - 1)
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2" fill="{colour}" />'


def _tooltip(node: TreeNode, label: str) -> str:
    lines = [
        f"node {node.node}: steps {node.start} to {node.stop}, trained to {max(node.trained, node.start)}",
        label,
        f"{len(node.trials)} trials: {', '.join(map(str, node.trials[:20]))}"
        + ("…" if len(node.trials) > 20 else ""),
    ]
    if node.probes:
        lines.append(
            f"probes of trials {', '.join(map(str, node.probes[:20]))}{'…' if len(node.probes) > 20 else ''}"
        )
    lines += [f"{name}: {value}" for name, value in node.metrics.items()]
    if node.not_reproducible:
        lines.append("not reproducible: a step trained again gave other metrics")
    return "\n".join(lines)
