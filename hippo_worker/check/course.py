"""Which values a trainer is checked with: a short course that has every kind of change of the study's trials."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise

from hippo_core.errors import InvalidStudy
from hippo_core.sequence import Sequence
from hippo_core.study import StudySpec
from hippo_core.values import Scalar, normalise
from hippo_worker.hosting.hyperparameters import changed

TRIALS = 64  #: how many trials are looked at for changes
STEPS_LOOKED_AT = 100_000
LEAST_STEPS = 4
MOST_CHANGES = 5

Values = Mapping[str, Scalar]
Course = tuple[Values, ...]


def courses(spec: StudySpec, overrides: Mapping[str, Scalar]) -> list[Course]:
    """The values at check steps 0, 1, ...; the first course is to be checked in full, others need only be trained.

    A study may change a value first at its step 60; here values change after two steps, so that a few steps show it.
    The first course is that of the trial with the most names that change; others follow for names left over.
    """
    found = []
    for number in range(spec.distinct_trials(min(spec.max_trials, TRIALS))):
        assignment = spec.trial(number)
        steps = min(spec.max_steps_of(assignment), STEPS_LOOKED_AT)
        course = _course(spec.sequence(assignment), steps, overrides)
        found.append((course, _changing(course)))
    chosen: list[Course] = []
    covered: set[str] = set()
    while True:
        course, changing = max(found, key=lambda item: len(item[1] - covered))
        if chosen and not changing - covered:
            return chosen
        chosen.append(course)
        covered |= changing
        if not changing:
            return chosen


def parse_override(spec: StudySpec, text: str) -> tuple[str, Scalar]:
    """Reads ``name=value``; the value as JSON, else as text.

    Raises:
        InvalidStudy: The study has no such name, or the value is not of its kind.
    """
    name, equals, written = text.partition("=")
    if not equals:
        raise InvalidStudy("--set", f"{text!r} is not name=value", "For example --set lr=0.1")
    if name not in spec.program.kinds:
        known = ", ".join(spec.program.kinds)
        raise InvalidStudy("--set", f"the study has no {name!r}", f"It has: {known}.")
    try:
        value = json.loads(written)
    except ValueError:
        value = written
    if isinstance(value, dict):
        raise InvalidStudy("--set", f"{name} is to be a constant", "For example --set lr=0.1")
    try:
        return name, normalise(tuple(value) if isinstance(value, list) else value, spec.program.kinds[name])
    except ValueError as error:
        raise InvalidStudy("--set", f"{name}: {error}") from None


def _course(sequence: Sequence, steps: int, overrides: Mapping[str, Scalar]) -> Course:
    first = {**sequence.values(0), **overrides}
    picked: list[Values] = [first]
    covered: set[str] = set()
    for values in _later(sequence, steps):
        values = {**values, **overrides}
        new = set(changed(first, values)) - covered
        if new and len(picked) <= MOST_CHANGES:
            covered |= new
            picked.append(values)
    course = [first, *picked]
    course += [picked[-1]] * max(1, LEAST_STEPS - len(course))
    return tuple(course)


def _later(sequence: Sequence, steps: int) -> Iterator[Values]:
    bounds = [start for start in sequence.starts if start < steps]
    for start, stop in pairwise([*bounds, steps]):
        for step, values, _ in sequence.laws(start).changes(start, stop):
            if step:
                yield values


def _changing(course: Course) -> set[str]:
    return {name for values in course for name in changed(course[0], values)}
