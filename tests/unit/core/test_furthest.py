"""How far a node is needed: told from few of those that leave it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hippo_core.formulas import Constant
from hippo_core.laws import make
from hippo_core.plan import Node, Plan
from hippo_core.sequence import Sequence
from hippo_core.values import Kind

LAST = 12


def leaving(step: int, value: int) -> Sequence:
    """A sequence that has one value up to a step, and another from there on."""
    laws = [make(Constant(float(each)), 0, False, Kind.FLOAT) for each in (0, value)]
    return Sequence({"lr": [(0, laws[0]), (step, laws[1])]})


def naive(node: Node, most: int) -> dict[int, int]:
    """The same, from all of them."""
    found: dict[int, int] = {}
    for step, waiting in node.requests.items():
        for study, _ in waiting:
            found[study] = max(found.get(study, 0), min(step, most))
    for child in node.offspring():
        for study in child.open:
            found[study] = max(found.get(study, 0), min(child.start, most))
    return found


requests = st.lists(st.tuples(st.integers(1, LAST), st.integers(1, 3), st.booleans()), max_size=24)


@given(requests)
def test_it_is_the_furthest_that_any_open_request_needs(asked: list[tuple[int, int, bool]]) -> None:
    """1. Trials of some studies leave a node, or end in it, at steps. 2. Some have what they asked for."""
    plan = Plan(1)
    root = plan.insert(leaving(LAST + 1, 1), LAST + 1)
    there = []
    for number, (step, study, ends) in enumerate(asked):
        node = root if ends else plan.insert(leaving(step, number + 1), LAST + 2)
        at = step if ends else LAST + 2
        node.ask(at, study, number, 0)
        there.append((node, at, study, number))
    for node, at, study, number in there[::3]:
        node.ask_no_more(at, study, number)
    for most in range(1, LAST + 3):
        assert root.furthest(most) == naive(root, most)


class Counted(dict[Any, Node]):
    """Children of which those are counted that are looked at."""

    looked_at = 0

    def values(self) -> Any:
        children = list(super().values())

        class View:
            def __reversed__(view) -> Iterator[Node]:  # noqa: N805
                for child in reversed(children):
                    self.looked_at += 1
                    yield child

        return View()


def test_of_many_that_leave_it_few_are_looked_at() -> None:
    plan = Plan(1)
    leaves = [plan.insert(leaving(5 + number, 1), 2000) for number in range(1000)]
    root = plan.nodes[0]
    for number, leaf in enumerate(leaves):
        leaf.ask(2000, 1, number, 0)
    children = Counted(root.children)
    root.children = children
    assert root.furthest(10) == {1: 10}
    assert children.looked_at <= 2
