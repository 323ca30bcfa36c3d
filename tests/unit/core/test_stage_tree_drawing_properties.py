"""Drawings of random trees: nothing lies on top of anything else, and what is folded is counted."""

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from hippo_client.stage_tree import StageTree
from hippo_core.engine.states import NodeState
from hippo_core.tree_node import TreeNode

SPACE = "{http://www.w3.org/2000/svg}"


@st.composite
def trees(draw):
    """Up to 20 nodes; a child starts within its parent or at its end."""
    nodes = []
    for number in range(draw(st.integers(1, 20))):
        parent = draw(st.sampled_from([None, *nodes]))
        start = 0 if parent is None else draw(st.integers(parent.start + 1, parent.stop))
        stop = start + draw(st.integers(1, 30))
        trained = draw(st.integers(start, stop))
        state = draw(st.sampled_from(NodeState)) if trained < stop else NodeState.TRAINED
        nodes.append(
            TreeNode(
                node=number,
                parent=None if parent is None else parent.node,
                start=start,
                stop=stop,
                trained=trained,
                values={"lr": number},
                trials=tuple(range(draw(st.integers(0, 9 if parent is None else len(parent.trials))))),
                state=state,
            )
        )
    return StageTree(nodes)


def drawn(tree):
    """Bars as (line, from, to) and connectors as (x, from line, to line), in pixels."""
    root = ElementTree.fromstring(tree.to_svg(3000))
    bars = []
    for rect in root.iter(f"{SPACE}rect"):
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        bars.append((round(y + height / 2), x, x + width))
    connectors = []
    for path in root.iter(f"{SPACE}path"):
        if path.get("class") != "joint":
            continue
        start, _, bottom = path.get("d").removeprefix("M").partition("V")
        x, top = start.split()
        connectors.append((float(x), float(top), float(bottom)))
    return bars, connectors


@given(trees())
def test_no_two_bars_overlap(tree):
    bars, _ = drawn(tree)
    lines = {}
    for y, start, end in bars:
        lines.setdefault(y, []).append((start, end))
    for line in lines.values():
        line.sort()
        assert all(end <= start + 0.11 for (_, end), (start, _) in pairwise(line))


@given(trees())
def test_no_connector_crosses_a_bar(tree):
    """It may begin at its parent's bar and ends at its own; those between lie to its right."""
    bars, connectors = drawn(tree)
    for x, top, bottom in connectors:
        for y, start, end in bars:
            if top + 1 < y < bottom - 1:
                assert not start + 0.2 < x < end - 0.2


@given(trees(), st.integers(20, 200))
def test_text_has_a_line_for_each_node_and_fits(tree, width):
    lines = tree.to_text(width).splitlines()
    assert len(lines) == 1 + len(tree)
    assert max(map(len, lines)) <= max(width, 34)


@given(trees(), st.integers(1, 25))
def test_what_is_left_out_is_counted(tree, most):
    lines = tree.to_text(max_lines=most).splitlines()
    hidden = len(tree) - most
    assert len(lines) == 1 + min(len(tree), most) + (hidden > 0)
    assert (lines[-1] == f"and {hidden} more nodes") == (hidden > 0)
