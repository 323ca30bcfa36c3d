"""What the benchmarks of control planes make of what they saw."""

from __future__ import annotations

import sys

from benchmarks.control import growth, sampled
from benchmarks.peers import control
from hippo_core import chance


def test_flatness_is_of_the_last_size_against_the_first_in_each_round():
    first = [{"ask": [0.002, 0.004, 0.006]}, {"ask": [0.004, 0.008, 0.008]}]
    last = [{"ask": [0.004, 0.006, 0.008]}, {"ask": [0.004, 0.008, 0.008]}]
    figure = growth._flatness("ask", 50, first, last)
    assert figure.values == (1.5, 1.0)
    assert figure.reached is True
    assert figure.note == "6 ms at 0, 8 ms at last"


def test_a_place_in_the_server_is_that_of_its_innermost_frame_that_is_hippos():
    def seen() -> str:
        return sampled.part(sys._getframe())

    assert seen() == "", "this is no part of the server"
    code = compile("def place(look):\n    return look()", chance.__file__, "exec")
    found: dict[str, object] = {}
    exec(code, found)
    assert found["place"](seen) == "the engine"  # type: ignore[operator]


def test_a_thread_that_waits_is_seen_nowhere():
    code = compile("def wait(look):\n    return look()", chance.__file__, "exec")
    found: dict[str, object] = {}
    exec(code, found)
    assert found["wait"](lambda: sampled.part(sys._getframe(1))) == ""  # type: ignore[operator]


def test_what_a_trial_of_ray_tune_waits_for_is_told_by_its_process():
    trials = [
        control.Trial(1, 0.0, 1.0, [0.1, 0.2]),
        control.Trial(2, 0.5, 2.0, [0.3]),
        control.Trial(1, 1.25, 3.0, [0.4]),
        control.Trial(2, 2.5, 3.0, [0.5]),
    ]
    waits = control._waits(trials)
    assert sorted(waits["next trial"]) == [0.25, 0.5]
    assert waits["report"] == [0.1, 0.2, 0.3, 0.4, 0.5]
