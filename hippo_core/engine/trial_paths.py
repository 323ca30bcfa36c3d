"""A trial's path through the plan: its stretches, what is kept on it, and whether it is being trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hippo_core.engine.evaluations import progress
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.errors import NotFound
from hippo_core.phases import phases
from hippo_core.plan import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRef:
    """A checkpoint that is kept, and whether a later phase of the trial begins there."""

    plan: int
    node: int
    step: int
    fence: int
    size_bytes: int
    begins_phase: bool


def walk(trial: Trial, step: int) -> Iterator[tuple[Node, int, int]]:
    """The stretches of a trial's path below ``step``, root-most first."""
    leaf = trial.leaf
    if leaf is None:
        return
    nodes = leaf.path()
    for index, node in enumerate(nodes):
        stop = nodes[index + 1].start if index + 1 < len(nodes) else step
        if node.start < min(stop, step):
            yield node, node.start, min(stop, step)


def going_through(study: Study, node: Node, step: int) -> Iterator[Trial]:
    """The trials of a study, and their repeats, whose paths go through the state at ``step`` of a node."""
    for trial in study.all_members():
        leaf, furthest = trial.leaf, max(trial.target or 0, trial.reached)
        if leaf is not None and furthest >= step and leaf.plan == node.plan and leaf.owner(step) is node:
            yield trial


def leaves(trial: Trial, node: Node) -> int:
    """The step at which a trial's path leaves a node that it goes through, or ends in it."""
    return next(stop for each, _, stop in walk(trial, max(trial.target or 0, trial.reached)) if each is node)


def checkpoints_of(plan: int, trial: Trial, step: int) -> Iterator[CheckpointRef]:
    """The checkpoints on a trial's path up to ``step``, by step."""
    starts = set()
    if trial.fork is None:  # a fork's own schedules are no part of the space
        starts = {phase.start for phase in phases(trial.space, trial.assignment, trial.limit)[1:]}
    for node, start, stop in walk(trial, step):
        for each in sorted(node.checkpoints):
            if start < each <= stop:
                for fence in sorted(node.checkpoints[each]):
                    kept = node.checkpoints[each][fence]
                    yield CheckpointRef(
                        plan=plan,
                        node=node.id,
                        step=each,
                        fence=fence,
                        size_bytes=kept.size_bytes,
                        begins_phase=each in starts,
                    )


def find_checkpoint(study: Study, trial: Trial, step: int | None) -> CheckpointRef:
    """The checkpoint of a trial's state; without a step that of a completed trial's end, else the last that is kept.

    Raises:
        NotFound: There is none; names the steps that are kept.
    """
    if step is None and trial.state is TrialState.COMPLETED:
        step = trial.reached
    kept = list(checkpoints_of(study.plan, trial, progress(trial)))
    found = [each for each in kept if step is None or each.step == step]
    if not found:
        at = "" if step is None else f" at step {step}"
        steps = ", ".join(str(each) for each in sorted({each.step for each in kept})) or "none"
        raise NotFound(
            f"trial {trial.number} of '{study.name}' has no checkpoint{at}.", f"Steps that are kept: {steps}."
        )
    return max(found, key=lambda each: (each.step, each.fence))


def is_running(state: EngineState, study: Study, trial: Trial) -> bool:
    """Whether a lease is training towards the trial's next untrained step."""
    if trial.node is None or trial.target is None:
        return False
    step, leases = progress(trial), state.plans[study.plan].tree.leases
    if not leases or step >= trial.target:
        return False
    node = trial.node.owner(step + 1)
    return any(lease.will_reach(node.id, step + 1) for lease in leases.get(node.id, {}).values())
