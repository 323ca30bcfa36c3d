"""A process that makes points, among whose samplers are such as nobody wants."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.terminator import BestValueStagnationEvaluator


class SleepingSampler(RandomSampler):
    def sample_independent(self, *_: Any) -> Any:
        while True:
            time.sleep(3600)


class RaisingSampler(RandomSampler):
    def sample_independent(self, *_: Any) -> Any:
        raise ValueError("no point comes to mind")


class OutsideSampler(RandomSampler):
    def sample_independent(self, study: Any, trial: Any, name: str, *_: Any) -> Any:
        return 1e9


class DyingSampler(RandomSampler):
    def sample_independent(self, *_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class LeavingSampler(RandomSampler):
    def sample_independent(self, *_: Any) -> Any:
        sys.exit(3)


class HungrySampler(RandomSampler):
    def sample_independent(self, *_: Any) -> Any:
        return [bytearray(2**30) for _ in range(64)]


class TalkingSampler(RandomSampler):
    def sample_independent(self, *arguments: Any) -> Any:
        sys.stdout.write("what a sampler prints is no answer\n")
        sys.stdout.flush()
        return super().sample_independent(*arguments)


class NotingSampler(RandomSampler):
    def sample_independent(self, study: Any, trial: Any, *rest: Any) -> Any:
        study._storage.set_trial_system_attr(trial._trial_id, "long", "x" * 100_000)
        return super().sample_independent(study, trial, *rest)


class SleepingEvaluator(BestValueStagnationEvaluator):
    def evaluate(self, *_: Any, **__: Any) -> float:
        while True:
            time.sleep(3600)


BAD = (
    SleepingSampler,
    RaisingSampler,
    OutsideSampler,
    DyingSampler,
    LeavingSampler,
    HungrySampler,
    TalkingSampler,
    NotingSampler,
)


if __name__ == "__main__":
    from hippo_server.proposals.child import main

    optuna.terminator.RegretBoundEvaluator = lambda **_: SleepingEvaluator()
    for each in BAD:
        setattr(optuna.samplers, each.__name__, each)
    main()
