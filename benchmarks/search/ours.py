"""Hippo's searches: the production engine, its policies and proposals, in virtual time on the memoised network."""

from __future__ import annotations

import contextlib

from benchmarks.search.memo import Memoised
from benchmarks.search.problems import Problem
from benchmarks.search.progress import Progress
from hippo_core import endings, space
from hippo_core.engine.events import Event, MetricsRecorded, RequestClosed, StepsTrained, TrialCreated
from hippo_core.objective import Objective
from hippo_core.policies import PolicySpec
from hippo_core.program import Program
from hippo_core.samplers import Sampler
from hippo_core.simulation import Host, simulate
from hippo_core.study import StudySpec

MOST_TRIALS = 100_000


class Stalled(Exception):
    """The search gets no further."""


class Watcher:
    """Follows a study event by event, until its search gets no further.

    Args:
        problem: What is searched.
    """

    def __init__(self, problem: Problem) -> None:
        self.progress = Progress()
        self._problem = problem
        self._tests: dict[float, float] = {}
        self._reached: dict[int, int] = {}
        self._idle = 0

    def note(self, event: Event) -> None:
        """Is shown every event of the engine."""
        progress = self.progress
        match event:
            case TrialCreated():
                progress.trials += 1
                self._idle += 1
                if event.fork is not None:
                    self._reached[event.trial] = event.fork["at"]
                if self._idle > STALLED:
                    raise Stalled
            case StepsTrained():
                self._idle = 0
                progress.trained += event.stop - event.start
            case MetricsRecorded() if event.metrics is not None:
                loss, test = event.metrics["loss"], event.metrics["test"]
                assert loss is not None  # they are bounded
                assert test is not None
                self._tests[loss] = test
            case RequestClosed() if event.value is not None:
                before = self._reached.get(event.trial, 0)
                progress.alone += max(0, event.reached - before)
                self._reached[event.trial] = max(before, event.reached)
                if event.reached == self._problem.max_steps:
                    progress.finished(event.value, self._tests[event.value])
            case _:
                return


STALLED = 100
"""After so many trials in a row for which nothing was trained, a search is taken to get no further."""


def study(
    problem: Problem, policy: PolicySpec, sampler: Sampler, seed: int, trials: int, plain: bool
) -> StudySpec:
    """A search as a study.

    Args:
        problem: What is searched.
        policy: How far to train whom.
        sampler: What to try.
        seed: Of the search.
        trials: How many, at most.
        plain: Whether hyper-parameters are plain values, which the policy changes.
    """
    searched = space.Space(problem.plain if plain and problem.plain is not None else problem.entries)
    return StudySpec(
        name=f"{problem.name}-{seed}",
        space=searched,
        objectives=(Objective(metric="loss", maximize=False),),
        max_trials=trials,
        max_steps=problem.max_steps,
        sampler=sampler,
        policy=policy,
        program=Program(trainer="t:T", code_digest="", seed=seed, kinds=searched.kinds),
        # With an ending a path tells of each step as it is trained, so that steps are counted when they are.
        endings=(endings.max_trained_steps(problem.budget),),
    )


def search(problem: Problem, spec: StudySpec, slots: int) -> Progress:
    """Runs a study, with so many trials under way at a time, until its budget is spent."""
    watcher = Watcher(problem)
    response: Memoised = problem.response
    with contextlib.suppress(Stalled):
        simulate([spec], [Host(name="h", slots=slots)], response=response, watch=watcher.note)
    return watcher.progress
