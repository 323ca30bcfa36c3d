"""What must hold after every command, as named functions over the state.

Checked after every command in tests, and at the end of every simulation; ``check`` raises ``InvariantViolated`` with
the story that led there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hippo_core.endings import MaxTrainedSteps
from hippo_core.engine.budget import trains, used_steps
from hippo_core.engine.preparing import count_followers
from hippo_core.engine.quotas import crowded
from hippo_core.engine.state import MOST_AHEAD, EngineState
from hippo_core.engine.states import (
    ENDED_STUDY_STATES,
    ENDED_TRIAL_STATES,
    StudyState,
    TrialState,
    WorkerState,
)
from hippo_core.errors import InvariantViolated
from hippo_core.lease import Promise

if TYPE_CHECKING:
    from hippo_core.engine.engine import Engine


def requests_and_trials_agree(state: EngineState) -> Iterator[str]:
    """An open request is listed by its trial, its study and its node alike."""
    listed = {
        (study, trial, step, node.id)
        for node in state.nodes.values()
        for step, waiting in node.requests.items()
        for study, trial in waiting
    }
    told = {
        (study.id, trial.number, trial.target, trial.node.id)
        for study in state.studies.values()
        for trial in study.branches()
        if trial.target is not None and trial.node is not None
    }
    if listed != told:
        yield f"nodes list {sorted(listed - told)}, trials list {sorted(told - listed)}"
    for study in state.studies.values():
        targets = {trial.number for trial in study.branches() if trial.target is not None}
        if targets != set(study.open):
            yield f"study {study.id} lists {sorted(study.open)} as open, its trials {sorted(targets)}"


def open_requests_are_counted(state: EngineState) -> Iterator[str]:
    """Each node counts the open requests at and below it."""
    counts: dict[int, dict[int, int]] = {}
    for node in state.nodes.values():
        for waiting in node.requests.values():
            for study, _ in waiting:
                for each in node.ancestry():
                    below = counts.setdefault(each.id, {})
                    below[study] = below.get(study, 0) + 1
    for node in state.nodes.values():
        if node.open != counts.get(node.id, {}):
            yield f"node {node.id} counts {node.open}, there are {counts.get(node.id, {})}"


def failing_nodes_are_listed(state: EngineState) -> Iterator[str]:
    """The nodes with failures are known without looking at all nodes."""
    failing = {node.id for node in state.nodes.values() if node.failures is not None}
    if failing != set(state.failing):
        yield f"nodes {sorted(state.failing)} are listed as failing, {sorted(failing)} have failures"


def ended_trials_want_nothing(state: EngineState) -> Iterator[str]:
    """A trial that has ended, or rests, has no open request; an open one waits."""
    for study in state.studies.values():
        for trial in study.branches():
            if trial.target is not None and trial.state is not TrialState.WAITING:
                yield f"trial {study.id}/{trial.number} is {trial.state} with a request at {trial.target}"
            if study.state is StudyState.COMPLETED and trial.state not in ENDED_TRIAL_STATES:
                yield f"study {study.id} is completed, its trial {trial.number} is {trial.state}"


def open_requests_are_not_trained(state: EngineState) -> Iterator[str]:
    """A request of a running study is open only while its step is not trained, evaluated and saved."""
    for node in state.nodes.values():
        for step, waiting in node.requests.items():
            if node.trained >= step and step in node.metrics and step in node.checkpoints:
                late = [each for each in waiting if each[0] in state.active]
                if late:
                    yield f"node {node.id} is trained to {node.trained}, but {late} wait for {step}"


def nodes_nest(state: EngineState) -> Iterator[str]:
    """A child starts inside its parent, is keyed by its values, and is trained only from a state that was trained."""
    for node in state.nodes.values():
        if node.key != node.laws.key(node.start):
            yield f"node {node.id} is keyed by other values than its own"
        if node.parent is None:
            if node.start != 0:
                yield f"root {node.id} starts at {node.start}"
            continue
        if node.start <= node.parent.start:
            yield f"node {node.id} starts at {node.start}, its parent at {node.parent.start}"
        if node.trained > node.start and node.parent.trained < node.start:
            yield f"node {node.id} is trained, its parent is not up to its start"
        if node.parent.laws.key(node.start) == node.key:
            yield f"node {node.id} has the values of its parent at its start"


def slots_and_leases_agree(state: EngineState) -> Iterator[str]:
    """A slot's leases are live, in order and few, and each in training has its slot on a worker that is there."""
    for worker in state.workers.values():
        for slot in worker.slots.values():
            if slot.queue != sorted(set(slot.queue)):
                yield f"slot {worker.name}/{slot.index} has leases out of order: {slot.queue}"
            if len(slot.queue) > 1 + MOST_AHEAD:
                yield f"slot {worker.name}/{slot.index} holds {len(slot.queue)} leases"
            for fence in slot.queue:
                lease = state.leases.get(fence)
                if lease is None or not lease.training:
                    yield f"slot {worker.name}/{slot.index} holds lease {fence}, which does not train"
    for lease in state.leases.values():
        owner = state.workers.get(lease.worker)
        if owner is None or owner.state in {WorkerState.LOST, WorkerState.GONE}:
            yield f"lease {lease.fence} is live on a worker that is not there"
        elif lease.training and lease.fence not in owner.slots[lease.slot].queue:
            yield f"lease {lease.fence} trains in a slot that holds {owner.slots[lease.slot].queue}"


