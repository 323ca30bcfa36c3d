"""Whatever order a host trains paths in, cold, warm or in memory: every state is that of the trial trained alone."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.order import StartFrom
from tests.unit.hosting.bare_loops import Result, train_alone
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import make_order
from tests.unit.hosting.test_exactness import require_alone

History = tuple[tuple[float, int], ...]  #: rate and batch size, step by step
OPTIONS = [(0.1, 8), (0.01, 8), (0.1, 20)]


@cache
def alone(trainer: str, history: History) -> Result:
    return train_alone(trainer, values_of(history), 1)


def values_of(history: History) -> list[dict[str, float | int]]:
    return [{"lr": rate, "batch_size": size} for rate, size in history]


#: Each path: which saved state to start from (as an index, counted round), and the steps to train.
paths = st.lists(
    st.tuples(st.integers(0, 20), st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=3)),
    min_size=2,
    max_size=6,
)


@pytest.mark.parametrize("trainer", ["BatchNorm", "Scheduled", "IterationsAlone"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=paths, new_host=st.sets(st.integers(0, 5), max_size=2))
def test_any_walk_over_saved_states(
    trainer: str, paths: list[tuple[int, list[tuple[float, int]]]], new_host: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        walk(trainer, Path(folder), paths, new_host)


def walk(
    trainer: str, folder: Path, paths: list[tuple[int, list[tuple[float, int]]]], new_host: set[int]
) -> None:
    """One host takes the paths in turn, saving every state; before some of them another host takes over."""
    states: list[tuple[History, int, Path | None]] = [((), 0, None)]
    host = PathHost("cpu", 1)
    for number, (chosen, steps) in enumerate(paths):
        if number in new_host:
            host.close()
            host = PathHost("cpu", 1)
        history, node, saved = states[chosen % len(states)]
        # Those who agree on step 0 have one setup; the rest of the values are the path's own.
        whole = history + tuple(steps)
        start = None
        if saved is not None:
            start = StartFrom(node=node, step=len(history), fence=1, folder=saved)
        link, own = MemoryLink(), number + 1
        order = make_order(
            folder,
            f"exact_trainers:{trainer}",
            values_of(whole),
            [(own, len(history), len(whole))],
            start=start,
            checkpoint_every=1,
        )
        assert host.run(order, link) == Trained()
        host.finish_saves()
        for step in range(len(history) + 1, len(whole) + 1):
            metrics, _ = alone(trainer, whole[:step])
            assert link.evaluations()[step] == metrics[step]
            states.append((whole[:step], own, link.folder(own, step)))
        expected = {step: alone(trainer, whole)[0][step] for step in alone(trainer, whole)[0]}
        require_alone(trainer, values_of(whole), expected, link.folder(own, len(whole)))
    host.close()
