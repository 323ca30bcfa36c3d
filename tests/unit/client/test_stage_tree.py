"""A stage tree as text and as a drawing."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from hippo_client.stage_tree import StageTree, tree_node
from hippo_core.engine.states import NodeState
from hippo_core.tree_node import TreeNode, TrialEnds
from hippo_wire.v1 import study_pb2


def node(number, parent, start, stop, trials, trained=0, **values):
    changes = {
        name: values.pop(name)
        for name in ("state", "not_reproducible", "metrics", "probes", "ends", "reason", "critical")
        if name in values
    }
    return TreeNode(
        node=number,
        parent=parent,
        start=start,
        stop=stop,
        trained=trained,
        values=values,
        trials=trials,
        **changes,
    )


TREE = StageTree(
    [
        node(1, None, 0, 9, (0, 1, 2), trained=9, lr=0.1, batch_size=32),
        node(2, 1, 9, 27, (0,), trained=18, lr=0.01, batch_size=32, state=NodeState.RUNNING),
        node(3, 1, 9, 18, (1, 2), lr=0.02, batch_size=32),
        node(4, 3, 12, 27, (2,), lr=0.02, batch_size=128, not_reproducible=True),
        node(5, 3, 18, 27, (1,), lr=0.002, batch_size=32),
    ]
)


def test_text_shows_what_is_trained_once():
    assert TREE.to_text(width=80).splitlines() == [
        "                             0                           27  trials",
        "0-9  lr=0.1 batch_size=32    ━━━━━━━━━━                           3",
        "├╴9-27  lr=0.01                        ━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌       1",
        "└╴9-18  lr=0.02                        ┄┄┄┄┄┄┄┄┄┄                 2",
        "  ├╴12-27  batch_size=128 !               ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄       1",
        "  └╴18-27  lr=0.002                              ┄┄┄┄┄┄┄┄┄┄       1",
    ]


def test_probes_are_told_from_trials():
    tree = StageTree(
        [
            *TREE.nodes,
            node(6, 1, 9, 10, (), trained=10, probes=(0, 1), lr=0.01, batch_size=32),
            node(7, 3, 18, 19, (), probes=(2,), lr=0.002, batch_size=32),
        ]
    )
    counts = [line.split("  ")[-1].strip() for line in tree.to_text(width=80).splitlines()[1:]]
    assert counts == ["3", "1", "2", "1", "1", "probe", "2 probes"]
    assert "probes of trials 0, 1" in tree.to_svg()


@pytest.mark.parametrize("width", [20, 40, 80, 120, 300])
def test_no_line_is_longer_than_the_terminal(width):
    assert max(len(line) for line in TREE.to_text(width).splitlines()) <= max(width, 34)


def test_a_large_tree_is_cut_at_the_leaves():
    lines = TREE.to_text(max_lines=3).splitlines()
    assert lines[-1] == "and 2 more nodes"
    assert len(lines) == 1 + 3 + 1
    assert lines[2].startswith("├╴9-27")
    assert lines[3].startswith("└╴9-18")


def test_roots_are_told_apart_by_what_differs_between_them():
    tree = StageTree([node(1, None, 0, 9, (0,), lr=0.1, size=32), node(2, None, 0, 9, (1,), lr=0.2, size=32)])
    assert [tree.label(root) for root in tree.roots] == ["lr=0.1", "lr=0.2"]


def test_a_name_that_only_one_root_has_tells_them_apart():
    tree = StageTree([node(1, None, 0, 9, (0,), lr=0.1), node(2, None, 0, 9, (1,), lr=0.1, momentum=0.9)])
    assert tree.label(tree.roots[1]) == "momentum=0.9"


def test_an_empty_tree_says_so():
    tree = StageTree([])
    assert str(tree) == "nothing to train yet"
    assert ElementTree.fromstring(tree.to_svg()) is not None


def test_a_short_text_counts():
    assert repr(TREE) == "<StageTree: 5 nodes, 18 of 60 steps trained>"
    assert len(TREE) == 5


def test_a_deep_tree_is_no_problem():
    """A fork at every step: deeper than Python's recursion."""
    nodes = [node(0, None, 0, 1, (0,), lr=0.0)]
    nodes += [node(step, step - 1, step, step + 1, (0,), lr=float(step)) for step in range(1, 3000)]
    tree = StageTree(nodes)
    assert len(tree.to_text().splitlines()) == 3001
    assert tree.to_svg().count("<rect") == 3000


def bars(svg):
    space = "{http://www.w3.org/2000/svg}"
    return [
        (
            float(rect.get("x")),
            float(rect.get("y")) + float(rect.get("height")) / 2,
            float(rect.get("width")),
            rect.get("class"),
        )
        for rect in ElementTree.fromstring(svg).iter(f"{space}rect")
    ]