def idle_slots_are_listed(state: EngineState) -> Iterator[str]:
    """The slots that wait for a path, and the leases whose saves are held up, are listed."""
    idle = {
        (worker.name, slot.index)
        for worker in state.workers.values()
        for slot in worker.slots.values()
        if slot.idle
    }
    if idle != state.idle:
        yield f"{sorted(state.idle)} are listed as idle, {sorted(idle)} are"
    hindered = {lease.fence for lease in (*state.leases.values(), *state.orphans.values()) if lease.blocked}
    if hindered != state.hindered.keys():
        yield f"{sorted(state.hindered)} are listed as held up by the storage, {sorted(hindered)} are"


def orphans_have_lost_their_worker(state: EngineState) -> Iterator[str]:
    """An orphaned lease is of the last life of a worker that is not heard of."""
    for lease in state.orphans.values():
        worker = state.workers.get(lease.worker)
        if worker is None or worker.state is not WorkerState.LOST or worker.incarnation != lease.incarnation:
            yield f"lease {lease.fence} is orphaned, but its worker {lease.worker} is not lost"


def fences_grow(state: EngineState) -> Iterator[str]:
    """No live lease has a fence above the last one given."""
    for fence in state.leases:
        if fence > state.last_fence:
            yield f"lease {fence} is above the last fence {state.last_fence}"


def leases_lie_on_paths(state: EngineState) -> Iterator[str]:
    """A lease's stages follow one another down the plan."""
    for lease in state.leases.values():
        for (above, _, stop), (below, start, _) in zip(lease.stages, lease.stages[1:], strict=False):
            parent = state.nodes[below].parent
            if stop != start or parent is None or parent.id != above:
                yield f"lease {lease.fence} goes from node {above} at {stop} to node {below} at {start}"


def ended_training_owes_no_answer(state: EngineState) -> Iterator[str]:
    """A lease that no longer trains has no offer open: nobody would answer it."""
    for lease in state.leases.values():
        offered = [each for each, promise in lease.promises.items() if promise is Promise.OFFERED]
        if offered and not lease.training:
            yield f"lease {lease.fence} is {lease.state}, but {offered} wait for its answer"


def every_request_has_a_way(state: EngineState) -> Iterator[str]:
    """What a running study waits for is on its way, or is a range of its stage tree."""
    for plan in state.plans.values():
        for number in plan.studies:
            study = state.studies[number]
            if study.id not in state.active:
                continue
            for each in study.open:
                trial = study.member(each)
                assert trial.node is not None
                assert trial.target is not None
                outlook = trial.node.outlook
                leases = plan.tree.leases.get(trial.node.id, {}).values()
                on_its_way = any(
                    lease.will_reach(trial.node.id, trial.target)
                    or lease.promises_state((trial.node.id, trial.target))
                    for lease in leases
                )
                planned = outlook is not None and any(
                    trial.target in found.points for found in outlook.ranges
                )
                if not on_its_way and not planned:
                    yield f"trial {study.id}/{trial.number} waits for {trial.target}, which nothing leads to"


def plans_without_studies_hold_nothing(state: EngineState) -> Iterator[str]:
    """A plan that no study has any more has no checkpoints and no leases."""
    for plan in state.plans.values():
        if plan.studies:
            continue
        kept = [node.id for node in plan.plan.nodes if node.checkpoints]
        leases = [lease.fence for lease in state.leases.values() if lease.plan == plan.id]
        if kept or leases:
            yield f"plan {plan.id} has no study, but checkpoints of nodes {kept} and leases {leases}"


def checkpoints_are_counted(state: EngineState) -> Iterator[str]:
    """The bytes of all checkpoints are known, and no state is pinned by a study that is gone."""
    found = sum(
        kept.size_bytes
        for node in state.nodes.values()
        for copies in node.checkpoints.values()
        for kept in copies.values()
    )
    if found != state.kept_bytes:
        yield f"checkpoints hold {found} bytes, {state.kept_bytes} are counted"
    for pinned, studies in state.pins.items():
        gone = [study for study in studies if study not in state.studies]
        if gone or not studies:
            yield f"the state {pinned} is pinned by studies {list(studies)}, of which {gone} are gone"


