"""Trie ASHA's policy: it asks for each trial's step and no further, and tells why."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from tests.unit.core.policy_calls import Caller
from tests.unit.core.test_policy_dehb import last_one, wanted


class NotingCaller(Caller):
    """A caller whose trials come with a step, but for some, which are persons'."""

    def __init__(self, seed, **arguments):
        super().__init__(policies.trie_asha(2, 3), **arguments)
        self.drawn = random.Random(seed)
        self.steps = {}

    def add(self, count, max_steps):
        for number in range(len(self.trials), len(self.trials) + count):
            self.steps[number] = min(2, max_steps)
            if self.drawn.random() < 0.8:
                self.steps[number] = self.drawn.choice([1, 2, max_steps])
                self.call("noted", number, {"step": self.steps[number]})
            super().add(1, max_steps)


@settings(max_examples=50)
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


def test_reasons_tell_of_the_parent_its_rank_and_who_goes_on():
    policy = policies.trie_asha(1, 3).build((False,), 1, 0)

    def train(trial, value, **notes):
        if notes:
            policy.noted(trial, notes)
        policy.added(trial, 9)
        (verdict,) = policy.decide()
        policy.requested(trial, verdict.to)
        policy.observed(trial, verdict.to, (value,), trial)
        return verdict.reason

    assert train(0, 0.3, step=1) == "a new prefix, up to step 1"
    assert train(1, 0.2) == "a point of a user's, up to step 1"
    train(2, 0.1, step=1)
    assert policy.standing(1) == "rank 2 of 3 trials at step 1, 0.2; nothing goes on from it yet"
    assert train(3, 0.05, step=3, parent=2, rank=1, known=3, open=1) == (
        "up to step 3, below trial 2: rank 1 of the 3 prefixes known at its step, of which 1 go on"
    )
    assert train(4, 0.04, step=9, parent=3, rank=0, known=0, open=0) == (
        "up to step 9, below trial 3, which is still being trained: nothing better is known to do"
    )
    assert policy.standing(2) == "rank 1 of 3 trials at step 1, 0.1; it goes on as trial 3"
    train(5, 0.9, step=3, parent=2, rank=1, known=3, open=1)
    assert policy.standing(2).endswith("it goes on as trials 3, 5")
