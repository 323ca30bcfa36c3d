"""The generators' states as they are read from memory, against what the generators tell themselves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from hippo_worker.hosting import generator_memory, randomness
from hippo_worker.hosting.generator_memory import numpy_memory, python_memory
from hippo_worker.hosting.randomness import capture_random_state, random_state_kept, restore_random_state

DRAWS: list[Callable[[], object]] = [
    lambda: None,
    random.random,
    lambda: random.gauss(0.0, 1.0),
    np.random.rand,
    np.random.standard_normal,
    lambda: np.random.standard_normal(2),
    lambda: np.random.rand(5000),
    lambda: np.random.seed(3),
    lambda: random.seed(3),
]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    with random_state_kept("cpu"):
        yield


@pytest.mark.parametrize("draw", DRAWS)
def test_memory_says_what_the_generators_say(draw: Callable[[], object]) -> None:
    for _ in range(3):
        draw()
        python, numpy = python_memory(), numpy_memory()
        assert python is not None
        assert numpy is not None
        assert (3, python.words, python.waiting) == randomness._capture_python()
        assert repr(numpy.plain()) == repr(randomness._capture_numpy())


def test_a_normal_number_that_waits_is_told_by_its_sign() -> None:
    state = np.random.get_state()
    for normal in (0.0, -0.0):
        np.random.set_state((*state[:3], 1, normal))
        found = numpy_memory()
        assert found is not None
        assert str(found.plain()["gauss"]) == str(normal)
    np.random.set_state((*state[:3], 1, 0.0))
    assert not found.is_now()


def test_what_was_not_drawn_from_is_as_it_was() -> None:
    python, numpy = python_memory(), numpy_memory()
    assert python is not None
    assert numpy is not None
    random.random()
    assert (python.is_now(), numpy.is_now()) == (False, True)
    np.random.rand()
    assert (python.is_now(), numpy.is_now()) == (False, False)


def test_a_generator_of_another_kind_is_asked() -> None:
    usual = np.random.mtrand.get_bit_generator()
    np.random.mtrand.set_bit_generator(np.random.PCG64(3))
    try:
        assert numpy_memory() is None
    finally:
        np.random.mtrand.set_bit_generator(usual)
    assert numpy_memory() is not None


@pytest.mark.parametrize("draw", DRAWS)
def test_generators_whose_memory_is_not_known_are_asked(
    monkeypatch: pytest.MonkeyPatch, draw: Callable[[], object]
) -> None:
    draw()
    expected = capture_random_state("cpu")
    monkeypatch.setattr(generator_memory, "_python_start", lambda: None)
    monkeypatch.setattr(generator_memory, "_numpy_normal_start", lambda: None)
    assert (python_memory(), numpy_memory()) == (None, None)
    assert repr(capture_random_state("cpu")) == repr(expected)
    with random_state_kept("cpu"):
        random.gauss(0.0, 1.0), np.random.standard_normal(3)
    assert repr(capture_random_state("cpu")) == repr(expected)
    random.gauss(0.0, 1.0), np.random.standard_normal(3)
    restore_random_state(expected)
    assert repr(capture_random_state("cpu")) == repr(expected)