def test_a_drawing_has_a_bar_for_each_stretch():
    """Trained and waiting parts of node 2 are two bars; no two bars overlap."""
    found = bars(TREE.to_svg())
    assert len(found) == 6
    by_line = {}
    for x, y, width, _ in found:
        by_line.setdefault(y, []).append((x, x + width))
    for line in by_line.values():
        line.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(line))


def test_a_branch_that_continues_its_parent_stays_on_its_line():
    tree = StageTree([node(1, None, 0, 9, (0,), lr=0.1), node(2, 1, 9, 27, (0,), lr=0.01)])
    assert len({y for _, y, _, _ in bars(tree.to_svg())}) == 1


def test_a_drawing_escapes_what_users_chose():
    evil = "<script>alert(1)</script>"
    tree = StageTree([node(1, None, 0, 90, (0,), **{evil: evil, "metrics": {evil: 1.0}})])
    svg = tree.to_svg(width=2000)
    assert "<script" not in svg
    assert ElementTree.fromstring(svg) is not None
    assert tree._repr_html_() == tree.to_svg()


def test_a_drawing_tells_states_by_shape_and_ends_by_marks():
    tree = StageTree(
        [
            node(1, None, 0, 9, (0, 1, 2, 3), trained=9, state=NodeState.TRAINED, lr=0.1),
            node(2, 1, 9, 18, (0,), trained=12, state=NodeState.RUNNING, critical=True, lr=0.2),
            node(3, 1, 9, 18, (1,), state=NodeState.READY, reason="waits for a free slot", lr=0.3),
            node(
                4,
                1,
                9,
                12,
                (2, 3),
                trained=12,
                ends=(TrialEnds(12, "stopped", 2),),
                metrics={"accuracy": 0.91},
                lr=0.4,
            ),
        ]
    )
    svg = tree.to_svg(metric="accuracy")
    assert sorted(classes for *_, classes in bars(svg)) == [
        "rest ready",
        "rest running",
        "trained",
        "trained",
        "trained",
    ]
    words = [
        "".join(each.itertext())
        for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert "0.91 ■2" in words
    assert "4 trials · lr=0.1" in words
    assert any("waits for a free slot" in each for each in svg.split("<title>"))
    assert svg.count('class="node critical"') == 1


def test_what_ends_within_a_band_stands_below_it_and_above_the_next_line():
    """Also what ends where another branch goes on."""
    tree = StageTree(
        [
            node(1, None, 0, 9, (0, 1, 2), trained=9, ends=(TrialEnds(3, "stopped", 2),), lr=0.1),
            node(2, 1, 9, 12, (3,), trained=9, lr=0.2),
            node(3, None, 0, 9, (4, 5), trained=9, ends=(TrialEnds(9, "completed", 1),), lr=0.3),
            node(4, 3, 9, 12, (4,), trained=9, lr=0.2),
            node(5, None, 0, 0, (6,), trained=0, ends=(TrialEnds(0, "failed", 1),), lr=0.4),
        ]
    )
    texts = {
        "".join(each.itertext()): float(each.get("y"))
        for each in ElementTree.fromstring(tree.to_svg(3000)).iter("{http://www.w3.org/2000/svg}text")
        if not each.get("text-anchor")
    }
    first, second, last = (
        texts[f"{label} · lr=0.{n}"] for label, n in (("3 trials", 1), ("2 trials", 3), ("trial 6", 4))
    )
    height = 9  # of a letter
    assert first + height < texts["■2"] < second - height
    assert second + height < texts["✓"] < last - height
    assert texts["✕"] > last
    (told,) = (each for each in tree.to_svg().split("<title>") if each.startswith("node 5"))
    assert "failed in the step after 0" in told


def test_a_node_is_read_from_a_message():
    message = study_pb2.StageTreeNode(
        node=4,
        parent=0,
        start=1,
        stop=3,
        trained=2,
        values_json='{"lr": 0.5}',
        trials=[1, 2],
        state="running",
        ends=[study_pb2.TrialEnds(step=3, state="stopped", count=1)],
        seconds=1.5,
        steps_saved=7,
        critical=True,
    )
    assert tree_node(message) == TreeNode(
        node=4,
        parent=0,
        start=1,
        stop=3,
        trained=2,
        values={"lr": 0.5},
        trials=(1, 2),
        state=NodeState.RUNNING,
        ends=(TrialEnds(3, "stopped", 1),),
        seconds=1.5,
        steps_saved=7,
        critical=True,
    )
