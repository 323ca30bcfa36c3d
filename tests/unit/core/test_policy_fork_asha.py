"""The policy of ``fork_asha`` against what it ought to decide, on random histories."""

import random

import pytest
from hypothesis import given, settings

from hippo_core import policies, samplers, schedules, space
from hippo_core.errors import InvalidStudy
from tests.studies import study
from tests.unit.core import policy_oracles
from tests.unit.core.policy_calls import Caller
from tests.unit.core.test_policy_halving import (
    ARGUMENTS,
    SEEDS,
    expect_same_after_a_restart,
    plain,
    shared,
    worth,
)


class ForkingCaller(Caller):
    """A caller some of whose trials are noted as forks, or as of another origin; others are persons'."""

    def __init__(self, seed, spec, **arguments):
        super().__init__(spec, **arguments)
        self.drawn = random.Random(seed)

    def add(self, count, max_steps):
        for _ in range(count):
            number = len(self.trials)
            kind = self.drawn.choice(["fork", "fork", "beginning", "drawn", "random", None])
            notes = {"kind": kind}
            if kind in ("fork", "beginning"):
                at = self.drawn.randrange(1, max_steps)
                notes |= {"base": self.drawn.randrange(number + 1), "rank": 1, "of": 4, "at": at}
            if kind == "fork":
                self.leaves[number] = at
            if kind is not None:
                self.call("noted", number, notes)
            super().add(1, max_steps)


@settings(max_examples=100)
@given(ARGUMENTS, SEEDS)
def test_promotions_are_those_of_asha_but_for_the_rungs_that_the_base_has_passed(arguments, seed):
    """After every call, in any order: what is wanted is a function of the record, and the same after a restart."""
    values, model = shared(worth(seed, 1000 if seed % 2 else 3), seed)
    chosen = random.Random(seed)
    caller = ForkingCaller(
        seed, policies.fork_asha(**arguments), maximize=(seed % 3 == 0,), values=values, model=model
    )

    def look(caller):
        expected = policy_oracles.halving(caller, arguments, "models")
        assert plain(caller.policy.decide()) == expected
        if not caller.open and not expected:
            last = policy_oracles.last_promotions(caller, arguments, "models")
            assert plain(caller.policy.finish()) == last
        if chosen.random() < 0.2:
            expect_same_after_a_restart(caller, chosen)

    caller.live(chosen, steps=70, look=look)


def told(policy, trial, **notes):
    """Why a trial that comes with notes begins."""
    if notes:
        policy.noted(trial, notes)
    policy.added(trial, 27)
    (verdict,) = policy.decide()
    assert verdict.trial == trial
    policy.requested(trial, verdict.to)
    return verdict.to, verdict.reason


def test_a_trial_tells_where_it_comes_from():
    """Notes name trials by their places among those drawn: the second is trial 2, as trial 1 is a user's fork."""
    policy = policies.fork_asha(3).build((False,), 1, 0)
    assert told(policy, 0, kind="random") == (3, "a random point; enters at step 3")
    policy.forked(1, 27, 0, 5, None)
    policy.requested(1, 3)
    assert told(policy, 2) == (3, "enters at step 3")
    assert told(policy, 3, kind="drawn") == (3, "the model's likeliest point; enters at step 3")
    assert told(policy, 4, kind="fork", base=1, rank=2, of=5, at=18) == (
        27,
        "goes as trial 2, rank 2 of 5 at the end, up to step 18, with other draws for what follows; "
        "enters at step 27",
    )
    assert told(policy, 5, kind="fork", base=1, rank=2, of=5, at=3)[0] == 9
    assert told(policy, 6, kind="beginning", base=0, rank=1, of=5, at=9) == (
        3,
        "a new beginning, with the draws of trial 0, rank 1 of 5 at the end, for what follows step 9; "
        "enters at step 3",
    )


def made(entries, **changes):
    sampler = samplers.from_json({"sampler": "fork_asha"})
    arguments = {
        "policy": policies.fork_asha(),
        "sampler": sampler,
        "max_trials": 5,
        "max_steps": 9,
        **changes,
    }
    return study(entries, **arguments)


LATE = {"lr": schedules.piecewise([space.uniform(0, 1), space.uniform(0, 1)], [9])}


@pytest.mark.parametrize(
    "entries", [{"lr": space.uniform(0, 1)}, {"lr": schedules.cosine(space.uniform(0, 1), 0.0, 9)}, LATE]
)
def test_a_space_that_has_nowhere_to_fork_is_refused_with_the_remedy(entries):
    with pytest.raises(InvalidStudy, match=r"nowhere to fork\. Use policy=policies\.asha\(\) with sampler="):
        made(entries)


def test_a_space_of_which_some_trials_have_a_later_phase_is_searched():
    made(LATE, max_steps=10)
    made({"lr": space.choice([0.1, *[schedules.piecewise([0.1, space.uniform(0, 1)], [3])]])})


@pytest.mark.parametrize("share", [-0.1, 1.0, 2])
def test_the_share_of_forks_is_below_one(share):
    with pytest.raises(InvalidStudy, match="from 0 to below 1"):
        policies.fork_asha(fork_share=share)


def test_a_study_says_where_its_trials_are_too_few_to_fork():
    """Rungs at 3 and 9: of nine trials one comes to the end, so that it takes 18 until two have."""
    assert made(LATE, max_steps=27, max_trials=19, policy=policies.fork_asha(3)).warnings == ()
    (warning,) = made(LATE, max_steps=27, max_trials=18, policy=policies.fork_asha(3)).warnings
    assert warning == (
        "max_trials=18 leaves no trials to fork: it takes about 18 until 2 have come to step 27, as each rung from "
        "step 3 on promotes 1 of 3; a larger min_steps has fewer rungs"
    )
