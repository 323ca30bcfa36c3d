"""A policy's caller: it keeps the engine's part of the contract, and its own plain record of what happened.

It does at random what an engine may do: verdicts are carried out at once or late, results come in any order, come late,
are lost and tried again, are not finite; trials are added, limits raised, studies stopped and taken up again.
"""

import copy
import math
import random

MARGINS = (-2.0, -0.5, -0.0, 0.0, 0.25, 0.25, 0.5, math.inf)


def constrained(values, seed, constraints):
    """Values with the margins of constraints: few different ones, so that there are ties."""

    def found(trial, step):
        drawn = random.Random(f"margins {seed} {trial} {step}")
        objectives = values(trial, step)
        return None if objectives is None else (*objectives, *drawn.choices(MARGINS, k=constraints))

    return found


class Trial:
    """What happened to a trial."""

    def __init__(self, number, max_steps):
        self.number = number
        self.max_steps = max_steps
        self.first_max_steps = max_steps
        self.asked = 0
        self.open = False
        self.retried = False  # added again, and not asked for since
        self.reached = 0
        self.seen = {}  # by step: values or None
        self.models = {}  # by step
        self.state = "new"  # open, resting, failed, diverged, cut
        self.evaluated = 0  # up to which step its evaluations were told

    @property
    def ended(self):
        return self.state in ("failed", "diverged")

    @property
    def deepest(self):
        return max(self.seen, default=0)

    @property
    def done(self):
        return self.deepest >= self.max_steps


