"""Probes in the engine: each is opened as its trial's policy decides, and is a fork in all but name.

It has a request like a trial, and its own number. No listing of trials has it, no sampler and no ending sees it as one,
and what becomes of it is no matter of its trial. Where its study is stopped, or a user stops its trial, it is given up.
"""

from __future__ import annotations

from typing import Any

from hippo_core.domains import part_to_json
from hippo_core.engine.decision import Decision
from hippo_core.engine.evaluations import progress
from hippo_core.engine.events import TrialCreated
from hippo_core.engine.requests import open_request
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.forking import joined
from hippo_core.policies import Probe
from hippo_core.probes import MOST_PROBES, multiplied, number_of
from hippo_core.repeats import SEED
from hippo_core.repeats import number_of as repeat_number


def probe_as_decided(decision: Decision, study: Study, verdict: Probe) -> list[Trial]:
    """Opens a probe that the study's policy wants, of all repeats of the trial."""
    opened = []
    for event in _created(study, verdict):
        decision.emit(event)
        probe = study.probes[event.trial]
        open_request(decision, study, probe, verdict.to, verdict.reason)
        opened.append(probe)
    return opened


def planned_probe(study: Study, verdict: Probe) -> list[Trial]:
    """What a probe that the study's policy wants would be, with its repeats."""
    return [study.made(event) for event in _created(study, verdict)]


def _created(study: Study, verdict: Probe) -> list[TrialCreated]:
    first = study.trials[verdict.trial]
    which = 1 + sum(1 for _ in study.probes_of(first.number))
    assert 1 <= verdict.at < verdict.to, "a probe begins at a state that was trained"
    assert which <= MOST_PROBES
    fork = {
        "trial": first.number,
        "at": verdict.at,
        "hyperparameters": _hyperparameters(study, first, verdict),
        "factors": dict(verdict.factors),
        "reason": verdict.reason,
    }
    return [
        TrialCreated(
            study=study.id,
            trial=repeat_number(number_of(first.number, which), member.repeat),
            assignment={},
            max_steps=verdict.to,
            fork=fork,
        )
        for member in study.members(first.number)
    ]


def steps_of(probe: Trial) -> int:
    """How many steps of its own, beyond its trial's, a probe has come to: without sharing, too, it would cost these."""
    assert probe.fork is not None
    return max(0, progress(probe) - int(probe.fork["at"]))


def _hyperparameters(study: Study, trial: Trial, verdict: Probe) -> dict[str, Any]:
    """A probe's hyper-parameters: those of its trial, whose values at the step before it are held."""
    before, factors = study.hyperparameters(trial), dict(verdict.factors)
    return {
        name: joined(
            before[name],
            verdict.at,
            part_to_json(multiplied(value, factors[name]) if name in factors else value),
        )
        for name, value in trial.sequence.values(verdict.at - 1).items()
        if name != SEED
    }
