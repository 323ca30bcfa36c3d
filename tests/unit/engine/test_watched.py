"""Whether a path's order says that something is decided by evaluations within its stages."""

from __future__ import annotations

from typing import Any

import pytest

from hippo_core import endings, policies, space
from hippo_core.engine.commands import SubmitStudy
from hippo_core.engine.orders import order
from tests.studies import grid
from tests.unit.engine.cluster import Cluster


def orders(*studies: dict[str, Any]) -> list[bool]:
    """What the orders say that one slot is given for these studies of one trial, each from the beginning."""
    cluster = Cluster(0, {"a": 1})
    for number, changes in enumerate(studies):
        made = grid({"lr": space.choice([0.1])}, name=f"study-{number}", **{"max_steps": 9, **changes})
        cluster.tell(SubmitStudy(project="default", user="u", spec=made))
    state = cluster.engine.state
    found = [order(state, lease, 60.0).watched for lease in state.leases.values()]
    assert len(found) == 1
    return found


def test_nothing_is_decided_on_the_way_of_a_full_study() -> None:
    assert orders({}) == [False]
    assert orders({"policy": policies.sha(3, 3)}) == [False]


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": policies.median_stopping()},
        {"endings": (endings.target(0.5),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_policy_or_an_ending_decides_on_the_way(changes: dict[str, Any]) -> None:
    assert orders(changes) == [True]
    assert orders({}, changes) == [True]


def test_another_study_asks_for_less_of_the_path() -> None:
    assert orders({}, {"max_steps": 3}) == [True]
    assert orders({}, {"max_steps": 9}) == [False]
