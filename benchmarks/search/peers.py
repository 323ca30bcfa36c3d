"""Optuna's searches on the memoised network: ask, report, should_prune, tell, as its users write it.

Workers are simulated, each of which trains one trial at a time, a step in a unit of time. Sharing is counted for them,
too: a step whose history of values was trained before is not trained, and takes no time.
"""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.search.memo import Run
from benchmarks.search.ours import STALLED, study
from benchmarks.search.problems import Problem
from benchmarks.search.progress import Progress
from hippo_core import policies, samplers
from hippo_core.domains import Choice, Domain, Integer, Uniform
from hippo_core.drawing import name_of
from hippo_core.sequence import Sequence
from hippo_core.values import normalise


@dataclass(slots=True)
class Training:
    """A trial that a worker trains.

    Attributes:
        trial: Optuna's.
        sequence: Its schedules.
        run: How far it is trained, the step that is being trained included.
        fresh: Whether nobody had trained that step.
    """

    trial: Any
    sequence: Sequence
    run: Run
    fresh: bool = False


def random(seed: int, slots: int, problem: Problem) -> tuple[Any, Any]:
    import optuna

    return optuna.samplers.RandomSampler(seed=seed), optuna.pruners.NopPruner()


def tpe(seed: int, slots: int, problem: Problem) -> tuple[Any, Any]:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, constant_liar=slots > 1, seed=seed)
    return sampler, optuna.pruners.NopPruner()


def asha_tpe(seed: int, slots: int, problem: Problem) -> tuple[Any, Any]:
    import optuna

    sampler, _ = tpe(seed, slots, problem)
    return sampler, optuna.pruners.SuccessiveHalvingPruner(min_resource=problem.min_steps, reduction_factor=3)


Makes = Callable[[int, int, Problem], tuple[Any, Any]]
"""From the seed, the number of workers and the problem: a sampler and a pruner."""


def search(problem: Problem, make: Makes, seed: int, slots: int) -> Progress:
    """Runs a search of Optuna's until its budget is spent, or it gets no further."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler, pruner = make(seed, slots, problem)
    workers = Workers(problem, optuna.create_study(sampler=sampler, pruner=pruner), slots)
    while workers.progress.trained < problem.budget and workers.idle <= STALLED:
        workers.go_on()
    return workers.progress


class Workers:
    """Workers that train a study's trials, step by step.

    Args:
        problem: What is searched.
        asked: Optuna's study.
        count: How many workers.

    Attributes:
        progress: What it has come to.
        idle: So many trials in a row were new, and none of their steps.
    """

    def __init__(self, problem: Problem, asked: Any, count: int) -> None:
        self.progress = Progress()
        self.idle = 0
        self._problem = problem
        self._asked = asked
        self._spec = study(problem, policies.full(), samplers.random(), 0, 1, plain=False)
        self._begun: set[bytes] = set()
        self._training: dict[int, Training] = {}
        self._entered = count
        self._agenda = [(0, worker, worker) for worker in range(count)]

    def go_on(self) -> None:
        """The next worker tells what the step that it has trained came to, and begins the next one."""
        time, _, worker = heapq.heappop(self._agenda)
        training = self._training.get(worker)
        if training is None or self._ends(training):
            training = self._training[worker] = self._ask()
        step = training.run.step
        training.run = self._problem.response.train(training.run, step, training.sequence.values(step))
        training.fresh = training.run.history not in self._begun
        self._begun.add(training.run.history)
        self._entered += 1
        heapq.heappush(self._agenda, (time + training.fresh, self._entered, worker))

    def _ask(self) -> Training:
        trial = self._asked.ask()
        assignment = self._spec.space.decide(lambda domain: _suggest(trial, domain))
        self.progress.trials += 1
        self.idle += 1
        return Training(trial, self._spec.sequence(assignment), self._problem.response.begin(0))

    def _ends(self, training: Training) -> bool:
        """Tells of a step that was trained; whether it was the trial's last."""
        from optuna.trial import TrialState

        progress, step = self.progress, training.run.step
        progress.alone += 1
        if training.fresh:
            progress.trained += 1
            self.idle = 0
        loss, test = self._problem.response.losses(training.run)
        training.trial.report(loss, step)
        if step == self._problem.max_steps:
            self._asked.tell(training.trial, loss)
            progress.finished(loss, test)
            return True
        if training.trial.should_prune():
            self._asked.tell(training.trial, state=TrialState.PRUNED)
            return True
        return False


def _suggest(trial: Any, domain: Domain) -> Any:
    name = name_of(domain)
    match domain:
        case Choice():
            return trial.suggest_categorical(name, tuple(range(len(domain.options))))
        case Uniform():
            return normalise(trial.suggest_float(name, domain.low, domain.high, log=domain.log), domain.kind)
        case Integer():
            return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
        case _:
            raise TypeError(f"no problem here has {domain!r}")
