"""What the person who submits a study should know, though it is no error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from hippo_core import outlook
from hippo_core.domains import Choice, part_to_json
from hippo_core.phases import phases
from hippo_core.policies import (
    DehbSpec,
    ForkAshaSpec,
    FullSpec,
    GreedyPhasesSpec,
    PatienceSpec,
    PhaseTreeSpec,
)
from hippo_core.policies.fork_asha import ENOUGH
from hippo_core.policies.halving import HalvingSpec
from hippo_core.policies.phase_levels import levels_of
from hippo_core.policies.policy import round_up
from hippo_core.samplers import Random
from hippo_core.space import EndOf
from hippo_core.trial_schedules import end_of

if TYPE_CHECKING:
    from hippo_core.study import StudySpec

SHOWN_ROUNDINGS = 4
FEWEST_OF_A_LEVEL, GOOD_OF_A_LEVEL = 4, 8  #: trials of a phase tree for each step at which they are compared
MOST_COUNTED = 10_000  #: so many points are counted, at most


def warnings(spec: StudySpec) -> tuple[str, ...]:
    """What the person who submits should know, though it is no error."""
    every = spec.program.evaluate_every
    found: list[str] = []
    if spec.horizons:
        found.extend(rounded_horizons(spec.horizons, every))
    elif isinstance(spec.max_steps, int) and spec.max_steps % every:
        rounded = round_up(spec.max_steps, every)
        found.append(f"max_steps={spec.max_steps} is rounded up to {rounded}, for evaluate_every={every}")
    if isinstance(spec.max_steps, EndOf) and every > 1:
        ends = {
            end_of(spec.max_steps.name, spec.space.resolve(spec.point(number)))
            for number in spec.numbers(spec.max_trials)
        }
        moved = [f"{end} -> {round_up(end, every)}" for end in sorted(ends) if end % every]
        if moved:
            shown = ", ".join([*moved[:SHOWN_ROUNDINGS], *(["..."] if moved[SHOWN_ROUNDINGS:] else [])])
            name = spec.max_steps.name
            found.append(f"the ends of {name!r} are rounded up for evaluate_every={every}: {shown}")
    checked = spec.policy.check(spec.limit, every)
    return (
        *found,
        *_merged_options(spec),
        *_space_warnings(spec),
        *_sampler_warnings(spec),
        *checked,
        *outlook.warnings(spec),
    )


def rounded_horizons(horizons: Iterable[int], every: int) -> tuple[str, ...]:
    """Which horizons are longer than they are given, since trials end where they are evaluated."""
    moved = [f"{each} -> {round_up(each, every)}" for each in horizons if each % every]
    return (f"horizons are rounded up for evaluate_every={every}: {', '.join(moved)}",) if moved else ()


def _merged_options(spec: StudySpec) -> Iterator[str]:
    """That options were written more than once."""
    for name, domain in sorted(spec.space.domains.items()):
        if isinstance(domain, Choice) and domain.merged:
            shown = ", ".join(str(part_to_json(each)) for each in domain.merged[:SHOWN_ROUNDINGS])
            more = ", ..." if domain.merged[SHOWN_ROUNDINGS:] else ""
            yield f"space[{name!r}]: written more than once, and tried once: {shown}{more}"


def _space_warnings(spec: StudySpec) -> tuple[str, ...]:
    """That a finite space has fewer points than there are to be trials."""
    if spec.max_trials > MOST_COUNTED or spec.policy.proposes or spec.earlier:
        return ()
    count = spec.distinct_trials(spec.max_trials)
    if count >= spec.max_trials:
        return ()
    points = "1 point" if count == 1 else f"{count} points"
    return (
        f"max_trials={spec.max_trials}, but the space has {points}: none is tried twice, and the study is complete "
        "when all are trials",
    )


def _sampler_warnings(spec: StudySpec) -> tuple[str, ...]:
    if isinstance(spec.policy, DehbSpec):
        return _dehb_warnings(spec, spec.policy)
    if isinstance(spec.policy, PhaseTreeSpec):
        return _phase_tree_warnings(spec, spec.policy)
    if isinstance(spec.policy, GreedyPhasesSpec):
        return _greedy_warnings(spec, spec.policy)
    if isinstance(spec.policy, ForkAshaSpec):
        return _fork_warnings(spec, spec.policy)
    if not spec.sampler.learns or spec.sampler.outside or isinstance(spec.policy, FullSpec | PatienceSpec):
        return ()
    if spec.sampler.needs_rungs:
        return _rung_warnings(spec)
    if spec.sampler.sees_stopped and len(spec.objectives) == 1:
        return ()
    sampler = spec.sampler.to_json()
    several = f" with {len(spec.objectives)} objectives" if spec.sampler.sees_stopped else ""
    return (
        f"the sampler {sampler['sampler']}{several} learns only from trials that come to their end, and the policy "
        f"{spec.policy.name} stops most before; samplers.tpe() with one objective learns from all",
    )


def _rung_warnings(spec: StudySpec) -> tuple[str, ...]:
    word = spec.sampler.to_json()["sampler"]
    if not isinstance(spec.policy, HalvingSpec):
        return (
            f"the sampler {word} learns from trials that were compared at the same steps, and the policy "
            f"{spec.policy.name} compares them where they happen to be; "
            "policies.hyperband(asynchronous=True) has rungs",
        )
    if spec.policy.waits:
        return (
            f"{spec.policy.name} promotes nobody before all points are proposed, so that the sampler {word} "
            "learns from first rungs only; policies.hyperband(asynchronous=True) lets it learn from all",
        )
    return ()


def _dehb_warnings(spec: StudySpec, policy: DehbSpec) -> tuple[str, ...]:
    assert isinstance(spec.max_steps, int)
    brackets = policy.brackets(spec.max_steps, spec.program.evaluate_every)
    if spec.max_trials >= brackets.first_bracket:
        return ()
    rungs = " + ".join(
        f"{count} at step {step}" for count, step in zip(brackets.sizes(0), brackets.ladder, strict=True)
    )
    return (
        f"max_trials={spec.max_trials} is less than dehb's first bracket, {brackets.first_bracket} evaluations: "
        f"{rungs}",
    )


def _phase_tree_warnings(spec: StudySpec, policy: PhaseTreeSpec) -> tuple[str, ...]:
    found = []
    if policy.probe_steps != 0 and not policy.factors(spec.space):
        found.append(
            "phase_tree ranks states as they are, without probes: no hyper-parameter of all trials is called lr or "
            "learning_rate; probe_hyperparameter=... names what is to be multiplied"
        )
    limit, every = spec.limit, spec.program.evaluate_every
    if limit is None:
        return tuple(found)
    ends = levels_of(spec.space, limit, every).ends
    if spec.max_trials < FEWEST_OF_A_LEVEL * len(ends):
        found.append(
            f"max_trials={spec.max_trials} is few for phase_tree, whose trials are compared at {len(ends)} steps and "
            f"end there: give {GOOD_OF_A_LEVEL * len(ends)} or more"
        )
    length, last = policy.probe_length(limit, every), limit - ends[-2]
    if policy.probe_steps and length > last:
        found.append(
            f"probe_steps={policy.probe_steps} is longer than the last phase, {last} steps: a probe costs more than "
            "what it is to foretell"
        )
    return tuple(found)


def _greedy_warnings(spec: StudySpec, policy: GreedyPhasesSpec) -> tuple[str, ...]:
    limit, every = spec.limit, spec.program.evaluate_every
    if limit is None:
        return ()
    parts = phases(spec.space, Random().point(spec.space, spec.program.seed, 0), limit, every)
    lineage = policy.candidates * len(parts)
    found = []
    if spec.max_trials < lineage:
        found.append(
            f"max_trials={spec.max_trials} is less than one lineage of greedy_phases, about {lineage} trials: "
            f"{policy.candidates} candidates for each of {len(parts)} phases"
        )
    starts = [*(part.start for part in parts), limit]
    longest = max(after - start for start, after in pairwise(starts))
    if policy.probe_steps is not None and policy.probe_steps > longest:
        found.append(
            f"probe_steps={policy.probe_steps} is longer than any phase, {longest} steps at most: candidates are "
            "trained through the whole of it before they are compared"
        )
    return tuple(found)


def _fork_warnings(spec: StudySpec, policy: ForkAshaSpec) -> tuple[str, ...]:
    if not isinstance(spec.max_steps, int):
        return ()
    needed = policy.trials_before_forks(spec.max_steps, spec.program.evaluate_every)
    if spec.max_trials > needed:
        return ()
    return (
        f"max_trials={spec.max_trials} leaves no trials to fork: it takes about {needed} until {ENOUGH} have come to "
        f"step {spec.max_steps}, as each rung from step {policy.min_steps} on promotes 1 of "
        f"{policy.reduction_factor}; a larger min_steps has fewer rungs",
    )
