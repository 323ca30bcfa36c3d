"""Asks one of Optuna's terminators whether a search is worth going on with: a function of the task alone."""

from __future__ import annotations

import math
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import ExperimentalWarning

from hippo_core.endings import Improvement, Terminator
from hippo_core.engine.terminators import JudgementTask
from hippo_core.errors import InvalidStudy
from hippo_server.proposals.history import frozen_trials

if TYPE_CHECKING:
    from optuna.terminator import BaseErrorEvaluator, BaseImprovementEvaluator

#: What estimates with a Gaussian process: needs scipy and torch.
GAUSSIAN: frozenset[Improvement] = frozenset({"regret_bound", "emmr"})


def judge(task: JudgementTask) -> tuple[float, float]:
    """What could still be gained, as a terminator estimates, and the least gain that is worth going on.

    Raises:
        ValueError: It cannot be estimated.
    """
    trials = frozen_trials(task.spec, task.history)
    maximize = task.spec.objectives[0].maximize
    direction = optuna.study.StudyDirection.MAXIMIZE if maximize else optuna.study.StudyDirection.MINIMIZE
    with warnings.catch_warnings():
        # Our arguments name what is experimental; that Optuna will drop it one day is no news to a study's user.
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        improvement, error = _evaluators(task)
        gain = float(improvement.evaluate(trials, direction))
        threshold = float(error.evaluate(trials, direction))
    if not (math.isfinite(gain) and math.isfinite(threshold)):
        raise ValueError(f"the estimate is not finite: {gain}, {threshold}")
    return gain, threshold


def require_terminator(terminator: Terminator) -> None:
    """Checks that a terminator can work here.

    Raises:
        InvalidStudy: Something is not installed.
    """
    if terminator.improvement not in GAUSSIAN:
        return
    for module in ("scipy", "torch"):
        if find_spec(module) is None:  # to import it would take longer than a person wants to wait
            raise InvalidStudy(
                "endings",
                f"terminator {terminator.improvement!r} needs {module}, which is not installed where the server runs",
                "Install hippo-hpo[gp] there.",
            )


def _evaluators(task: JudgementTask) -> tuple[BaseImprovementEvaluator, BaseErrorEvaluator]:
    from optuna import terminator as theirs

    ours = task.terminator
    seed = task.spec.program.seed
    improvement: BaseImprovementEvaluator
    match ours.improvement:
        case "regret_bound":
            improvement = theirs.RegretBoundEvaluator(min_n_trials=ours.min_trials, seed=seed)
        case "emmr":
            improvement = theirs.EMMREvaluator(seed=seed)
        case "best_value_stagnation":
            assert ours.patience is not None
            improvement = theirs.BestValueStagnationEvaluator(ours.patience)
    if ours.threshold is None:
        return improvement, theirs.MedianErrorEvaluator(improvement)
    return improvement, theirs.StaticErrorEvaluator(ours.threshold)