class Caller:
    """Calls a policy.

    Args:
        spec: Of the policy.
        maximize: For each objective, whether more is better.
        values: From trial and step to the values there; None: not finite.
        model: From trial and step to the model there.
        every: The evaluation interval.
        mixed: Whether trials that are added at random have other limits than those before.
        max_trials: How many trials the policy is told that there will be.
    """

    def __init__(self, spec, maximize=(True,), values=None, model=None, every=1, mixed=False, max_trials=0):
        self.spec = spec
        self.maximize = maximize
        self.every = every
        self.mixed = mixed
        self.max_trials = max_trials
        self.policy = spec.build(maximize, every, max_trials)
        self.values = values or (lambda trial, step: (math.sin(trial * 7.3 + step),))
        self.model = model or (lambda trial, step: 10**6 * step + trial)
        self.trials = {}
        self.leaves = {}  # by trial: up to which step it goes as another one, whose rungs it is not compared at
        self.durable = []  # the calls that a restart repeats, in their order
        self.judged = []  # each evaluation on the way, as (trial, step, the verdict on it)

    # What an engine does

    def add(self, count, max_steps):
        for number in range(len(self.trials), len(self.trials) + count):
            self.trials[number] = Trial(number, max_steps)
            self.call("added", number, max_steps)

    def carry_out(self):
        """Carries all verdicts out; returns them as (trial, step), where the step of a stop is None."""
        found = []
        for verdict in self.policy.decide():
            found.append((verdict.trial, getattr(verdict, "to", None)))
            assert verdict.reason
            assert verdict.trial in self.trials
            if found[-1][1] is None:
                self.stop(verdict.trial)
            else:
                self.request(verdict.trial, verdict.to)
        return found

    def request(self, number, step):
        trial = self.trials[number]
        assert trial.deepest < step <= trial.max_steps
        trial.asked, trial.open, trial.state, trial.retried = step, True, "open", False
        self.call("requested", number, step)

    def stop(self, number):
        trial = self.trials[number]
        if trial.open:
            self.close(trial, trial.evaluated)
        trial.state = "cut"
        self.policy.stopped(number)

    def evaluate(self, number, step):
        """Some of the way of an open request becomes known."""
        trial = self.trials[number]
        while trial.open and trial.evaluated + self.every <= min(step, trial.asked):
            trial.evaluated += self.every
            values = self.values(number, trial.evaluated)
            verdict = None
            if self.policy.watches:
                self.policy.reported(number, trial.evaluated, values)
                verdict = self.policy.judge(number)
                self.judged.append((number, trial.evaluated, verdict))
                self.look_at_verdict(number, verdict)
            if values is None:
                self.observe(trial, None)
                trial.state = "diverged"
                self.call("ended", number)
            elif verdict is not None:
                assert verdict.trial == number
                self.stop(number)

    def look_at_verdict(self, number, verdict):
        """An evaluation was judged, and nothing has been done yet."""

    def answer(self, number):
        """What is asked for is reached; or the trial diverges."""
        trial = self.trials[number]
        self.evaluate(number, trial.asked)
        if trial.open:
            self.observe(trial, self.values(number, trial.asked))
            if trial.done:
                self.policy.stopped(number)

    def observe(self, trial, values):
        self.close(trial, trial.evaluated)
        trial.seen[trial.asked] = values
        trial.models[trial.asked] = self.model(trial.number, trial.evaluated)
        self.call("observed", trial.number, trial.asked, values, trial.models[trial.asked])

    def fail(self, number):
        trial = self.trials[number]
        self.close(trial, trial.evaluated)
        trial.state = "failed"
        self.call("ended", number)

    def retry(self, number):
        trial = self.trials[number]
        trial.state, trial.retried = "resting", True
        self.call("added", number, trial.max_steps)

    def raise_limit(self, max_steps):
        for trial in self.trials.values():
            if not trial.ended and max_steps > trial.max_steps:
                trial.max_steps = max_steps
                self.call("added", trial.number, max_steps)

    def stop_and_take_up_again(self):
        """A user stops the study, and extends it."""
        for trial in self.trials.values():
            if trial.retried:
                self.request(trial.number, trial.asked)
        cut = [trial for trial in self.trials.values() if trial.open]
        for trial in self.trials.values():
            if not trial.ended and not trial.done:
                self.stop(trial.number)
        for trial in cut:
            self.request(trial.number, trial.asked)

    def wants(self):
        """Its verdicts, without its having been asked."""
        return copy.deepcopy(self.policy).decide()

    def finish(self):
        """Nothing is open: carries out what is still wanted; returns it."""
        found = [(verdict.trial, verdict.to) for verdict in self.policy.finish()]
        for number, step in found:
            self.request(number, step)
        return found

    # Within

    def close(self, trial, upto):
        trial.open, trial.reached, trial.state = False, max(trial.reached, upto), "resting"
        if self.policy.watches:
            for step in range(self.every, upto + 1, self.every):
                self.call("reported", trial.number, step, self.values(trial.number, step))

    def call(self, name, *arguments):
        self.durable.append((name, arguments))
        getattr(self.policy, name)(*arguments)

    @property
    def open(self):
        return [trial.number for trial in self.trials.values() if trial.open]

    def restarted(self, random):
        """The policy as an engine makes it anew: what was on its way is told last, and in any order."""
        policy = self.spec.build(self.maximize, self.every, self.max_trials)
        for name, arguments in self.durable:
            getattr(policy, name)(*arguments)
        numbers = list(self.trials)
        random.shuffle(numbers)
        for number in numbers:
            trial = self.trials[number]
            if trial.state == "cut" or (trial.state == "resting" and trial.done):
                policy.stopped(number)
            if policy.watches:
                for step in range(self.every, trial.evaluated + 1, self.every):
                    policy.reported(number, step, self.values(number, step))
        return policy

    def live(self, random, steps, most=40, largest=30, look=lambda caller: None):
        """Does at random what an engine may do.

        Args:
            random: Decides what.
            steps: How often.
            most: How many trials there are at most.
            largest: Up to what limits are raised.
            look: Called after each.
        """
        self.add(random.randrange(1, 8), self.every * random.randrange(4, 12))
        for _ in range(steps):
            self.act(random, most, largest)
            look(self)

    def act(self, random, most, largest):
        kind = random.choices(
            ["carry_out", "answer", "evaluate", "fail", "retry", "add", "raise", "stop", "finish"],
            [8, 12, 4, 1, 2, 1, 0.3, 0.2, 2],
        )[0]
        failed = [trial.number for trial in self.trials.values() if trial.state == "failed"]
        if kind == "carry_out":
            self.carry_out()
        elif kind == "answer" and self.open:
            for number in random.sample(self.open, min(len(self.open), random.choice([1, 1, 1, 3]))):
                self.answer(number)
        elif kind == "evaluate" and self.open:
            number = random.choice(self.open)
            self.evaluate(number, random.randrange(self.trials[number].asked + 1))
        elif kind == "fail" and self.open:
            self.fail(random.choice(self.open))
        elif kind == "retry" and failed:
            number = random.choice(failed)
            self.retry(number)
            if random.random() < 0.7:
                self.request(number, self.trials[number].asked)
        elif kind == "add" and len(self.trials) < most:
            limit = max(trial.max_steps for trial in self.trials.values())
            if self.mixed:
                limit = self.every * random.randrange(1, limit // self.every + 1)
            self.add(random.randrange(1, 5), limit)
        elif kind == "raise":
            self.raise_limit(self.every * random.randrange(1, largest))
        elif kind == "stop":
            self.stop_and_take_up_again()
        elif kind == "finish" and not self.open and not self.wants():
            self.finish()

    def run(self, choose=lambda numbers: numbers[0]):
        """Answers everything, until the policy wants no more; returns how far each trial has come."""
        self.carry_out()
        while self.open or self.finish():
            self.answer(choose(self.open))
            self.carry_out()
        return {trial.number: trial.reached for trial in self.trials.values()}
