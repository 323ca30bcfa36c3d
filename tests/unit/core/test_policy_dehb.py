"""DEHB's policy against what it ought to ask for, on random histories."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from tests.unit.core.policy_calls import Caller, constrained
from tests.unit.core.policy_oracles import better


class NotingCaller(Caller):
    """A caller whose trials come with notes, but for some, which are persons'."""

    def __init__(self, seed, **arguments):
        super().__init__(policies.dehb(2, 3), **arguments)
        self.drawn = random.Random(seed)
        self.steps = {}

    def add(self, count, max_steps):
        for number in range(len(self.trials), len(self.trials) + count):
            self.steps[number] = min(2, max_steps)
            if self.drawn.random() < 0.8:
                self.steps[number] = self.drawn.choice([1, 2, max_steps])
                notes = {"bracket": 0, "rung": 1, "step": self.steps[number], "vector": [0.5]}
                self.call("noted", number, notes)
            super().add(1, max_steps)


def wanted(caller):
    """By trial, the step of its evaluation, where it is not asked for yet, or was lost and is tried again."""
    found = {}
    for number, trial in caller.trials.items():
        asked = trial.deepest if trial.retried else trial.asked
        if not trial.ended and asked < caller.steps[number]:
            found[number] = caller.steps[number]
    return found


def last_one(caller):
    """The best at the furthest step, to its end, where nobody has come there."""
    there = {}
    for number, trial in caller.trials.items():
        if trial.deepest and trial.seen[trial.deepest] is not None:
            if trial.done:
                return []
            if not trial.ended:
                there[number] = (-trial.deepest, better(caller, trial.seen[trial.deepest]), number)
    best = min(there, key=there.__getitem__, default=None)
    return [] if best is None else [(best, caller.trials[best].max_steps)]


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.booleans(), st.integers(0, 2))
def test_each_trial_is_asked_for_at_its_step_and_no_further(seed, maximize, constraints):
    """After every call, in any order: what is wanted is a function of the record, and the same after a restart."""
    chosen = random.Random(seed)

    def values(trial, step):
        drawn = random.Random(f"{seed} {trial} {step}")
        return None if drawn.random() < 0.05 else (float(drawn.randrange(4)),)

    caller = NotingCaller(seed, maximize=(maximize,), values=constrained(values, seed, constraints))

    def look(caller):
        decided = caller.policy.decide()
        assert {each.trial: each.to for each in decided} == wanted(caller)
        again = caller.restarted(chosen)
        assert again.decide() == decided
        if not caller.open and not decided:
            assert [(each.trial, each.to) for each in caller.policy.finish()] == last_one(caller)
            assert again.finish() == caller.policy.finish()

    caller.live(chosen, 60, look=look)


class Told:
    """A study of DEHB with rungs at 1 and 3, whose trials are evaluated as they come."""

    def __init__(self):
        self.policy = policies.dehb(1, 3).build((False,), 1, 0)
        self.count = 0

    def add(self, bracket, rung, value, **origin):
        """Returns why it is evaluated."""
        trial, step = self.count, 3 ** (bracket % 2 + rung)
        self.count += 1
        notes = {"bracket": bracket, "rung": rung, "step": step, "vector": [0.5], **origin}
        self.policy.noted(trial, notes)
        self.policy.added(trial, 3)
        (verdict,) = self.policy.decide()
        self.policy.requested(trial, step)
        self.policy.observed(trial, step, (value,), trial)
        return verdict.reason


def test_a_promotion_tells_from_whom_and_with_which_rank():
    """1. Trial 2 is the best of three, and its point goes on as trial 3. 2. The others tell rank and cut-off."""
    told = Told()
    assert told.add(0, 0, 0.3) == "evaluated at step 1, rung 0 of bracket 0"
    told.add(0, 0, 0.2)
    told.add(0, 0, 0.1)
    assert told.policy.standing(0) == "rank 3 of 3 at step 1 of bracket 0, 0.3; 1 go on once there are 3"
    assert told.add(0, 1, 0.05, promoted=2) == (
        "evaluated at step 3, rung 1 of bracket 0; promoted from trial 2: "
        "rank 1 of 3 at step 1 of bracket 0, 0.1; 1 go on"
    )
    assert told.policy.standing(1) == "rank 2 of 3 at step 1 of bracket 0, 0.2; 1 go on, down to 0.1"
    assert told.policy.standing(2) == "rank 1 of 3 at step 1 of bracket 0, 0.1; its point goes on as trial 3"


def test_an_evolved_point_tells_of_whom_it_was_made_and_whether_it_took_a_place():
    """The population of step 1 has three places: trials 5, 6 and 7 compete with 0, 1 and 2, trial 8 with 5."""
    told = Told()
    for value in (0.3, 0.2, 0.1):
        told.add(0, 0, value)
    told.add(0, 1, 0.05, promoted=2)
    told.add(1, 0, 0.5, parents=[3, None, None], target=None)
    assert told.add(2, 0, 0.25, parents=[1, 2, 0], target=0) == (
        "evaluated at step 1, rung 0 of bracket 2; a mutant of trials 1, 2, 0 crossed with trial 0"
    )
    told.add(2, 0, 0.4, parents=[2, None, 0], target=1)
    told.add(2, 0, 0.1, parents=[5, 6, 1], target=2)
    told.add(4, 0, 0.24, parents=[6, 7, 1], target=5)
    standing = told.policy.standing
    assert standing(4) == (
        "rank 1 of 1 at step 3 of bracket 1, 0.5; a mutant of trial 3 and 2 random points crossed with a random "
        "point, it took the place of a random point in the population"
    )
    assert standing(5).endswith(", it took the place of trial 0, 0.3, in the population")
    assert standing(6) == (
        "rank 3 of 3 at step 1 of bracket 2, 0.4; a mutant of trials 2, 0 and a random point crossed with trial 1, "
        "it took no place in the population: trial 1, 0.2, keeps it"
    )
    assert standing(7).endswith(", it took the place of trial 2, 0.1, in the population")
    assert standing(8).endswith(", it took the place of trial 5, 0.25, in the population")


def test_notes_count_without_forks():
    """Notes name trials by their places among those drawn: the third of them is trial 3 where trial 1 is a fork."""
    told = Told()
    told.add(0, 0, 0.3)
    told.policy.forked(1, 3, 0, 1, None)
    told.policy.requested(1, 1)
    told.policy.observed(1, 1, (0.0,), 1)
    told.count += 1
    told.add(0, 0, 0.2)
    told.add(0, 0, 0.1)
    assert "promoted from trial 3: rank 1 of 3" in told.add(0, 1, 0.05, promoted=2)
    assert told.policy.standing(1) == "evaluated at step 1"
