"""What sharing will save, counted before anything is spent: all trials of some studies, all to their last
step.

Policies that stop trials early train fewer steps than are counted here, with and without sharing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from hippo_core import outlook, policies, samplers
from hippo_core.choosing import by_slots, choose
from hippo_core.errors import InvalidStudy
from hippo_core.outlook import StudyPhase, in_words, nothing_shared, study_phases, told_apart_by
from hippo_core.plan import Node, Plan
from hippo_core.policies import AutoSpec, FullSpec
from hippo_core.policies.population import PopulationSpec
from hippo_core.sequence import Laws
from hippo_core.study import StudySpec

FEW = 1.05
"""A merge rate below which next to nothing is shared."""

TO_FORK = "take a search that forks where a later phase begins"

TO_SHARE = (
    "let trials start alike: draw only what comes later, as in "
    "schedules.piecewise([0.1, space.loguniform(1e-4, 5e-2)], milestones=[9]), after a common warm-up, or in the "
    "cooldown of a schedules.wsd whose peak is one; and list few values for step 0, with space.choice or on a grid"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is counted, for one study or for several together.

    Attributes:
        trials: How many there are.
        steps_without_sharing: What training each alone takes.
        steps_with_sharing: The number of distinct value prefixes: each is trained once.
        critical_path_steps: The longest trial's steps: no number of slots is faster than these.
        nodes: The stretches of laws that trials share.
        stages: Those stretches, cut where trials fork or end.
    """

    trials: int
    steps_without_sharing: int
    steps_with_sharing: int
    critical_path_steps: int
    nodes: int
    stages: int

    @property
    def merge_rate(self) -> float | None:
        """Steps without sharing per step with sharing; None where nothing is trained."""
        return self.steps_without_sharing / self.steps_with_sharing if self.steps_with_sharing else None

    def to_json(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        return {
            "trials": self.trials,
            "steps_without_sharing": self.steps_without_sharing,
            "steps_with_sharing": self.steps_with_sharing,
            "merge_rate": self.merge_rate,
            "critical_path_steps": self.critical_path_steps,
            "nodes": self.nodes,
            "stages": self.stages,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What sharing within one study will save.

    Attributes:
        study: The study's name.
        counts: What is counted.
        root_splits: By name, how many values a hyper-parameter has at step 0, where they are more than one: trials
            that differ there share nothing.
        phases: What is drawn for which stretch of the trials.
        hints: What the person who plans may want to know or change.
    """

    study: str
    counts: Counts
    root_splits: Mapping[str, int]
    phases: tuple[StudyPhase, ...]
    hints: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "study": self.study,
            **self.counts.to_json(),
            "root_splits": dict(self.root_splits),
            "phases": [phase.to_json() for phase in self.phases],
            "hints": list(self.hints),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticPlan:
    """What sharing within and across studies will save.

    Attributes:
        studies: Each by itself, in order.
        together: All of them in one project.
    """

    studies: tuple[StudyPlan, ...]
    together: Counts

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "studies": [study.to_json() for study in self.studies],
            "together": self.together.to_json(),
        }


def plan_studies(specs: Iterable[StudySpec]) -> StaticPlan:
    """Counts what training studies takes, each alone and all together."""
    shared: dict[tuple[str, str | None], _Counting] = {}
    studies = []
    chosen = [(submitted, choose(submitted, 1)) for submitted in specs]
    programs = Counter(_program(spec) for _, spec in chosen)
    for submitted, spec in chosen:
        alone = _Counting()
        several = programs[_program(spec)] > 1
        together = shared.setdefault(_program(spec), _Counting() if several else alone)
        first: set[Laws] = set()
        for number in range(spec.distinct_trials(spec.max_trials)):
            for assignment in spec.trials_of(spec.point(number)):
                stop = spec.max_steps_of(assignment)
                for repeat in range(spec.repeats):
                    sequence = spec.sequence(assignment, repeat)
                    if repeat == 0:
                        first.add(sequence.stretches[0])
                    for counting in (alone, together) if several else (alone,):
                        counting.add(counting.plan.insert(sequence, stop), stop, is_trial=repeat == 0)
        splits = _root_splits(first)
        counts = alone.counts()
        phases = study_phases(spec)
        said = set(outlook.warnings(spec))  # in other words among the hints
        warnings = [each for each in spec.warnings if each not in said]
        studies.append(
            StudyPlan(
                study=spec.name,
                counts=counts,
                root_splits=splits,
                phases=phases,
                hints=(*_choices(submitted), *warnings, *_hints(spec, counts, splits, phases)),
            )
        )
    return StaticPlan(studies=tuple(studies), together=_sum(each.counts() for each in shared.values()))


def _root_splits(first: Iterable[Laws]) -> dict[str, int]:
    """By name, how many values trials have at step 0, where they are more than one; of their laws there."""
    values: dict[str, set[Any]] = {}
    for laws in first:
        for name, law in zip(laws.names, laws.laws, strict=True):
            values.setdefault(name, set()).add(law.typed_value(0))
    return {name: len(found) for name, found in sorted(values.items()) if len(found) > 1}


def _program(spec: StudySpec) -> tuple[str, str | None]:
    """What two studies have in common whose trials share."""
    return spec.program.key, spec.program.resources.accelerator


@dataclass(slots=True)
class _Counting:
    """A search plan being filled.

    Attributes:
        plan: The plan.
        ends: By node, the steps at which trials end.
        trials: How many were added.
        steps: Their steps, each trial, and each repeat, alone.
        longest: The steps of the longest.
    """

    plan: Plan = field(default_factory=lambda: Plan(0))
    ends: dict[int, set[int]] = field(default_factory=dict)
    trials: int = 0
    steps: int = 0
    longest: int = 0

    def add(self, node: Node, stop: int, *, is_trial: bool) -> None:
        """Counts a trial that was inserted, or a further repeat of one."""
        self.ends.setdefault(node.id, set()).add(stop)
        self.trials += is_trial
        self.steps += stop
        self.longest = max(self.longest, stop)

    def counts(self) -> Counts:
        """What has come together."""
        steps = stages = 0
        for node in self.plan.nodes:
            cuts = {child.start for child in node.offspring()}
            cuts.update(self.ends.get(node.id, ()))
            steps += max(cuts) - node.start
            stages += len(cuts)
        return Counts(
            trials=self.trials,
            steps_without_sharing=self.steps,
            steps_with_sharing=steps,
            critical_path_steps=self.longest,
            nodes=len(self.plan.nodes),
            stages=stages,
        )


def _sum(parts: Iterable[Counts]) -> Counts:
    """Counts of programs that share nothing with each other."""
    found = list(parts)
    return Counts(
        trials=sum(each.trials for each in found),
        steps_without_sharing=sum(each.steps_without_sharing for each in found),
        steps_with_sharing=sum(each.steps_with_sharing for each in found),
        critical_path_steps=max((each.critical_path_steps for each in found), default=0),
        nodes=sum(each.nodes for each in found),
        stages=sum(each.stages for each in found),
    )


def _hints(
    spec: StudySpec, counts: Counts, splits: Mapping[str, int], phases: Sequence[StudyPhase]
) -> list[str]:
    found = []
    if spec.sampler.outside:
        found.append("points from outside are not known beforehand: random points are counted in their place")
    elif spec.sampler.learns:
        sampler = spec.sampler.to_json()["sampler"]
        found.append(
            f"what the sampler {sampler!r} will propose depends on what trials come to: "
            "random points are counted in place of its own"
        )
    if isinstance(spec.policy, PopulationSpec):
        found.append(
            f"the policy {spec.policy.name!r} trains as many steps, in {spec.max_trials} places: "
            "a fork goes on from its parent's state, and is counted beside max_trials"
        )
        return found  # what is shared comes with the forks, not with what is drawn
    if spec.policy.forks:
        found.append(
            f"what the policy {spec.policy.name!r} shares comes with its forks, which go on from trials' states where "
            "phases begin: hippo simulate estimates it"
        )
        return found
    if not isinstance(spec.policy, FullSpec):
        policy = spec.policy.to_json()["policy"]
        found.append(f"all trials are counted to their last step; the policy {policy!r} trains fewer")
    rate = counts.merge_rate
    if counts.trials > 1 and rate is not None and rate < FEW:
        apart = told_apart_by(spec)
        found.append(nothing_shared(apart) if apart else _what_is_apart(counts, splits))
        forked = any(phase.start for phase in phases)
        searches = _accepted_searches(spec) if forked else []
        forking = f"{TO_FORK}: {' or '.join(searches)}; or " if searches else ""
        found.append(f"to share, {forking}{TO_SHARE}")
    return found


def _accepted_searches(spec: StudySpec) -> list[str]:
    """The searches that fork which a study could take instead of its own; none where its own forks."""
    if spec.policy.forks or spec.chosen is not None or isinstance(spec.policy, AutoSpec):
        return []
    found = []
    for policy, sampler in (
        (policies.fork_asha(), samplers.fork_asha()),
        (policies.phase_tree(), samplers.phase_tree()),
    ):
        with suppress(InvalidStudy):
            replace(spec, policy=policy, sampler=sampler, chosen=None)
            found.append(f"policies.{policy.name}()")
    return found


def _choices(spec: StudySpec) -> list[str]:
    """What policies.auto() stands for, by the number of slots."""
    if not isinstance(spec.policy, AutoSpec):
        return []
    found = by_slots(spec)
    said = []
    for index, (least, made) in enumerate(found):
        assert made.chosen is not None
        many = f" with {least} slots or more" if index else ""
        if not index and len(found) > 1:
            many = f" with fewer than {found[1][0]} slots"
        said.append(f"policies.auto() is {made.policy.name}{many}: {made.chosen.reason}")
    return said


def _what_is_apart(counts: Counts, splits: Mapping[str, int]) -> str:
    rate = f"trials share next to nothing (merge rate {counts.merge_rate:.2f})"
    if not splits:
        return f"{rate}: their values part soon after step 0"
    values = [f"{name!r} has {count} values" for name, count in splits.items()]
    return f"{rate}: at step 0 of {counts.trials} trials {in_words(values)}"
