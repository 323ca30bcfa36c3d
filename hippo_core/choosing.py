"""Which search ``policies.auto()`` stands for: by the phases of the space, its size and the number of slots.

The choice is made once, when the study is created, by how many slots there are then. It is kept with the study, which
goes on with it whatever comes and goes, and is found again by whoever submits it once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hippo_core import policies, samplers
from hippo_core.errors import InvalidStudy
from hippo_core.outlook import study_phases
from hippo_core.policies import AutoSpec, PolicySpec
from hippo_core.policies.phase_levels import PER_KEPT, levels_of
from hippo_core.samplers import Sampler

if TYPE_CHECKING:
    from hippo_core.study import StudySpec

TRIALS_OF_A_PHASE = 8
"""How many trials of each phase a phase tree needs: before, it has no model."""

TRIALS_OF_A_SLOT = 2
"""How many trials of each phase it needs for each slot: with fewer, most are begun before any is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """How a study came to its policy and sampler.

    Attributes:
        slots: For how many slots they were chosen.
        reason: Why, in words.
    """

    slots: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The choice as a JSON object."""
        return {"slots": self.slots, "reason": self.reason}

    @classmethod
    def from_json(cls, json: Any) -> Chosen | None:
        """The inverse of :meth:`to_json`; None as it is.

        Raises:
            InvalidStudy: It is something else.
        """
        if json is None:
            return None
        if not isinstance(json, Mapping) or set(json) != {"slots", "reason"}:
            raise InvalidStudy("chosen", f"must be an object with slots and reason, not {json!r}")
        slots, reason = json["slots"], json["reason"]
        if not isinstance(slots, int) or not isinstance(reason, str):
            raise InvalidStudy("chosen", f"must be a number of slots and a text, not {json!r}")
        return cls(slots=slots, reason=reason)


def choose(spec: StudySpec, slots: int, before: StudySpec | None = None) -> StudySpec:
    """A study with the policy and sampler that ``policies.auto()`` stands for; any other with its own.

    Args:
        spec: The study.
        slots: How many paths are trained at a time.
        before: The same study as it is there, whose choice stands.
    """
    if not isinstance(spec.policy, AutoSpec):
        same = before is not None and (before.policy, before.sampler) == (spec.policy, spec.sampler)
        kept = before.chosen if before is not None and same else None
        return spec if spec.chosen == kept else replace(spec, chosen=kept)
    if before is not None and before.chosen is not None:
        try:
            return replace(spec, policy=before.policy, sampler=before.sampler, chosen=before.chosen)
        except InvalidStudy:
            pass  # it is another study: what was chosen does not fit it
    reasons: list[str] = []
    for policy, sampler, reason in _candidates(spec, slots):
        if policy is None or sampler is None:
            reasons.append(reason)
            continue
        chosen = Chosen(slots=slots, reason="; ".join([*reasons, reason]))
        try:
            return replace(spec, policy=policy, sampler=sampler, chosen=chosen)
        except InvalidStudy as error:
            reasons.append(f"{policy.name} does not fit ({error.message})")
    raise AssertionError("the last candidate fits every study")


def by_slots(spec: StudySpec) -> list[tuple[int, StudySpec]]:
    """What is chosen for how many slots: for each choice, the least number of slots, and the study with it."""
    found = [(1, choose(spec, 1))]
    if spec.horizons:
        return found
    more = _slots_of_a_tree(spec, _Phases.of(spec)) + 1
    if more > 1:
        found.append((more, choose(spec, more)))
    return [each for index, each in enumerate(found) if not index or each[1].policy != found[0][1].policy]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phases:
    """What counts of a study's phases.

    Attributes:
        later: How many begin after step 0.
        late: How many domains are drawn for these.
        early: How many act from step 0 on.
    """

    later: int
    late: int
    early: int

    @classmethod
    def of(cls, spec: StudySpec) -> _Phases:
        found = study_phases(spec)
        later = [phase for phase in found if phase.start]
        late = sum(len(phase.names) for phase in later)
        return cls(later=len(later), late=late, early=sum(len(phase.names) for phase in found) - late)

    @property
    def words(self) -> str:
        """The phases in words."""
        drawn = self.late + self.early
        return f"{_plural(self.later, 'later phase')} to fork at, for which {self.late} of {drawn} values are drawn"


def _slots_of_a_tree(spec: StudySpec, phases: _Phases) -> int:
    """For how many slots a phase tree has trials enough; 0: for none."""
    if spec.limit is None or phases.later < 2 or phases.late < phases.early:
        return 0
    trials = spec.max_trials // (phases.later + 1)
    return trials // TRIALS_OF_A_SLOT if trials >= TRIALS_OF_A_PHASE else 0


def _steps_of_a_tree(spec: StudySpec) -> int:
    """To about how many trained steps the trials of a phase tree come, with their probes."""
    policy, every = policies.phase_tree(), spec.program.evaluate_every
    assert spec.limit is not None
    levels = levels_of(spec.space, spec.limit, every)
    places = [PER_KEPT if levels.is_rung(level) else 1 for level in range(levels.last + 1)]
    lengths = [end - start for start, end in pairwise((0, *levels.ends))]
    factors, probe = policy.factors(spec.space), policy.probe_length(spec.limit, every)
    probes = sum(policy.is_probed(end, spec.limit, factors) for end in levels.ends[:-1])
    steps = sum(count * length for count, length in zip(places, lengths, strict=True)) + probes * probe
    return round(spec.max_trials * steps / sum(places))


def _candidates(spec: StudySpec, slots: int) -> Iterator[tuple[PolicySpec | None, Sampler | None, str]]:
    """What may suit a study, the most saving first, and why; or why something does not."""
    if spec.horizons:
        yield None, None, "there are horizons, and searches that fork have one length for all trials"
        yield from _without_forks()
        return
    phases = _Phases.of(spec)
    if spec.space.unlistable() is None:
        yield policies.trie_asha(), samplers.trie_asha(), "the space is finite"
    if spec.limit is not None and phases.later >= 2 and phases.late >= phases.early:
        trials = spec.max_trials // (phases.later + 1)
        if slots <= _slots_of_a_tree(spec, phases):
            reason = (
                f"{phases.words}, and about {trials} trials a phase for {_plural(slots, 'slot')}; a trial is one phase "
                f"of a schedule then, not a whole one: {spec.max_trials} come to about {_steps_of_a_tree(spec)} steps"
            )
            yield policies.phase_tree(), samplers.phase_tree(), reason
        else:
            few = f"about {trials} trials a phase are too few for phase_tree in {_plural(slots, 'slot')}"
            yield None, None, few
    if phases.later:
        yield policies.fork_asha(), samplers.fork_asha(), phases.words
    else:
        yield None, None, "all that is drawn acts from step 0 on, so that there is no phase to fork at"
    yield from _without_forks()


def _without_forks() -> Iterator[tuple[PolicySpec, Sampler, str]]:
    yield policies.asha(), samplers.tpe(), "ASHA with the points of TPE"
    yield policies.full(), samplers.random(), "trains all to their end"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
