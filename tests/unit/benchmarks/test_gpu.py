"""The subject on a GPU, on the processor: it runs to its end, and counts tensors that differ."""

from __future__ import annotations

import torch

from benchmarks.gpu.resuming import differing, tensors
from benchmarks.gpu.scales import TINY, measure_at
from tests.unit.hosting.untouched import untouched


def test_it_runs_and_a_resumed_path_has_the_same_bits() -> None:
    with untouched():
        found = {figure.name: figure for figure in measure_at(TINY, "cpu")}
    assert [found[f"resumed by a {kind} trainer"].values for kind in ("warm", "new")] == [(0.0,), (0.0,)]
    assert {
        "batch 4, under Hippo",
        "batch 4, saved every 1 steps",
        "1 MB, training's thread waits",
        "1 MB, loaded",
    } <= {*found}


def test_tensors_of_other_bits_are_counted() -> None:
    state = {"a": [torch.zeros(2)], "b": (1, torch.tensor(3)), "c": "x"}
    one = tensors(state)
    assert one.keys() == {"/a/0", "/b/1"}
    assert differing(one, tensors(state)) == 0
    assert differing(one, {**one, "/a/0": -torch.zeros(2)}) == 1
    assert differing(one, {"/b/1": torch.tensor(3.0)}) == 2
