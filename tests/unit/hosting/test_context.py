"""Hyperparameters record what was read; evaluation leaves no trace; the process is prepared as documented."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hippo_worker.hosting.evaluation import without_trace
from hippo_worker.hosting.failures import InvalidTrainer
from hippo_worker.hosting.hyperparameters import Hyperparameters, changed
from hippo_worker.hosting.metrics import check_metrics, settle
from hippo_worker.hosting.randomness import (
    capture_random_state,
    derive,
    random_state_kept,
    restore_random_state,
    seed_everything,
)
from hippo_worker.hosting.runtime import prepare, require_threads

VALUES = {"lr": 0.1, "depth": 4, "optimizer.momentum": 0.9}


def test_only_names_that_were_asked_for_count_as_read() -> None:
    hp = Hyperparameters(VALUES)
    assert hp["lr"] == hp.lr == hp.get("lr") == 0.1
    assert "nesterov" not in hp
    assert hp.read == {"lr", "nesterov"}
    assert hp.looks_equal({"lr": 0.1, "depth": 5})
    assert not hp.looks_equal({"lr": 0.2})
    # Absence was seen too.
    assert not hp.looks_equal({"lr": 0.1, "nesterov": True})


@pytest.mark.parametrize(
    "look", [dict, list, len, repr, lambda hp: {**hp}, lambda hp: hp.items() and list(hp.items())]
)
def test_who_walks_through_has_read_everything(look: object) -> None:
    hp = Hyperparameters(VALUES)
    look(hp)  # type: ignore[operator]
    assert hp.read_all
    assert hp.looks_equal(VALUES)
    assert not hp.looks_equal({**VALUES, "depth": 5})
    assert not hp.looks_equal({**VALUES, "more": 1})


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), ("1", 1), (None, False), ((1,), (1.0,))])
def test_values_of_different_types_differ(one: object, other: object) -> None:
    hp = Hyperparameters({"a": one})  # type: ignore[dict-item]
    assert hp["a"] == one
    assert not hp.looks_equal({"a": other})  # type: ignore[dict-item]
    assert changed({"a": one}, {"a": other}) == ["a"]  # type: ignore[dict-item]
    assert changed({"a": one}, {"a": one}) == []  # type: ignore[dict-item]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    hp = Hyperparameters(VALUES)
    with pytest.raises(KeyError, match="'rate' is no hyperparameter here; there are: depth, lr, optimizer"):
        hp["rate"]
    with pytest.raises(AttributeError, match="'rate' is no hyperparameter here"):
        _ = hp.rate


def test_evaluation_leaves_no_trace() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2))
    model[1].eval()
    before = capture_random_state("cpu")
    with without_trace({"model": model}, "cpu"):
        model.eval()
        model[1].train()
        torch.set_grad_enabled(False)
        torch.rand(3), random.random(), np.random.rand()
    after = capture_random_state("cpu")
    assert before == after
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert torch.is_grad_enabled()


def draw_a_pair() -> None:
    np.random.standard_normal()


@pytest.mark.parametrize("before", [lambda: None, draw_a_pair], ids=["even", "odd"])
@pytest.mark.parametrize(
    "inside",
    [
        lambda: None,
        np.random.rand,
        np.random.standard_normal,
        lambda: np.random.standard_normal(2),
        lambda: np.random.seed(3),
        lambda: np.random.standard_normal(1250),
    ],
)
def test_draws_from_numpy_inside_change_nothing_outside(
    before: Callable[[], object], inside: Callable[[], object]
) -> None:
    """NumPy draws normal numbers in pairs: the second one waits, and is part of the state."""

    def outside() -> list[float]:
        before()
        return [float(np.random.standard_normal()), float(np.random.rand())]

    np.random.seed(5)
    alone = [outside() for _ in range(4)]
    np.random.seed(5)
    found = []
    for _ in range(4):
        with without_trace({}, "cpu"):
            inside()
        found.append(outside())
    assert found == alone


def numpy_state() -> tuple[Any, ...]:
    """As NumPy gives it: name, words, position, whether a normal number waits, and which."""
    name, words, *rest = np.random.get_state()
    return name, bytes(words.data), *rest


def draw_normals(seed: int, count: int) -> None:
    """After one and after two the words are the same; after one, another waits."""
    np.random.seed(seed)
    for _ in range(count):
        np.random.standard_normal()


@pytest.mark.parametrize("waits", [False, True])
def test_a_loaded_state_of_numpy_differs_from_the_last_by_the_number_that_waits(waits: bool) -> None:
    """1. A state is taken. 2. Training ends at one with the same words. 3. The first is loaded, and a batch fetched."""
    draw_normals(11, 1 if waits else 2)
    expected = numpy_state()
    saved = capture_random_state("cpu")
    draw_normals(11, 2 if waits else 1)
    capture_random_state("cpu")
    restore_random_state(saved)
    assert numpy_state() == expected
    with random_state_kept("cpu"):
        np.random.seed(3)
    assert numpy_state() == expected
    assert capture_random_state("cpu") == saved


def test_a_normal_number_that_waits_outlasts_a_batch_within_an_evaluation() -> None:
    draw_normals(12, 1)
    expected = numpy_state()
    with without_trace({}, "cpu"):
        np.random.standard_normal()
        with random_state_kept("cpu"):
            np.random.seed(3)
    assert numpy_state() == expected
    saved = capture_random_state("cpu")
    np.random.seed(3)
    restore_random_state(saved)
    assert numpy_state() == expected


@pytest.mark.parametrize(("outside", "inside"), [(2, 1), (1, 2)])
def test_an_evaluation_may_seed_numpy_as_training_does(outside: int, inside: int) -> None:
    draw_normals(13, outside)
    expected = numpy_state()
    with without_trace({}, "cpu"):
        draw_normals(13, inside)
    assert numpy_state() == expected


def test_training_may_seed_numpy_to_where_a_state_was_taken() -> None:
    draw_normals(14, 2)
    capture_random_state("cpu")
    draw_normals(14, 1)
    expected = numpy_state()
    with without_trace({}, "cpu"):
        np.random.seed(3)
    assert numpy_state() == expected
    saved = capture_random_state("cpu")
    np.random.seed(3)
    restore_random_state(saved)
    assert numpy_state() == expected


def test_another_generator_of_numpy_is_put_back_too() -> None:
    usual = np.random.mtrand.get_bit_generator()
    np.random.mtrand.set_bit_generator(np.random.PCG64(3))
    try:
        with without_trace({}, "cpu"):
            inside = np.random.rand()
        assert np.random.rand() == inside
    finally:
        np.random.mtrand.set_bit_generator(usual)


def test_the_random_state_is_put_back_also_after_an_error() -> None:
    before = torch.get_rng_state()

    def evaluate() -> None:
        with without_trace({}, "cpu"):
            raise ZeroDivisionError(torch.rand(3))

    with pytest.raises(ZeroDivisionError):
        evaluate()
    assert torch.equal(before, torch.get_rng_state())


def test_seeds_are_those_that_a_bare_loop_sets() -> None:
    seed_everything(2**32 + 5)
    found = random.random(), np.random.rand(), torch.rand(3).tolist()
    random.seed(2**32 + 5)
    np.random.seed(5)
    torch.manual_seed(2**32 + 5)
    assert found == (random.random(), np.random.rand(), torch.rand(3).tolist())


def test_a_captured_random_state_is_not_moved_by_later_draws() -> None:
    state = capture_random_state("cpu")
    expected = random.gauss(0, 1), np.random.standard_normal(), torch.randn(3).tolist()
    restore_random_state(state)
    assert (random.gauss(0, 1), np.random.standard_normal(), torch.randn(3).tolist()) == expected


def test_derived_seeds_are_the_same_everywhere() -> None:
    assert derive(0, "order", 3) == 386106667988085106
    assert derive(0, "order", 3) != derive(0, "order", 4) != derive(1, "order", 3)
    assert 0 <= derive(2**63, "x") < 2**63


def test_the_process_is_prepared_as_documented() -> None:
    assert prepare("cpu", 2, True) == torch.device("cpu")
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.empty(1000).isnan().all(), (
        "what nobody wrote is the same each time, and so is a state that has it"
    )
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
    prepare("cpu", 1, False)
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        prepare("tpu", 1, True)


def test_a_part_of_the_gpu_is_set_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: asked.append(device))
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *arguments: asked.append(arguments)
    )
    gpu = torch.device("cuda", 0)
    assert prepare("cuda", 1, False) == gpu
    assert asked == [gpu]
    prepare("cuda", 1, False, 0.5)
    assert asked == [gpu, gpu, (0.5, gpu)]


def test_other_threads_are_refused() -> None:
    torch.set_num_threads(2)
    with pytest.raises(InvalidTrainer, match=r"Resources\(cpus=2\)"):
        require_threads(1)
    require_threads(2)


def test_what_is_preloaded_starts_no_thread_of_ours_and_touches_no_gpu() -> None:
    code = (
        "import os, hippo_worker.hosting.preload, torch\n"
        "print(len(os.listdir('/proc/self/task')), torch.cuda.is_initialized())"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=250, check=True
    )
    assert done.stdout.split() == ["1", "False"]


def test_numbers_of_all_kinds_are_metrics() -> None:
    returned = {
        "float": 0.5,
        "int": 3,
        "bool": True,
        "numpy": np.float32(0.25),
        "numpy_bool": np.bool_(True),
        "array": np.array(1.5),
        "tensor": torch.tensor(2, dtype=torch.bfloat16),
        "attached": torch.ones((), requires_grad=True) * 2,
    }
    expected = {"float": 0.5, "int": 3.0, "bool": 1.0, "numpy": 0.25, "numpy_bool": 1.0, "array": 1.5,
                "tensor": 2.0, "attached": 2.0}  # fmt: skip
    assert settle(check_metrics(returned, "evaluate")) == expected


def test_a_metric_does_not_follow_a_tensor_that_is_changed_later() -> None:
    total = torch.tensor(1.0)
    found = check_metrics({"total": total}, "train")
    total += 1
    assert settle(found) == {"total": 1.0}


@pytest.mark.parametrize("value", [10**400, 1j, torch.tensor(1j), [1.0], {"a": 1}])
def test_what_is_no_real_number_is_no_metric(value: object) -> None:
    with pytest.raises(InvalidTrainer, match="for the metric 'score'"):
        check_metrics({"score": value}, "evaluate")


@pytest.mark.parametrize("name", [3, "", None])
def test_names_of_metrics_are_text(name: object) -> None:
    with pytest.raises(InvalidTrainer, match="returned a metric named"):
        check_metrics({name: 1.0}, "evaluate")
