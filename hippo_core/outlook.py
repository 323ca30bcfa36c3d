"""What can be said of a study's sharing before anything of it is known: its phases, and what keeps trials apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hippo_core.phases import first_steps, phases
from hippo_core.policies.population import PopulationSpec

if TYPE_CHECKING:
    from hippo_core.study import StudySpec

LOOKED_AT = 64
"""How many of a study's trials are looked at: start steps may depend on what is drawn."""

MOST_DRAWN = 1000  #: so many random points are drawn, at most

NAMED = 3
"""How many names are listed before the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPhase:
    """What bears from a step on, over the trials of a study.

    Attributes:
        start: The first step, in the trial where that is earliest.
        latest_start: The same where it is latest.
        names: The domains that are drawn for it, sorted.
    """

    start: int
    latest_start: int
    names: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The phase as a JSON object."""
        return {"start": self.start, "latest_start": self.latest_start, "names": list(self.names)}


def study_phases(spec: StudySpec) -> tuple[StudyPhase, ...]:
    """The phases of a study's trials, by where they start; of a large study, of trials from all over it.

    Where a study has horizons, they are those of the longest trials.
    """
    spec = spec.searched
    spans: dict[str, tuple[int, int]] = {}
    # A random point is one of the whole, so that a grid's have to be taken from all over it.
    count = spec.max_trials if spec.sampler.enumerates else min(spec.max_trials, MOST_DRAWN)
    count = spec.distinct_trials(count)
    for number in range(0, count, max(1, count // LOOKED_AT)):
        assignment = spec.point(number)
        for phase in phases(spec.space, assignment, spec.max_steps_of(assignment)):
            for name in phase.names:
                earliest, latest = spans.get(name, (phase.start, phase.start))
                spans[name] = min(earliest, phase.start), max(latest, phase.start)
    names: dict[tuple[int, int], list[str]] = {}
    for name, span in sorted(spans.items()):
        names.setdefault(span, []).append(name)
    return tuple(
        StudyPhase(start=start, latest_start=latest, names=tuple(names[start, latest]))
        for start, latest in sorted(names)
    )


def told_apart_by(spec: StudySpec) -> tuple[str, ...]:
    """The domains that tell any two trials of a study apart from step 0 on; none where some may share.

    They have more values than can be listed, and independent draws of such are hardly ever equal.
    """
    if spec.horizons:  # the trials of a point share their trunk
        return ()
    makes_sharing = spec.sampler.brought or spec.sampler.recombines or isinstance(spec.policy, PopulationSpec)
    if makes_sharing or spec.max_trials - len(spec.initial) < 2 or spec.space.unlistable() is None:
        return ()
    found: set[str] = set()
    count = spec.distinct_trials(min(len(spec.initial) + LOOKED_AT, spec.max_trials))
    for number in range(len(spec.initial), count):
        steps = first_steps(spec.space, spec.point(number))
        apart = [name for name, step in steps.items() if not step and spec.space.domains[name].size is None]
        if not apart:
            return ()
        found.update(apart)
    return tuple(sorted(found))


def warnings(spec: StudySpec) -> tuple[str, ...]:
    """That trials will share nothing, where that is sure."""
    names = told_apart_by(spec)
    return (f"{nothing_shared(names)}; hippo plan says what would help",) if names else ()


def nothing_shared(names: Sequence[str]) -> str:
    """That these domains tell any two trials apart, in words."""
    return (
        f"no two trials share a step: each draws {in_words([repr(name) for name in names])} anew for step 0"
    )


def in_words(parts: Sequence[str]) -> str:
    """A list as in a sentence; of a long one, what does not stand there is counted."""
    shown, more = parts[:NAMED], len(parts) - NAMED
    if more > 0:
        shown = [*shown, f"{more} more"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
