"""What trials are drawn from, where a study's space or sampler was edited.

A trial keeps the space that it was drawn from, and with it its hyper-parameters. Beside that it has a place in the
study's present space, if its hyper-parameters are a point of it: samplers that learn see it there, and a grid does not
try it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice, takewhile

from hippo_core.distinct import identity
from hippo_core.domains import HORIZON
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.errors import InvalidStudy
from hippo_core.points import read_point
from hippo_core.program import canonical_json
from hippo_core.space import Assignment, Space
from hippo_core.study import StudySpec
from hippo_core.trial_schedules import hyperparameters_of

MOST_KNOWN = 1000  #: trials that a sampler may draw again, one after the other, before copies are taken


@dataclass(frozen=True, slots=True)
class Further:
    """The points of the trials that a study has still to create and that are known beforehand.

    Attributes:
        count: How many.
        points: They themselves, in order; to be gone through once.
    """

    count: int
    points: Iterable[Assignment]


def drawn_otherwise(one: StudySpec, other: StudySpec) -> bool:
    """Whether trials are drawn from another space, or by another sampler."""
    return one.sampler != other.sampler or one.space != other.space


def points_in(space: Space, study: Study) -> dict[int, Assignment | None]:
    """The places in a space of a study's trials, users' forks apart, by number; None: it lies outside."""
    equal: dict[int, bool] = {}  # by the identity of a space, of which trials have few
    found = {}
    for trial in study.trials.values():
        if trial.fork is None:
            if id(trial.space) not in equal:
                equal[id(trial.space)] = trial.space == space
            found[trial.number] = trial.assignment if equal[id(trial.space)] else _read(space, trial)
    return found


def _read(space: Space, trial: Trial) -> Assignment | None:
    horizon = {HORIZON: trial.horizon} if trial.horizon else {}
    try:
        return {**read_point(space, hyperparameters_of(trial.space, trial.assignment), "trial"), **horizon}
    except InvalidStudy:
        return None


def continued(study: Study, spec: StudySpec) -> StudySpec:
    """A further specification of a study, that knows what was drawn before.

    A grid that is to be tried whole has as many trials as there are, and as it has points that none of them is.
    """
    earlier = study.drawn if drawn_otherwise(spec, study.spec) else study.spec.earlier
    max_trials = spec.max_trials
    if earlier and spec.sampler.enumerates and max_trials == _whole_grid(spec):
        max_trials = study.drawn + sum(1 for _ in _untried(study, spec.searched.space))
    return replace(spec, earlier=earlier, max_trials=max_trials)


def _whole_grid(spec: StudySpec) -> int:
    return len(spec.initial) + (spec.sampler.count(spec.searched.space) or 0)


def tried_points(study: Study) -> set[str]:
    """The hyper-parameters of the trials that were drawn, as canonical JSON."""
    return {
        canonical_json(study.hyperparameters(trial)) for trial in study.trials.values() if trial.fork is None
    }


def _untried(study: Study, space: Space) -> Iterator[Assignment]:
    """The points of a finite space whose hyper-parameters no trial has that was drawn, in order."""
    tried = tried_points(study)
    return (
        point
        for point in space.assignments()
        if canonical_json(hyperparameters_of(space, point)) not in tried
    )


def _undrawn(study: Study, spec: StudySpec) -> Iterator[Assignment]:
    """The points that an edited study's sampler draws and that no trial is; the first ones those that come next.

    A sampler that draws from a space of few distinct trials may draw none that is new, ever. After `MOST_KNOWN` in turn
    that are trials already, what it draws is taken as it comes, as in a study that had this sampler from the beginning.
    """
    known = {
        identity(trial.sequence, spec.limit or trial.max_steps)
        for trial in study.trials.values()
        if trial.fork is None
    }
    further = takewhile(lambda place: spec.distinct_trials(place + 1) > place, count(study.drawn))
    in_turn = 0
    for place in chain(further, range(spec.distinct_trials(study.drawn))):
        point = spec.point(place)
        if in_turn == MOST_KNOWN:
            yield point
        elif spec.identity(point) in known:
            in_turn += 1
        else:
            in_turn = 0
            yield point


def further_points(study: Study, spec: StudySpec) -> Further:
    """What a study has still to create.

    Args:
        study: The study.
        spec: Its specification, present or to come.

    Raises:
        InvalidStudy: Its grid has not so many.
    """
    lacking = max(0, spec.known_trials - study.drawn)
    if not spec.earlier:
        return Further(lacking, map(spec.point, range(study.drawn, study.drawn + lacking)))
    if not spec.sampler.enumerates:
        found = list(islice(_undrawn(study, spec), lacking))
        return Further(len(found), found)
    found = list(islice(_untried(study, spec.searched.space), lacking))
    if len(found) < lacking:
        raise InvalidStudy(
            "max_trials",
            f"the grid has {len(found)} points that are no trials yet, which is less than the {lacking} to come",
            f"Use max_trials={study.drawn + len(found)}: it counts the earlier trials, too.",
        )
    return Further(lacking, found)