def ranges_are_counted(state: EngineState) -> Iterator[str]:
    """Each stage tree counts its ranges, and by node those that are ready; of one that is yet to be looked at again
    nothing is said.
    """
    for plan in state.plans.values():
        if plan.id in state.touched_plans:
            continue
        ready: dict[int, int] = {}
        count = 0
        for node, found in plan.tree.steps_to_run():
            count += 1
            if plan.tree.ready(node, found):
                ready[node.id] = ready.get(node.id, 0) + 1
        if plan.tree.range_count != count:
            yield f"the tree of plan {plan.id} counts {plan.tree.range_count} ranges, there are {count}"
        if plan.tree.ready_ranges.counts != ready:
            yield f"the tree of plan {plan.id} takes {plan.tree.ready_ranges.counts} to be ready, {ready} are"
        if plan.tree.ready_ranges.since.keys() != ready.keys():
            told = [*plan.tree.ready_ranges.since]
            yield f"the tree of plan {plan.id} tells since when {told} are ready, {[*ready]} are"


def followers_are_counted(state: EngineState) -> Iterator[str]:
    """What is known of how many paths will begin where a lease has yet to save is what a look at them says."""
    for lease in state.leases.values():
        if (
            lease.followers is None
            or lease.plan in state.touched_plans
            or state.plans[lease.plan].tree.blocked
        ):
            continue
        found = count_followers(state, lease)
        if lease.followers != found:
            yield f"lease {lease.fence} counts {lease.followers} paths that follow, there are {found}"


def growing_studies_are_listed(state: EngineState) -> Iterator[str]:
    """The studies with trials that are still to be created are listed; none of them has ended."""
    growing = {study.id for study in state.studies.values() if study.uncreated}
    if growing != state.growing.keys():
        yield f"studies {sorted(state.growing)} are listed as growing, {sorted(growing)} are"
    for number in growing:
        study = state.studies[number]
        if study.state in ENDED_STUDY_STATES or study.ending:
            yield f"study {number} has ended with {study.uncreated} points that are no trials"


def nothing_is_granted_after_an_ending(state: EngineState) -> Iterator[str]:
    """A study that has ended since an ending held waits for nothing."""
    for study in state.studies.values():
        if study.ending and study.state in ENDED_STUDY_STATES and study.open:
            yield f"study {study.id} has ended ({study.ending}), and waits for trials {sorted(study.open)}"


def proposals_are_for_the_next_trial(state: EngineState) -> Iterator[str]:
    """A study waits for one point, of the trial that comes next; one that has nothing else to do waits for it."""
    for study in state.studies.values():
        wanted = study.proposal
        if study.spec.sampler.outside:
            has_room = study.id in state.active and study.unproposed and not study.ending
            has_room = has_room and not crowded(state, study)
            if wanted is not None or (study.wants_points and not has_room):
                yield f"study {study.id} wants what it cannot have"
            if has_room and not (study.open or study.short or study.wants_points):
                yield f"study {study.id} has nothing to do and trials left, and wants no point"
        elif wanted is None:
            if study.id in state.active and study.unproposed and not study.open and not study.ending:
                if crowded(state, study):
                    continue
                if study.spec.ending(MaxTrainedSteps) and trains(state, study):
                    continue  # what fits is known when its paths have let go
                yield f"study {study.id} has nothing to do, and trials left"
        elif not study.unproposed or wanted.trial != len(study.trials):
            yield f"study {study.id} has {len(study.trials)} trials, and waits for trial {wanted.trial}"
        elif wanted.sequence > state.last_sequence or not study.trials.keys() >= set(wanted.pending):
            yield f"study {study.id} waits for a proposal that sees what has not happened"


def budgets_hold(state: EngineState) -> Iterator[str]:
    """A running study is charged with no more fresh steps than its budget."""
    for study in state.studies.values():
        budget = study.spec.ending(MaxTrainedSteps)
        if budget is not None and study.id in state.active and used_steps(study) > budget.steps:
            yield f"study {study.id} is charged with {used_steps(study)} of {budget.steps} steps"


INVARIANTS: tuple[Callable[[EngineState], Iterator[str]], ...] = (
    requests_and_trials_agree,
    open_requests_are_counted,
    ended_trials_want_nothing,
    open_requests_are_not_trained,
    nodes_nest,
    failing_nodes_are_listed,
    slots_and_leases_agree,
    idle_slots_are_listed,
    orphans_have_lost_their_worker,
    fences_grow,
    leases_lie_on_paths,
    ended_training_owes_no_answer,
    every_request_has_a_way,
    plans_without_studies_hold_nothing,
    proposals_are_for_the_next_trial,
    checkpoints_are_counted,
    ranges_are_counted,
    followers_are_counted,
    growing_studies_are_listed,
    nothing_is_granted_after_an_ending,
    budgets_hold,
)


def check(engine: Engine) -> None:
    """Checks all invariants.

    Raises:
        InvariantViolated: One does not hold.
    """
    for invariant in INVARIANTS:
        for violation in invariant(engine.state):
            story = tuple(repr(event) for event in engine.state.story)
            raise InvariantViolated(f"{invariant.__name__}: {violation}", story)
