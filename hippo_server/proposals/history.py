"""A study's trials, as Optuna's samplers see them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as State

from hippo_core.domains import Choice, Domain, Integer, Stepped, Uniform
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.policies import Values
from hippo_core.samplers import Gp, Nsga2, Nsga3
from hippo_core.space import Space
from hippo_core.study import StudySpec
from hippo_core.values import Scalar, normalise_float
from hippo_server.proposals.known import KnownTrials
from hippo_server.proposals.storage import STUDY, WHENEVER, SharedTrials

#: Where samplers look for what a trial's constraints came to: each above 0 is violated.
CONSTRAINTS = "constraints"

#: What TPE and GP note for others that run beside them: the point, which is known.
POINT_NOTES = ("tpe:relative_params", "gp:relative_params")


def distribution(domain: Domain) -> BaseDistribution:
    """A domain as Optuna has it: an option by its number, a step by its number."""
    match domain:
        case Choice():
            return CategoricalDistribution(tuple(range(len(domain.options))))
        case Uniform():
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case Stepped():
            assert domain.size is not None
            return IntDistribution(0, domain.size - 1)
        case Integer():
            return IntDistribution(domain.low, domain.high, log=domain.log)
        case _:
            raise TypeError(f"{domain!r} is no domain that can be drawn")


def to_optuna(domain: Domain, drawn: Any) -> Any:
    """What was drawn, as Optuna has it."""
    if isinstance(domain, Stepped):
        return round((drawn - domain.low) / domain.q)
    return drawn


def from_optuna(domain: Domain, value: Any) -> Scalar:
    """The inverse of :func:`to_optuna`. What a sampler gives beside a domain stays beside it, to be refused."""
    match domain:
        case Stepped():
            return domain.item(int(value))
        case Uniform() if domain.low <= value <= domain.high:
            return min(max(normalise_float(float(value)), domain.low), domain.high)
        case Uniform():
            return float(value)
        case _:
            return int(value)


def study_of(
    task: ProposalTask, sampler: optuna.samplers.BaseSampler, known: KnownTrials | None = None
) -> Study:
    """A study of Optuna's with all trials so far, numbered as ours; what is ``known`` of them is converted already."""
    known = KnownTrials(task.spec) if known is None else known
    storage = SharedTrials()
    directions = [
        StudyDirection.MAXIMIZE if objective.maximize else StudyDirection.MINIMIZE
        for objective in task.spec.objectives
    ]
    study = optuna.create_study(storage=storage, sampler=sampler, directions=directions)
    for past in task.history:
        for key, value in past.notes.get("study", {}).items():
            storage.set_study_system_attr(STUDY, key, value)
    seen = _as_seen(task)
    distributions = {name: distribution(domain) for name, domain in task.spec.space.domains.items()}
    for place, past in enumerate(seen):
        found = known.converted(place, past)
        if found is not None:
            storage.share(found)
        else:
            study.add_trial(
                _frozen(past, task.spec.space, distributions, len(directions), len(task.spec.constraints))
            )
    known.convert(seen, study.get_trials(deepcopy=False))
    return study


def _as_seen(task: ProposalTask) -> list[PastTrial]:
    """The trials as a sampler is told of them: where it needs that, pending and diverged ones with values."""
    lie, worst = _lie(task), _worst(task)
    if lie is None and worst is None:
        return list(task.history)
    return [_told(past, lie, worst) for past in task.history]


def _told(past: PastTrial, lie: Values | None, worst: Values | None) -> PastTrial:
    told = {TrialState.WAITING: lie, TrialState.DIVERGED: worst}.get(past.state)
    if told is None:
        return past
    values = {**past.values, max(past.values, default=0) + 1: told}
    return replace(past, state=TrialState.COMPLETED, values=values)


def frozen_trials(spec: StudySpec, history: Iterable[PastTrial]) -> list[FrozenTrial]:
    """Trials as Optuna has them, numbered as they are given."""
    distributions = {name: distribution(domain) for name, domain in spec.space.domains.items()}
    return [
        _frozen(past, spec.space, distributions, len(spec.objectives), len(spec.constraints))
        for past in history
    ]


