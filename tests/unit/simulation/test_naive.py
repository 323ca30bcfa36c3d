"""The simulator against a naive simulation of small trees, tick by tick.

There a path is trained to its leaf. When one yields its slot depends on what the engine has seen steps, starts and
saves to cost, which a second implementation would have to repeat; what must hold of cuts whenever they come is tested
with the engine's.
"""

from __future__ import annotations

from dataclasses import astuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hippo_core import schedules, space
from hippo_core.engine.decision import EngineSettings
from hippo_core.simulation import Costs, Host, Simulated, simulate
from tests.studies import grid
from tests.unit.simulation import naive

WHOLE_PATHS = EngineSettings(cutting=False)

paths = st.lists(
    st.lists(st.integers(1, 2), min_size=1, max_size=7).map(tuple),
    min_size=1,
    max_size=6,
    unique_by=(len, tuple),
)
prices = st.builds(
    naive.Price,
    step=st.integers(1, 3),
    evaluation=st.integers(0, 2),
    save=st.integers(0, 2),
    load=st.integers(0, 3),
    setup=st.integers(0, 3),
)


def simulated(trials: list[naive.Prefix], slots: int, price: naive.Price) -> Simulated:
    """The same in virtual time: each trial a table of its values, trained to the table's end."""
    tables = [schedules.table([float(value) for value in trial]) for trial in trials]
    spec = grid({"lr": space.choice(tables)}, max_steps=space.end_of("lr"))
    step, evaluation, save, load, setup = astuple(price)
    costs = Costs(
        step_seconds=step,
        evaluate_seconds=evaluation,
        save_seconds=save,
        load_seconds=load,
        setup_seconds=setup,
    )
    return simulate([spec], [Host(name="host", slots=slots)], costs=costs, settings=WHOLE_PATHS, checked=True)


@settings(max_examples=300)
@given(paths, st.integers(1, 3), prices)
def test_times_and_accounts_are_those_of_a_simulation_tick_by_tick(
    trials: list[naive.Prefix], slots: int, price: naive.Price
) -> None:
    try:
        expected = naive.simulate(trials, slots, price)
    except naive.Tie:
        assume(False)
        raise
    found = simulated(trials, slots, price)
    assert found.makespan_seconds == expected.makespan
    assert found.steps_trained == expected.steps
    assert found.steps_retrained == 0
    idle = slots * expected.makespan - sum(expected.spent.values())
    assert found.slot_seconds == {**expected.spent, "idle": idle, "lost": 0}
