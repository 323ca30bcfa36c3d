"""The phase tree's policy against what it ought to ask for, on random histories."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, schedules, space
from hippo_core.policies import Probe
from hippo_core.space import Space
from tests.unit.core.policy_calls import Caller

ENDS = (4, 8, 12)
RUNG = 2
SEARCHED = Space(
    {
        "lr": schedules.piecewise([space.loguniform(0.01, 1) for _ in ENDS], list(ENDS[:-1])),
        "m": space.uniform(0, 1),
    }
)


class TreeCaller(Caller):
    """A caller whose trials come with notes, but for some, which are persons'; probes come late, or are lost.

    Attributes:
        stops: By trial, the steps at which it is judged.
        asked_probes: By trial and step, whether the probe is open.
    """

    def __init__(self, seed, spec, **arguments):
        super().__init__(spec, **arguments)
        self.policy.searches(SEARCHED, 0)
        self.drawn = random.Random(seed)
        self.stops = {}
        self.asked_probes = {}

    def add(self, count, max_steps):
        for number in range(len(self.trials), len(self.trials) + count):
            stops = (RUNG, *ENDS)
            if self.drawn.random() < 0.8:
                level = self.drawn.randrange(3)
                notes = {"level": level, "step": ENDS[level], "drawn": "evenly"}
                parents = [each for each, stops in self.stops.items() if level and ENDS[level - 1] in stops]
                if level and parents:
                    notes |= {"parent": self.drawn.choice(parents), "rank": 1, "of": 1, "child": 1}
                stops = (ENDS[level],)
                self.call("noted", number, notes)
            self.stops[number] = stops
            super().add(1, ENDS[-1])

    def raise_limit(self, max_steps):
        """The policy's limit cannot be raised."""

    def wants(self):
        return self.policy.decide()

    def carry_out(self):
        for verdict in self.policy.decide():
            assert verdict.reason
            if isinstance(verdict, Probe):
                key = verdict.trial, verdict.at
                assert key not in self.asked_probes
                assert (verdict.to, verdict.factors) == (verdict.at + 1, (("lr", 0.3),))
                self.asked_probes[key] = True
                self.call("probing", verdict.trial, verdict.at, verdict.to)
            else:
                self.request(verdict.trial, verdict.to)

    def act(self, chosen, most, largest):
        super().act(chosen, most, largest)
        running = [key for key, is_open in self.asked_probes.items() if is_open]
        if running and chosen.random() < 0.4:
            trial, at = key = chosen.choice(running)
            self.asked_probes[key] = False
            values = None if chosen.random() < 0.2 else (float(chosen.randrange(4)),)
            self.call("probed", trial, at, at + 1, values)

    def restarted(self, chosen):
        build = self.spec.build

        class Told:
            @staticmethod
            def build(*arguments):
                policy = build(*arguments)
                policy.searches(SEARCHED, 0)
                return policy

        spec, self.spec = self.spec, Told
        try:
            return super().restarted(chosen)
        finally:
            self.spec = spec


def wanted(caller, probed_from):
    """What is to be asked for: by trial the next step at which it is judged, and the probes of where it was."""
    steps, probes = {}, set()
    for number, trial in caller.trials.items():
        if trial.ended:
            continue
        asked = trial.deepest if trial.retried else trial.asked
        beyond = [step for step in caller.stops[number] if step > asked]
        if beyond and (not asked or trial.seen.get(asked) is not None):
            steps[number] = beyond[0]
        for at, values in trial.seen.items():
            is_stop = at in caller.stops[number] and probed_from <= at < ENDS[-1]
            if values is not None and is_stop and (number, at) not in caller.asked_probes:
                probes.add((number, at))
    return steps, probes


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.booleans(), st.booleans())
def test_each_trial_is_asked_for_where_it_is_judged_and_probed_there(seed, maximize, probes):
    """After every call, in any order: what is wanted is a function of the record, and the same after a restart."""
    chosen = random.Random(seed)

    def values(trial, step):
        drawn = random.Random(f"{seed} {trial} {step}")
        return None if drawn.random() < 0.03 else (float(drawn.randrange(4)),)

    spec = policies.phase_tree(probe_steps=None if probes else 0)
    caller = TreeCaller(seed, spec, maximize=(maximize,), values=values)

    def look(caller):
        decided = caller.policy.decide()
        steps, probed = wanted(caller, ENDS[0] if probes else ENDS[-1])
        assert {each.trial: each.to for each in decided if not isinstance(each, Probe)} == steps
        assert {(each.trial, each.at) for each in decided if isinstance(each, Probe)} == probed
        again = caller.restarted(chosen)
        assert again.decide() == decided
        for number in caller.trials:
            assert again.standing(number) == caller.policy.standing(number)
        if not caller.open and not decided:
            assert again.finish() == caller.policy.finish()
            done = [trial for trial in caller.trials.values() if trial.seen.get(ENDS[-1]) is not None]
            alive = [
                trial
                for trial in caller.trials.values()
                if not trial.ended and trial.seen.get(trial.deepest) is not None
            ]
            if done or not alive:
                assert again.finish() == []
            else:
                (last,) = again.finish()
                deepest = max(trial.deepest for trial in alive)
                assert (caller.trials[last.trial].deepest, last.to) == (deepest, ENDS[-1])

    caller.live(chosen, 60, look=look)
