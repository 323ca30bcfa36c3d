"""The schedules of a trial: at a point of a space, as JSON, as laws, and where they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core import schedule_forms
from hippo_core.domains import HORIZON, part_to_json
from hippo_core.errors import InvalidStudy
from hippo_core.formulas import Constant
from hippo_core.laws import Law, make
from hippo_core.space import Assignment, Space
from hippo_core.space_reading import part_from_json
from hippo_core.study_checks import LARGEST_STEP
from hippo_core.values import Kind, normalise

ENDS = (
    "Schedules with an end are linear, polynomial, cosine, one_cycle, from_function, wsd, table; and warmup "
    "and piecewise whose last part has one."
)


def horizon_of(assignment: Assignment) -> int:
    """How long a trial is among its study's horizons; 0: the study has none."""
    found = assignment.get(HORIZON, 0)
    assert isinstance(found, int)
    return found


def hyperparameters_of(space: Space, assignment: Assignment) -> dict[str, Any]:
    """The hyper-parameters at a point of a space as JSON: schedules as objects, constants plain."""
    found = {}
    for name, part in space.resolve(assignment).items():
        constant = not isinstance(part, schedule_forms.Schedule)
        found[name] = part_to_json(normalise(part, space.kinds[name]) if constant else part)
    return found


def read_hyperparameters(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``hyperparameters_of``: schedules and values by name."""
    return {name: part_from_json(part, f"space[{name!r}]") for name, part in hyperparameters.items()}


def stretches(parts: Mapping[str, Any], space: Space) -> dict[str, list[tuple[int, Law]]]:
    """The laws that schedules and values follow, by name, each with the step from which it is in force."""
    return {name: _stretches(name, part, space.kinds[name]) for name, part in parts.items()}


def end_of(name: str, resolved: Mapping[str, Any]) -> int:
    """The end of the schedule of a name, for a trial's hyper-parameters.

    Raises:
        InvalidStudy: The trial has none of that name, or it has no end.
    """
    schedule = resolved.get(name)
    end = schedule_forms.end(schedule)
    if end is None:
        raise InvalidStudy("max_steps", f"end_of({name!r}): {_no_end(schedule, name)}", ENDS)
    if not 1 <= end <= LARGEST_STEP:
        raise InvalidStudy("max_steps", f"end_of({name!r}): the schedule ends at step {end}")
    return end


def trunk(hyperparameters: Mapping[str, Any]) -> int:
    """Up to which step a trial is the same at any longer horizon.

    Args:
        hyperparameters: As ``hyperparameters_of`` gives them.
    """
    parts = read_hyperparameters(hyperparameters).values()
    return min((each for each in map(schedule_forms.trunk, parts) if each is not None), default=0)


def _stretches(name: str, part: Any, kind: Kind) -> list[tuple[int, Law]]:
    try:
        if isinstance(part, schedule_forms.Schedule):
            return part.stretches(kind)
        return [(0, make(Constant(part), 0, False, kind))]
    except ValueError as error:
        raise InvalidStudy(f"space[{name!r}]", f"{error}, but the hyper-parameter is {kind.value}") from None


def _no_end(schedule: Any, name: str) -> str:
    if schedule is None:
        return f"not every trial has {name!r}"
    if isinstance(schedule, schedule_forms.Schedule):
        return f"the schedule {schedule.kind} has no end"
    return f"{schedule!r} is not a schedule"
