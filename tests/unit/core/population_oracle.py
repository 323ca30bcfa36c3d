"""Whom a population replaces, computed slowly from a caller's plain record of what happened."""

import math

from hippo_core.policies import Fork
from tests.unit.core.policy_calls import Caller, Trial
from tests.unit.core.policy_oracles import better


class PopulationCaller(Caller):
    """A caller that forks trials as it is told, and records who has which place."""

    def __init__(self, spec, *arguments, seed=0, **options):
        super().__init__(spec, *arguments, **options)
        self.seed = seed
        self.policy.searches(self.policy.space, seed)
        self.holders = []  # by place
        self.born = {}  # by fork, at which step
        self.passed = {}  # by trial: where it stood when it was asked for last
        self.held = {}  # by step: the trials that were seen there while they had a place
        self.outsiders = []

    def add(self, count, max_steps):
        before = len(self.trials)
        super().add(count, max_steps)
        self.holders += [number for number in self.trials if number >= before]

    def add_outsider(self, parent, at):
        """A user forks a trial."""
        number = len(self.trials)
        self.trials[number] = Trial(number, self.trials[parent].max_steps)
        self.outsiders.append(number)
        self.call("forked", number, self.trials[parent].max_steps, parent, at, None)

    def carry_out(self):
        verdicts = self.policy.decide()
        for verdict in verdicts:
            assert verdict.reason
            if isinstance(verdict, Fork):
                self.replace(verdict)
            else:
                self.request(verdict.trial, verdict.to)
        return verdicts

    def replace(self, fork):
        parent, replaced = self.trials[fork.trial], self.trials[fork.instead_of]
        assert parent.seen[fork.at] is not None
        if not replaced.ended:
            self.stop(replaced.number)
        number = len(self.trials)
        self.trials[number] = Trial(number, parent.max_steps)
        self.holders[self.holders.index(replaced.number)] = number
        self.born[number] = fork.at
        self.call("forked", number, parent.max_steps, parent.number, fork.at, replaced.number)

    def request(self, number, step):
        self.passed[number] = max(self.trials[number].deepest, self.born.get(number, 0))
        super().request(number, step)

    def observe(self, trial, values):
        if trial.number in self.holders:
            self.held.setdefault(trial.asked, []).append(trial.number)
        super().observe(trial, values)

    def wants(self):
        return self.policy.decide()

    def restarted(self, random):
        policy = self.spec.build(self.maximize, self.every, self.max_trials)
        policy.searches(policy.space, self.seed)
        for name, arguments in self.durable:
            getattr(policy, name)(*arguments)
        return policy


def expected(caller, interval, quantile, asynchronous):
    """By trial: the step up to which it goes on, or the set of those of whom one's fork takes its place."""
    found = {}
    for number in [*caller.holders, *caller.outsiders]:
        trial, at = caller.trials[number], stands(caller, number)
        asked = at if trial.retried else trial.asked
        if trial.ended or trial.open or asked > at or at >= trial.max_steps:
            continue
        if number in caller.outsiders:
            found[number] = trial.max_steps
        elif pending(caller, number, interval) != at:
            found[number] = goal(caller, number, interval)
    alive = [number for number in caller.holders if not caller.trials[number].ended]
    due = {number: pending(caller, number, interval) for number in caller.holders}
    for step in sorted(set(due.values()) - {None}):
        dead = [number for number in caller.holders if due[number] == step and number not in alive]
        ready = [number for number in alive if due[number] == step == caller.trials[number].deepest]
        to_come = [number for number in alive if due[number] is not None and due[number] <= step]
        if not asynchronous and (
            len(caller.holders) + len(caller.outsiders) < caller.max_trials or to_come != ready
        ):
            break
        judge(caller, step, interval, quantile, asynchronous, dead, ready, found)
        if not asynchronous and any(number in found for number in [*dead, *ready]):
            break  # who goes on from here, or takes a place here, comes to the steps beyond
    return found


def judge(caller, step, interval, quantile, asynchronous, dead, ready, found):
    """Adds what follows for those who are to be judged at a step."""
    worst, value = (math.inf, math.inf), {}
    for number in {*caller.held.get(step, []), *dead}:
        seen = caller.trials[number].seen.get(step)
        value[number] = worst if number in dead or seen is None else better(caller, seen)
    before = {
        number: sum((value[other], other) < (value[number], number) for other in value) for number in value
    }
    count = math.floor(quantile * len(value) + 1e-9)
    if not asynchronous:
        count = max(count, 1)
    count = min(count, len(value) // 2)
    best = {number for number in value if value[number] < worst and before[number] < max(count, 1)}
    for number in [*dead, *ready]:
        if number not in dead and before[number] < len(value) - count:
            found[number] = goal(caller, number, interval)
        elif best:
            found[number] = best


def stands(caller, number):
    return max(caller.trials[number].deepest, caller.born.get(number, 0))


def goal(caller, number, interval):
    """The next step at which it may be compared, or its end."""
    end = caller.trials[number].max_steps
    return next((step for step in range(interval, end, interval) if step > stands(caller, number)), end)


def pending(caller, number, interval):
    """The step at which a holder of a place is judged next."""
    passed = caller.passed.get(number, caller.born.get(number, 0))
    for step in range(interval, caller.trials[number].max_steps, interval):
        if step > passed and step >= stands(caller, number):
            return step
    return None
