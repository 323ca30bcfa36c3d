"""A mapping with a single entry is what a dict of dicts with that entry is."""

from __future__ import annotations

import pytest

from hippo_core.plan import Checkpoint, Node
from hippo_core.sequence import Laws
from hippo_core.sole import Single, Sole, SoleRequest


@pytest.mark.parametrize(
    ("sole", "plain"),
    [(Sole(3, "a", 7), {3: {"a": 7}}), (SoleRequest(3, 1, 5, 7), {3: {(1, 5): 7}})],
)
def test_it_is_as_a_dict(sole: Single[object, int], plain: dict[int, dict[object, int]]) -> None:
    assert sole == plain
    assert sole.several() == plain
    assert (list(sole), len(sole), dict(sole.items())) == ([3], 1, plain)
    assert (3 in sole, 4 in sole, sole.get(4)) == (True, False, None)
    assert (sole[3], sole.get(3)) == (plain[3], plain[3])
    with pytest.raises(KeyError):
        sole[4]


def test_a_node_has_any_number_of_requests_and_states() -> None:
    """1. One comes. 2. A second one, beside it or elsewhere. 3. All go, and it may begin again."""
    node = Node(1, 1, None, 0, Laws({}), ())
    kept = [Checkpoint(fence=fence, size_bytes=fence, digest="") for fence in range(3)]
    for _ in range(2):
        node.ask(5, 1, 0, 2)
        assert node.requests == {5: {(1, 0): 2}}
        node.ask(5, 1, 1, 3)
        node.ask(6, 2, 0, 0)
        assert node.requests == {5: {(1, 0): 2, (1, 1): 3}, 6: {(2, 0): 0}}
        for step, study, trial in ((5, 1, 0), (6, 2, 0), (5, 1, 1)):
            node.ask_no_more(step, study, trial)
        assert not node.requests
        node.ask(5, 1, 0, 2)
        node.ask_no_more(5, 1, 0)
        assert not node.requests
        assert not node.open
        assert node.keep(5, kept[0]) is None
        assert node.keep(5, kept[0]) is kept[0]
        assert node.keep(5, kept[1]) is None
        assert node.keep(7, kept[2]) is None
        assert node.checkpoints == {5: {0: kept[0], 1: kept[1]}, 7: {2: kept[2]}}
        assert [node.let_go(*each) for each in ((5, 0), (5, 1), (7, 1), (7, 2))] == [*kept[:2], None, kept[2]]
        assert not node.checkpoints


@pytest.mark.parametrize("others", [{}, {2: 1}, {2: 1, 3: 4}])
def test_a_request_that_a_node_above_does_not_count_cannot_end(others: dict[int, int]) -> None:
    """1. A node counts those of other studies alone. 2. Below it one of this study ends: that is a defect."""
    above = Node(1, 1, None, 0, Laws({}), ())
    node = Node(2, 1, above, 3, Laws({}), ())
    node.ask(5, 1, 0, 2)
    above.open = others
    with pytest.raises(AssertionError, match="node 1 has no open request of study 1"):
        node.ask_no_more(5, 1, 0)
    assert above.open == others
