"""A study as a document of its own: what was searched, what came of it, when and at what cost.

The document is a JSON object that ``hippo_core.simulation.recording`` reads back. Here its parts are made: those that
the engine knows, and those that are made of rows which the shell has read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hippo_core.engine.decision import Overhead
from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import progress
from hippo_core.engine.lookup import find_study
from hippo_core.engine.spread import point_evaluations, step_of
from hippo_core.engine.states import LeaseState, RequestState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import savings_of
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_paths import walk
from hippo_core.probes import probe_of
from hippo_core.repeats import trial_of

VERSION = 1

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedRequest:
    """A request that has come to its end, as the rows have it.

    Attributes:
        trial: Whose it was; the number of a probe, where it was of one.
        step: What was asked for.
        state: How it ended.
        reached: The step then of the trial, or of the probe.
        by_user: Whether it was a user's word.
        position: Of its end, in the journal.
        cause: The command that brought it.
        at: When that was committed, seconds since 1970 in UTC.
    """

    trial: int
    step: int
    state: RequestState
    reached: int
    by_user: bool
    position: int
    cause: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedStretch:
    """What a lease has trained of a node.

    Attributes:
        fence: The lease.
        node: The node.
        start: The first step.
        stop: One past the last.
        train_seconds: What the steps took.
        evaluate_seconds: What their evaluations took.
    """

    fence: int
    node: int
    start: int
    stop: int
    train_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedLease:
    """A lease that was to train something of a study, whosever it was.

    Attributes:
        fence: Its number.
        worker: To whom it was granted.
        slot: Which of its slots.
        state: Its state.
        granted: When it was granted, seconds since 1970 in UTC.
        ended: When it ended; None: it has not.
    """

    fence: int
    worker: str
    slot: int
    state: LeaseState
    granted: float
    ended: float | None


def study_record(engine: Engine, project: str, name: str) -> tuple[int, int, Json]:
    """A study's number, how many trials it has, and the head of its document."""
    study = find_study(engine.state, project, name)
    overhead = engine.volatile.overheads.get(study.plan, Overhead())
    saved = savings_of(engine.state, study)
    head = {
        "hippo_study": VERSION,
        "name": study.name,
        "state": study.state.value,
        "reason": study.reason,
        "ending": study.ending,
        "changes": study.changes,
        "spec": study.spec.to_json(),
        "environment": engine.state.plans[study.plan].environment,
        "save_seconds": overhead.save or None,
        "start_seconds": overhead.start or None,
        "steps_trained": saved.steps_trained,
        "steps_without_sharing": saved.steps_without_sharing,
    }
    return study.id, len(study.trials), head


def trial_records(engine: Engine, project: str, name: str, numbers: Iterable[int]) -> list[Json]:
    """Trials of a study, by number."""
    study = find_study(engine.state, project, name)
    return [_trial(study, study.trials[number]) for number in numbers]


def arrivals(closed: Iterable[ClosedRequest], opened: Iterable[int], began: float) -> list[Json]:
    """In which order, and in which breaths, the ends of its requests came to a study's policy.

    A policy decides after a command, and may have heard of several ends by then: these are one breath. Where a
    request was opened between two of them, or one was cancelled, it has decided between them.

    Args:
        closed: In order.
        opened: The positions at which requests were opened, in order.
        began: When the study was submitted, seconds since 1970 in UTC.
    """
    found: list[Json] = []
    decisions = iter(opened)
    decision = next(decisions, None)
    breath, cause = 0, ""
    for each in closed:
        decided = False
        while decision is not None and decision < each.position:
            decided, decision = True, next(decisions, None)
        if each.state is RequestState.CANCELLED:
            cause = ""
        else:
            breath += decided or each.cause != cause
            cause = each.cause
        found.append(
            {
                "trial": trial_of(each.trial) if probe_of(each.trial) else each.trial,
                "probe": probe_of(each.trial),
                "step": each.step,
                "state": each.state.value,
                "reached": each.reached,
                "by_user": each.by_user,
                "breath": breath,
                "seconds": max(0.0, round(each.at - began, 6)),
            }
        )
    return found


def training(stretches: Iterable[TrainedStretch]) -> list[Json]:
    """What was trained of which node, and how long it took."""
    return [
        {
            "fence": each.fence,
            "node": each.node,
            "start": each.start,
            "stop": each.stop,
            "train_seconds": each.train_seconds,
            "evaluate_seconds": each.evaluate_seconds,
        }
        for each in stretches
    ]


def leases(granted: Iterable[GrantedLease], began: float) -> list[Json]:
    """Which slots trained when, in seconds since a study's submission; below 0: before it.

    Args:
        granted: The leases.
        began: When the study was submitted, seconds since 1970 in UTC.
    """
    return [
        {
            "fence": each.fence,
            "worker": each.worker,
            "slot": each.slot,
            "state": each.state.value,
            "granted": round(each.granted - began, 6),
            "ended": None if each.ended is None else round(each.ended - began, 6),
        }
        for each in granted
    ]


def _trial(study: Study, trial: Trial) -> Json:
    by_user = trial.enqueued or (trial.fork is not None and "instead_of" not in trial.fork)
    return {
        "trial": trial.number,
        "state": trial.state.value,
        "reason": trial.reason,
        "max_steps": trial.limit,
        "hyperparameters": study.hyperparameters(trial),
        "assignment": None if by_user and trial.fork is not None else dict(trial.assignment),
        "notes": dict(trial.notes),
        "fork": None if trial.fork is None else {"trial": trial.fork["trial"], "at": trial.fork["at"]},
        "by_user": by_user,
        **_trained(trial),
        **_over_repeats(study, trial),
        "probes": [_probe(probe) for probe in study.probes_of(trial.number)],
    }


def _over_repeats(study: Study, trial: Trial) -> Json:
    """What the repeats of a trial came to together; nothing without repeats."""
    if study.spec.repeats == 1:
        return {}
    evaluations = point_evaluations(study, trial, step_of(study, trial))
    return {
        "over_repeats": [
            {"step": step, "metrics": metrics, "spread": spread} for step, metrics, spread in evaluations
        ]
    }


def _probe(probe: Trial) -> Json:
    assert probe.fork is not None
    return {
        "probe": probe.probe,
        "at": probe.fork["at"],
        "to": probe.max_steps,
        "factors": dict(probe.fork["factors"]),
        "reason": probe.fork["reason"],
        "state": probe.state.value,
        "failure": probe.reason,
        "hyperparameters": dict(probe.fork["hyperparameters"]),
        **_trained(probe),
    }


def _trained(trial: Trial) -> Json:
    """How far a trial or a probe has come, and what there is on its path."""
    step = progress(trial)
    path = list(walk(trial, step))
    return {
        "step": step,
        "history": [
            {"step": each, "metrics": node.metrics[each]}
            for node, start, stop in path
            for each in sorted(node.metrics)
            if start < each <= stop
        ],
        "path": [[node.id, start, stop] for node, start, stop in path],
        "checkpoints": [
            each
            for node, start, stop in path
            for each in sorted(node.checkpoints)
            if start < each <= stop and node.checkpoints[each]
        ],
    }
