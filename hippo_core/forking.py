"""A fork's hyper-parameters: its parent's up to a step, and other schedules, which count from there, after it.

The result is written with ``piecewise`` as a person would write it, so that a fork is a trial like any other: the tree
finds by value what it shares with its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core import schedule_forms
from hippo_core.arguments import suggestion
from hippo_core.domains import part_to_json
from hippo_core.errors import InvalidStudy
from hippo_core.kinds import kinds_of
from hippo_core.policies.policy import round_up
from hippo_core.space_reading import part_from_json, read_space
from hippo_core.study import StudySpec
from hippo_core.study_checks import LARGEST_STEP
from hippo_core.trial_schedules import ENDS
from hippo_core.values import Kind, normalise

Hyperparameters = Mapping[str, Any]
"""JSON by name: schedules as objects, constants plain."""

ALLOWED: Mapping[Kind, frozenset[Kind]] = {
    Kind.INT: frozenset({Kind.INT}),
    Kind.FLOAT: frozenset({Kind.INT, Kind.FLOAT}),
    Kind.CATEGORICAL: frozenset(Kind),
}
"""For the kind of a hyper-parameter, the kinds of values that may be given to it."""


def fork(spec: StudySpec, parent: Hyperparameters, at: int, given: Hyperparameters) -> dict[str, Any]:
    """The hyper-parameters of a fork.

    Args:
        spec: The study.
        parent: Those of its parent.
        at: The first step at which they may differ.
        given: By name, what holds from there on; a schedule counts from ``at``.

    Raises:
        InvalidStudy: A name is not the parent's, a value is of another kind, or is not a value or schedule.
    """
    if not given:
        raise InvalidStudy("hyperparameters", "there are none", "Give at least one that is to be another.")
    checked = {name: _checked(spec, parent, name, part) for name, part in given.items()}
    return {**parent, **{name: joined(parent[name], at, part) for name, part in checked.items()}}


def end_of(spec: StudySpec, hyperparameters: Hyperparameters) -> int:
    """How far a trial with these hyper-parameters may be trained: a multiple of ``evaluate_every``.

    Raises:
        InvalidStudy: It is to be the end of a schedule that has none.
    """
    if isinstance(spec.max_steps, int):
        steps = spec.max_steps
    else:
        name = spec.max_steps.name
        end = schedule_forms.end(part_from_json(hyperparameters.get(name), f"hyperparameters[{name!r}]"))
        if end is None or not 1 <= end <= LARGEST_STEP:
            raise InvalidStudy(
                f"hyperparameters[{name!r}]",
                "the study's max_steps is the end of this schedule, and it has none",
                ENDS,
            )
        steps = end
    return round_up(steps, spec.program.evaluate_every)


def _checked(spec: StudySpec, parent: Hyperparameters, name: str, written: Any) -> Any:
    """A given value or schedule as JSON."""
    where = f"hyperparameters[{name!r}]"
    if name not in parent:
        raise InvalidStudy(where, "the parent has no such hyper-parameter", suggestion(name, sorted(parent)))
    part = part_from_json(written, where)
    if isinstance(part, Mapping) or (part is None and written is not None):
        raise InvalidStudy(where, f"{written!r} is neither a value nor a schedule")
    entries, domains = read_space({name: part})
    if domains:
        raise InvalidStudy(where, "holds a domain, and a fork draws nothing", "Give a value or a schedule.")
    kind, needed = spec.space.kinds[name], kinds_of(entries)[name]
    if needed not in ALLOWED[kind]:
        raise InvalidStudy(
            where,
            f"is of kind {needed.value}, and the program's is {kind.value}",
            f"Kinds are fixed when a study is submitted: {_remedy(kind, needed)}.",
        )
    if isinstance(entries[name], schedule_forms.Schedule):
        return part_to_json(entries[name])
    return part_to_json(normalise(entries[name], kind))


def _remedy(kind: Kind, needed: Kind) -> str:
    """What to do where a value of a kind is needed and the program's is another."""
    give = "a whole number" if kind is Kind.INT else "a number"
    if needed is Kind.FLOAT:
        return f"give {give}, or submit another study whose space has space.choice(..., type=float) there"
    return f"give {give}, or submit another study in whose space such a value is among the options there"


def joined(before: Any, at: int, after: Any) -> Any:
    """What a hyper-parameter is that is one up to a step, and another from there on, which counts from it; as JSON."""
    if at == 0:
        return after
    values, milestones = [before], []
    if isinstance(before, Mapping) and before.get("schedule") == "piecewise":
        milestones = [step for step in before["milestones"] if step < at]
        values = before["values"][: len(milestones) + 1]
    return {"schedule": "piecewise", "values": [*values, after], "milestones": [*milestones, at]}
