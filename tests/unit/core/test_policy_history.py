"""A packed history gives back what a policy was told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hippo_core.engine.policy_calls import (
    Added,
    Ended,
    Forked,
    Noted,
    Observed,
    PolicyCall,
    PolicyHistory,
    Probed,
    Requested,
)

trials = st.integers(0, 2**50)
steps = st.integers(0, 2**40)
calls = st.one_of(
    st.builds(Added, trials, steps),
    st.builds(Requested, trials, steps),
    st.builds(Ended, trials),
    st.builds(Observed, trials, steps, st.none() | st.just((0.5,)), trials),
    st.builds(Forked, trials, steps, trials, steps, st.none() | trials),
    st.builds(Noted, trials, st.just({"ask": "a"})),
    st.builds(Probed, trials, steps, steps, st.none()),
)


@given(st.lists(calls), st.none() | st.integers(-9, 9), st.none() | st.integers(-9, 9))
def test_a_history_is_the_list_of_its_calls(
    told: list[PolicyCall], start: int | None, stop: int | None
) -> None:
    """Each, some in a row, and all; equal to one that was told the same, and to no other."""
    history, same = PolicyHistory(), PolicyHistory()
    for call in told:
        history.append(call)
        same.append(call)
    assert list(history) == told
    assert len(history) == len(told)
    assert [history[place] for place in range(-len(told), len(told))] == told + told
    assert history[start:stop] == told[start:stop]
    assert history == same
    same.append(Ended(1))
    assert history != same
