"""How studies differ, and which of them another one may become: with more trials, steps or horizons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hippo_core import study_checks
from hippo_core.differences import MOST_LINES, difference_lines
from hippo_core.endings import Ending
from hippo_core.endings import changed as changed_endings
from hippo_core.errors import InvalidStudy
from hippo_core.study import StudySpec


def differences(later: StudySpec, earlier: StudySpec, most: int = MOST_LINES) -> list[str]:
    """What differs between two studies, as at most so many lines ``field: old -> new``; none: their content is equal.

    The bundle's digest is not content: the digest of the code that is trained is part of the program.
    """
    return difference_lines(_content(earlier), _content(later), most)


def extends(later: StudySpec, earlier: StudySpec) -> bool:
    """Whether the later study only has more trials, steps or horizons, or the priority or the endings are others."""
    same = replace(
        later,
        priority=earlier.priority,
        bundle=earlier.bundle,
        endings=earlier.endings,
        earlier=earlier.earlier,
        chosen=earlier.chosen,
    )
    fixed = later.horizons or earlier.horizons or not later.policy.raisable
    if isinstance(later.max_steps, int) and isinstance(earlier.max_steps, int) and not fixed:
        if later.limit < earlier.limit:  # type: ignore[operator]
            return False
        same = replace(same, max_steps=earlier.max_steps)
    if later.horizons and earlier.horizons and set(later.lengths).issuperset(earlier.lengths):
        same = replace(same, horizons=earlier.horizons, max_steps=earlier.max_steps)
    if later.max_trials < earlier.max_trials:
        return False
    return not differences(replace(same, max_trials=earlier.max_trials), earlier)


def extended(
    spec: StudySpec,
    *,
    max_trials: int | None = None,
    max_steps: int | None = None,
    priority: int | None = None,
    endings: Iterable[Ending] = (),
    horizons: Iterable[int] = (),
) -> StudySpec:
    """The same study with other limits, endings or another priority, or further horizons.

    What is not given stays as it is.

    Raises:
        InvalidStudy: It would not be a valid study.
    """
    if max_steps not in (None, spec.max_steps) and not spec.policy.raisable:
        raise InvalidStudy(
            "max_steps",
            f"cannot be raised beside the policy {spec.policy.name}, whose rungs follow from it",
            "Submit the study under another name: it shares what was trained.",
        )
    further = tuple(horizons)
    if further and not spec.horizons:
        raise InvalidStudy(
            "horizons",
            "cannot be added: the study has none",
            "Submit it with horizons under another name: it shares what was trained.",
        )
    if spec.horizons:
        if max_steps not in (None, spec.max_steps):
            raise InvalidStudy("max_steps", "follows from horizons", "Add a horizon instead.")
        added = (each for each in further if spec.rounded_up(each) not in spec.lengths)
        further = study_checks.sorted_horizons((*spec.horizons, *added))
        max_steps = further[-1]
    return replace(
        spec,
        max_trials=spec.max_trials if max_trials is None else max_trials,
        max_steps=spec.max_steps if max_steps is None else max_steps,
        horizons=further,
        priority=spec.priority if priority is None else priority,
        endings=changed_endings(spec.endings, endings),
    )


def _content(spec: StudySpec) -> dict[str, Any]:
    content = spec.to_json()
    del content["bundle"], content["earlier"], content["chosen"]
    if spec.limit is not None:
        content["max_steps"] = spec.limit
    content["horizons"] = list(spec.lengths)
    return content