def _lie(task: ProposalTask) -> Values | None:
    """What a Gaussian process is told that pending trials came to: the mean of those that completed.

    The constant liar of Ginsbourger, Le Riche, Carraro: *Kriging Is Well-Suited to Parallelize Optimization* (2010),
    section 3.2. Optuna's own takes the best value, which draws a search to where it has been: on Hartmann's function
    of 6 numbers, 40 trials, 4 at a time, the median of 8 seeds is -1.46 with that, and -2.76 with the mean.
    """
    if not isinstance(task.spec.sampler, Gp):
        return None
    ended = [past.values[max(past.values)] for past in task.history if past.state is TrialState.COMPLETED]
    if len(ended) < task.spec.sampler.startup_trials:
        return None
    return tuple(_mean_of_finite(values) for values in zip(*ended, strict=True))


def _worst(task: ProposalTask) -> Values | None:
    """What samplers that look at complete trials alone are told that a trial came to that diverged, or found no memory.

    Of each objective the worst that is known, and that all constraints are violated without bound. None: the sampler
    knows better, or nothing is known.
    """
    sampler, objectives = task.spec.sampler, task.spec.objectives
    if len(objectives) == 1 and not isinstance(sampler, Gp | Nsga2 | Nsga3):
        return None
    ended = [past.values[max(past.values)] for past in task.history if past.state is TrialState.COMPLETED]
    known = [[value for value in values if math.isfinite(value)] for values in zip(*ended, strict=True)]
    if not all(known[: len(objectives)]) or not known:
        return None
    worst = (
        min(found) if objective.maximize else max(found)
        for found, objective in zip(known, objectives, strict=False)
    )
    return (*worst, *(math.inf for _ in task.spec.constraints))


def _mean_of_finite(values: Sequence[float]) -> float:
    """The mean of those that are finite, as all objectives are; infinite: none is."""
    known = [value for value in values if math.isfinite(value)]
    return statistics.fmean(known) if known else math.inf


def notes_of(study: Study, task: ProposalTask) -> dict[str, Any]:
    """What a sampler has noted with the trial that it was asked for last, and with the study."""
    storage: Any = study._storage  # there is no public way to what samplers keep
    known = {key for past in task.history for key in past.notes.get("study", {})}
    of_study = storage.get_study_system_attrs(storage.get_study_id_from_name(study.study_name))
    of_trial = study.get_trials(deepcopy=False)[-1].system_attrs
    found = {
        "trial": {key: value for key, value in of_trial.items() if not key.startswith(POINT_NOTES)},
        "study": {key: value for key, value in of_study.items() if key not in known},
    }
    return {owner: notes for owner, notes in found.items() if notes}


def _frozen(
    past: PastTrial,
    space: Space,
    distributions: Mapping[str, BaseDistribution],
    objectives: int,
    constraints: int,
) -> FrozenTrial:
    state, values, reports = _outcome(past, objectives)
    return FrozenTrial(
        number=past.trial,
        trial_id=past.trial,
        state=state,
        value=None,
        values=values,
        datetime_start=WHENEVER,
        datetime_complete=WHENEVER if state.is_finished() else None,
        params={name: to_optuna(space.domains[name], drawn) for name, drawn in past.assignment.items()},
        distributions={name: distributions[name] for name in past.assignment},
        user_attrs={},
        system_attrs={**past.notes.get("trial", {}), **_margins(past, objectives, constraints)},
        intermediate_values=reports,
    )


def _margins(past: PastTrial, objectives: int, constraints: int) -> dict[str, Any]:
    """What a trial's constraints came to, as samplers read it; of one that diverged they are infinitely violated."""
    if not constraints or past.state is TrialState.WAITING:
        return {}
    known = past.values[max(past.values)][objectives:] if past.values else ()
    if past.state is TrialState.DIVERGED or not known:
        known = (math.inf,) * constraints
    return {CONSTRAINTS: known}


def _outcome(past: PastTrial, objectives: int) -> tuple[State, list[float] | None, dict[int, float]]:
    """State, values and reports. With several objectives Optuna knows no reports, and no pruned trials."""
    last = list(past.values[max(past.values)][:objectives]) if past.values else None
    reports = {step: values[0] for step, values in past.values.items()} if objectives == 1 else {}
    match past.state:
        case TrialState.WAITING:
            return State.RUNNING, None, reports
        case TrialState.COMPLETED:
            return State.COMPLETE, last, reports
        case TrialState.STOPPED if objectives == 1:
            return State.PRUNED, last, reports
        case TrialState.DIVERGED if objectives == 1:
            return State.PRUNED, None, {**reports, past.reached: math.nan}
        case _:
            return State.FAIL, None, reports
