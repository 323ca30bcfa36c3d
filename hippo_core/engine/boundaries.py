"""States at which a trial's later phases begin, noted where somebody may come to fork there.

A fork at a phase's first step goes on from the state there. Where it comes after the path has passed, that state is no
longer to be had, and all steps since the nearest state that was kept are trained again. So in studies whose trials
are forked there, each path saves it as it comes by: once for all trials that share the steps before.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from hippo_core.domains import HORIZON
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.phases import NEVER, Phase, parting_steps, phases
from hippo_core.policies import ManualSpec
from hippo_core.space import Space
from hippo_core.study import StudySpec

FEW_POINTS = 4096
"""Of a space that has no more, each path saves the states at all steps at which others part from it."""


def note_boundaries(state: EngineState, study: Study, trial: Trial) -> None:
    """Notes the states at which phases begin on a trial's way to its request, to be saved where a path comes by."""
    node, target = trial.node, trial.target
    if node is None or target is None or trial.fork is not None or not may_be_forked(study.spec):
        return  # a fork's own schedules are no part of the space
    tree = state.tree_of(node)
    for step in _steps(study.spec, trial, target):
        at = node.owner(step)
        if (at.id, step) not in study.boundaries:
            study.boundaries[at.id, step] = None
            tree.add_boundary((at.id, step), study.id)


def forget_boundaries(state: EngineState, study: Study) -> None:
    """A study is gone."""
    for number, step in study.boundaries:
        node = state.nodes[number]
        state.tree_of(node).remove_boundary((number, step), study.id)
    study.boundaries.clear()


def may_be_forked(spec: StudySpec) -> bool:
    """Whether a study's trials may come to be forked where their phases begin.

    By its policy, by who decides outside; or since a point that a sampler comes back to may have earlier draws in
    common with those before.
    """
    decided = spec.policy.forks or isinstance(spec.policy, ManualSpec)
    return decided or spec.sampler.outside or spec.sampler.learns


def _steps(spec: StudySpec, trial: Trial, target: int) -> Iterator[int]:
    if spec.sampler.learns and _is_small(trial.space):
        # Each that comes later parts from those before at one of these.
        if trial.partings is None:
            trial.partings = parting_steps(trial.space, trial.assignment)
        yield from (step for step in trial.partings if 0 < step < target)
        return
    if trial.phases is None:
        trial.phases = phases(trial.space, trial.assignment, NEVER)
    anywhere = spec.policy.forks or spec.sampler.outside or isinstance(spec.policy, ManualSpec)
    for index, phase in enumerate(trial.phases):
        returns = anywhere or _returns(trial.space, trial.phases[:index], spec.max_trials)
        if 0 < phase.start < target and returns:
            yield phase.start


def _is_small(space: Space) -> bool:
    """Whether a space has so few points that a sampler's next one is likely to begin as an earlier one."""
    sizes = [domain.size for name, domain in space.domains.items() if name != HORIZON]
    return None not in sizes and prod(size for size in sizes if size is not None) <= FEW_POINTS


def _returns(space: Space, earlier: tuple[Phase, ...], trials: int) -> bool:
    """Whether a sampler is sure to draw the same for earlier phases again, as there are fewer values than trials."""
    drawn = [name for phase in earlier for name in phase.names if name != HORIZON]
    sizes = [space.domains[name].size for name in drawn]
    return None not in sizes and prod(size for size in sizes if size is not None) < trials
