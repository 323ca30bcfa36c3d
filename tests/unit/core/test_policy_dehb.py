"""DEHB's policy against what it ought to ask for, on random histories."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from tests.unit.core.policy_calls import Caller


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
                value = trial.seen[trial.deepest][0]
                there[number] = (-trial.deepest, -value if caller.maximize[0] else value, number)
    best = min(there, key=there.__getitem__, default=None)
    return [] if best is None else [(best, caller.trials[best].max_steps)]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_each_trial_is_asked_for_at_its_step_and_no_further(seed, maximize):
    """After every call, in any order: what is wanted is a function of the record, and the same after a restart."""
    chosen = random.Random(seed)

    def values(trial, step):
        drawn = random.Random(f"{seed} {trial} {step}")
        return None if drawn.random() < 0.05 else (float(drawn.randrange(4)),)

    caller = NotingCaller(seed, maximize=(maximize,), values=values)

    def look(caller):
        decided = caller.policy.decide()
        assert {each.trial: each.to for each in decided} == wanted(caller)
        again = caller.restarted(chosen)
        assert again.decide() == decided
        if not caller.open and not decided:
            assert [(each.trial, each.to) for each in caller.policy.finish()] == last_one(caller)
            assert again.finish() == caller.policy.finish()

    caller.live(chosen, 60, look=look)
