"""Users' own policies: when one is asked, and what it is told.

Such a policy lives outside, on a worker. It is asked in rounds, one at a time: a round tells what the study's history
has come to since the round before, with the evaluations that led there. The history and the moments at which answers
were taken are durable, so that after a loss of the policy's process, or a restart, the rounds so far are told once more
and come to the same decisions; an answer that was not taken is asked for anew, with all that is known by then. While an
answer is waited for nobody concludes that nothing more is to come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from hippo_core.engine.evaluations import point_values
from hippo_core.engine.policy_calls import (
    Added,
    Ended,
    Forked,
    Noted,
    Observed,
    PolicyCall,
    Probed,
    Probing,
    Requested,
)
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Answered, Study
from hippo_core.own_policy import PolicyContext
from hippo_core.policies import Values
from hippo_core.policies.hosting import Call, Round
from hippo_core.policies.own import OwnSpec
from hippo_core.study import StudySpec

TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultPolicy:
    """An answer that is wanted; ``failures`` tells one try from the next."""

    study: int
    number: int  #: how many answers were given before
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyQuestion:
    """What a policy is asked, and what it takes to ask it.

    Attributes:
        study: The study's number.
        number: How many answers were given before.
        mark: Of how many calls of the study's history it is told in all.
        policy: The class, and what it is made with.
        context: What it knows of the study from the beginning.
        bundle: The code that it comes with.
        env: Environment variables for its process.
        secrets: Names of the worker's secrets that its process gets.
        known: How many rounds it must have been told already.
        rounds: Those that follow; the last one is the one that is asked.
    """

    study: int
    number: int
    mark: int
    policy: OwnSpec
    context: PolicyContext
    bundle: str
    env: dict[str, str]
    secrets: tuple[str, ...]
    known: int
    rounds: tuple[Round, ...]


def awaits_answer(study: Study) -> bool:
    """Whether a study's own policy has yet to say what is to follow."""
    if not isinstance(study.spec.policy, OwnSpec) or study.ending or study.uncreated:
        return False
    return study.news > _mark(study) or _is_to_finish(study)


def unanswered_trials(study: Study) -> frozenset[int]:
    """The trials of which something has happened that the study's own policy has yet to answer."""
    if not isinstance(study.spec.policy, OwnSpec):
        return frozenset()
    return frozenset(call.trial for call in study.history[_mark(study) : study.news])


def _mark(study: Study) -> int:
    return study.answers[-1].mark if study.answers else 0


def _is_to_finish(study: Study) -> bool:
    """Whether nothing is open or to come, and the policy has not been asked what it makes of that."""
    if study.open or study.to_come:
        return False
    return not (study.answers and study.answers[-1].finish and study.answers[-1].mark == len(study.history))


def policies_to_consult(state: EngineState) -> Iterator[ConsultPolicy]:
    """The answers that running studies wait for."""
    for number in state.active:
        study = state.studies[number]
        if study.policy_failures < TRIES and awaits_answer(study):
            yield ConsultPolicy(study=number, number=len(study.answers), failures=study.policy_failures)


def question(state: EngineState, study: Study, known: int) -> PolicyQuestion:
    """What a policy is asked now, told from the round ``known`` on."""
    spec = study.spec
    assert isinstance(spec.policy, OwnSpec)
    asked = Answered(
        mark=len(study.history),
        max_trials=spec.max_trials + study.beside.get(0, 0),
        finish=not (study.open or study.to_come),
    )
    ends = [*study.answers, asked]
    starts = [0, *(each.mark for each in study.answers)]
    return PolicyQuestion(
        study=study.id,
        number=len(study.answers),
        mark=asked.mark,
        policy=spec.policy,
        context=PolicyContext(
            objectives=tuple(each.metric for each in spec.objectives),
            maximize=tuple(each.maximize for each in spec.objectives),
            evaluate_every=spec.program.evaluate_every,
            seed=spec.program.seed,
            constraints=tuple(each.expression for each in spec.constraints),
        ),
        bundle=spec.bundle,
        env=dict(spec.program.env),
        secrets=spec.secrets,
        known=known,
        rounds=tuple(
            Round(
                calls=tuple(
                    told for call in study.history[start : end.mark] for told in _told(state, study, call)
                ),
                max_trials=end.max_trials,
                finish=end.finish,
            )
            for start, end in list(zip(starts, ends, strict=True))[known:]
        ),
    )


def _told(state: EngineState, study: Study, call: PolicyCall) -> Iterator[Call]:
    match call:
        case Added() | Forked():
            yield "added", call.trial, call.max_steps
        case Requested():
            yield "requested", call.trial, call.step
        case Observed():
            yield from _reported(state, study, call)
            yield "observed", call.trial, call.step
        case Ended():
            yield "ended", call.trial
        case Noted() | Probing() | Probed():
            return  # a matter between a policy of Hippo's own and its sampler, or the engine
        case _:
            assert_never(call)


def _reported(state: EngineState, study: Study, call: Observed) -> Iterator[Call]:
    """The evaluations that led to a state, since the last one that was observed, up to one that is not finite."""
    every = study.spec.program.evaluate_every
    leaves = [state.nodes[call.model], *(each.leaf for each in study.members(call.trial)[1:])]
    for step in range(call.since // every * every + every, call.step + 1, every):
        if any(leaf is None or step not in leaf.owner(step).metrics for leaf in leaves):
            return
        values = point_values(study, leaves, step)
        yield "reported", call.trial, step, None if values is None else _as_told(study.spec, values)
        if values is None:
            return


def _as_told(spec: StudySpec, values: Values) -> tuple[float | None, ...]:
    """The objectives, then by how much constraints are violated, if there are any; None: infinitely."""
    objectives = values[: len(spec.objectives)]
    if not spec.constraints:
        return objectives
    violated = spec.worth(values)[0]
    return (*objectives, violated if math.isfinite(violated) else None)
