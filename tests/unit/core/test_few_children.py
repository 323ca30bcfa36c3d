"""A few children by where they begin are what a dict of them is."""

from __future__ import annotations

import pytest

from hippo_core.few_children import MOST, Few
from hippo_core.plan import Node
from hippo_core.sequence import Laws


def a_node(number: int, start: int = 0, parent: Node | None = None) -> Node:
    return Node(number, 1, parent, start, Laws({}), ((number,),))


def test_they_are_as_a_dict() -> None:
    nodes = [a_node(number, number % 2) for number in range(4)]
    few, plain = Few(*nodes), {(node.start, node.key): node for node in nodes}
    assert few == plain
    assert (list(few), len(few), dict(few.items())) == (list(plain), 4, plain)
    assert (1, nodes[1].key) in few
    assert (0, nodes[1].key) not in few
    with pytest.raises(KeyError):
        few[2, nodes[0].key]


def test_a_node_has_any_number_of_children() -> None:
    """1. They come one after the other, beyond what is kept as few. 2. Each is found by its start and values, and no
    other; all are told in the order in which they came."""
    parent = a_node(100)
    came: list[Node] = []
    for number in range(MOST + 3):
        child = a_node(number, 1 + number % 2, parent)
        assert parent.child(child.start, child.key) is None
        parent.adopt(child)
        came.append(child)
        assert list(parent.offspring()) == came
        assert parent.children == {(each.start, each.key): each for each in came}
        assert all(parent.child(each.start, each.key) is each for each in came)
        assert parent.child(3 - child.start, child.key) is None
    assert not list(a_node(101).offspring())
