"""Policies as users write them, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from hippo_core.own_policy import Policy, PolicyTrial
from hippo_core.policies import Extend, Stop, Verdict


class Asha(Policy):
    """The rule of ASHA, written anew."""

    def setup(self, *args: Any, min_steps: int = 1, reduction_factor: int = 3) -> None:
        self.first, self.factor = min_steps, reduction_factor

    def rungs(self, trial: PolicyTrial) -> list[int]:
        found, step = [], self.first
        while self.context.round_up(step) < trial.max_steps:
            found.append(self.context.round_up(step))
            step *= self.factor
        return [*found, trial.max_steps]

    def above(self, trial: PolicyTrial, step: int) -> int:
        return min(rung for rung in self.rungs(trial) if rung > step)

    def decide(self) -> Iterable[Verdict]:
        for trial in self.trials.values():
            if trial.rests and trial.step == 0:
                yield Extend(trial.number, self.above(trial, 0), "it begins")
        for rung in sorted({step for trial in self.trials.values() for step in self.rungs(trial)[:-1]}):
            there = [trial for trial in self.trials.values() if trial.step >= rung and rung in trial.scores]
            there.sort(key=lambda trial: (-trial.scores[rung], trial.number))
            for trial in there[: len(there) // self.factor]:
                if trial.rests and trial.step == rung:
                    yield Extend(trial.number, self.above(trial, rung), f"among the best at step {rung}")

    def finish(self) -> Iterator[Verdict]:
        there = [trial for trial in self.trials.values() if trial.step in trial.scores]
        if any(trial.done for trial in there):
            return
        deepest = max((trial.step for trial in there if trial.rests), default=0)
        best = max(
            (trial for trial in there if trial.rests and trial.step == deepest),
            key=lambda trial: (trial.scores[deepest], -trial.number),
            default=None,
        )
        if best is not None:
            yield Extend(best.number, self.above(best, deepest), "the best")


class Erratic(Policy):
    """What it decides depends on all that it was ever told, and on how often it was asked."""

    def setup(self, *args: Any, **arguments: Any) -> None:
        self.memory = hashlib.blake2b(repr(arguments).encode())

    def chance(self) -> float:
        seen = [
            (each.number, each.max_steps, each.asked, each.step, sorted(each.values.items()), each.ended)
            for each in self.trials.values()
        ]
        self.memory.update(repr((seen, self.max_trials)).encode())
        return int.from_bytes(self.memory.digest()[:4], "big") / 2.0**32

    def decide(self) -> list[Verdict]:
        found: list[Verdict] = []
        for trial in self.trials.values():
            if trial.rests and (trial.step == 0 or self.chance() < 0.6):
                to = self.context.round_up(
                    trial.step + 1 + self.chance() * (trial.max_steps - trial.step - 1)
                )
                found.append(Extend(trial.number, min(to, trial.max_steps), "so it is"))
            elif not trial.ended and trial.asked > trial.step and self.chance() < 0.05:
                found.append(Stop(trial.number, "enough of it", completes=self.chance() < 0.5))
        return found

    def finish(self) -> list[Verdict]:
        resting = [trial for trial in self.trials.values() if trial.rests]
        if not resting or any(trial.done for trial in self.trials.values()):
            return []
        chosen = resting[int(self.chance() * len(resting))]
        return [Extend(chosen.number, chosen.max_steps, "somebody has to")]
