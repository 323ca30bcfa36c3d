"""Which checkpoints go: when a study has ended, when a probe has come, when a budget is passed, when a user says so.

States at which phases begin were saved for forks that might come (``hippo_core.engine.boundaries``). When the study has
ended, those that nobody has gone on from go, but for those on the paths of its best trials: who takes it up again
forks these first. Of a probe its values were wanted: its states go at once, unless somebody else has use for them.

A budget, of the storage or of a study, is looked at when checkpoints have come, and after what may have let some go.
Where it is passed, what is worth least goes (``hippo_core.retention``) until a tenth of it is free again; so that the
whole plan is looked at once for many that come. Where all that is left is needed, saves go on and the budget is passed:
it is looked at again after each hundredth of it that comes. What trials of several studies go through counts in the
budget of each, and none of these lets it go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hippo_core.byte_sizes import bytes_in_words
from hippo_core.engine.commands import CollectCheckpoints
from hippo_core.engine.decision import Budget, Decision
from hippo_core.engine.events import (
    CheckpointDropped,
    CheckpointPublished,
    CheckpointUnpinned,
    LeaseStateChanged,
    StudyChanged,
    StudyDeleted,
    StudyStateChanged,
)
from hippo_core.engine.holdings import Holding, Holdings, reach_of
from hippo_core.engine.lookup import find_study
from hippo_core.engine.probe_views import own_stretches
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import ENDED_STUDY_STATES
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.plan import Node
from hippo_core.retention import Held, Need, first_to_go

STORAGE = 0  #: among the budgets, which studies have by their numbers
FREE_SHARE = 10  #: one of so many parts of a budget is to be free after it was passed
LOOK_SHARE = 100  #: a budget that stays passed is looked at again after one of so many parts has come

_LETS_GO = (StudyStateChanged, StudyChanged, StudyDeleted, CheckpointUnpinned)


def let_boundaries_go(decision: Decision, study: Study) -> None:
    """Drops the states at phases' beginnings of a study that has ended, of which nobody has made anything."""
    if study.state not in ENDED_STUDY_STATES or not study.boundaries:
        return
    state = decision.state
    kept = [(number, step) for number, step in study.boundaries if state.nodes[number].checkpoints.get(step)]
    plans = sorted({state.nodes[number].plan for number, _ in kept})
    holdings = {plan: Holdings(state, state.plans[plan]) for plan in plans}
    for number, step in kept:
        node = state.nodes[number]
        if holdings[node.plan].need((number, step)) or _is_gone_on_from(state, node, step):
            continue
        for fence in list(node.checkpoints[step]):
            reason = f"study {study.name} has ended, and nobody went on from it"
            decision.emit(CheckpointDropped(node=number, step=step, fence=fence, reason=reason))


def let_probe_go(decision: Decision, study: Study, probes: Iterable[Trial]) -> None:
    """Drops the states of a probe that has come, and of its repeats, where nobody else's way leads or may come to."""
    state, every = decision.state, study.spec.checkpoint_every
    nodes = [node for probe in probes for node, _, _ in own_stretches(probe, probe.reached)]
    if study.spec.keep.all or not any(node.checkpoints and _is_alone(state, node) for node in nodes):
        return
    taken = {
        trial.reached_node.id
        for number in state.plans[study.plan].studies
        for trial in state.studies[number].all_members()
        if trial.reached_node is not None
    }
    taken.update(lease.start[0] for lease in state.leases.values() if lease.start is not None)
    for node in nodes:
        if node.id in taken or not _is_alone(state, node):
            continue
        kept = [(step, fence) for step, fences in node.checkpoints.items() for fence in fences]
        for step, fence in kept:
            asked_for = every is not None and step % every == 0  # later trials may part there
            if not asked_for and (node.id, step) not in state.pins:
                reason = "its probe has come"
                decision.emit(CheckpointDropped(node=node.id, step=step, fence=fence, reason=reason))


def _is_alone(state: EngineState, node: Node) -> bool:
    """Whether nobody waits for a node, or may go on in it, and nothing goes on from it."""
    return not (node.open or node.children or state.tree_of(node).is_noted(node))


def _is_gone_on_from(state: EngineState, node: Node, step: int) -> bool:
    """Whether trials have gone different ways from a state, or somebody waits for it."""
    ways = sum(start == step for start, _ in node.children) + (node.trained > step)
    return ways > 1 or step in node.requests or state.tree_of(node).starts_at(node.id, step)


# Budgets


def keep_within_budgets(decision: Decision) -> bool:
    """Lets checkpoints go where a budget is passed; to be called once everything else is decided.

    Returns:
        Whether any went.
    """
    before = len(decision.events)
    published = [event for event in decision.events if isinstance(event, CheckpointPublished)]
    state, volatile = decision.state, decision.volatile
    lets_go = volatile.look_at_budgets or any(
        isinstance(event, _LETS_GO) or (isinstance(event, LeaseStateChanged) and not state.leases)
        for event in decision.events
    )
    if not (published or lets_go):
        return False
    volatile.look_at_budgets = False
    plans = state.plans if lets_go else dict.fromkeys(state.nodes[event.node].plan for event in published)
    for plan in sorted(plans):
        came = sum(event.size_bytes for event in published if state.nodes[event.node].plan == plan)
        for number in list(state.plans[plan].studies):
            _keep_study(decision, state.studies[number], came, look=lets_go)
    limit = decision.settings.checkpoint_budget
    if limit is not None:
        storage = volatile.budgets.setdefault(STORAGE, Budget())
        storage.grown += sum(event.size_bytes for event in published)
        storage.used = state.kept_bytes
        if _is_due(storage, limit, look=lets_go):
            scope = of_storage(state)
            going = scope.first_to_go(limit - limit // FREE_SHARE)
            scope.let_go(decision, going, "the budget of the storage")
            _note(storage, scope, limit)
    return len(decision.events) > before


def _keep_study(decision: Decision, study: Study, came: int, *, look: bool) -> None:
    limit = study.spec.checkpoint_budget
    if limit is None:
        decision.volatile.budgets.pop(study.id, None)
        return
    budget = decision.volatile.budgets.setdefault(study.id, Budget())
    budget.grown += came
    if budget.used is not None:
        budget.used += came  # at most: what was saved in the plan may be another study's
    if _is_due(budget, limit, look=look):
        scope = of_study(decision.state, study)
        if scope.used > limit:
            reason = f"the budget of study {study.name}"
            scope.let_go(decision, scope.first_to_go(limit - limit // FREE_SHARE), reason)
        _note(budget, scope, limit)


def _is_due(budget: Budget, limit: int, *, look: bool) -> bool:
    if budget.used is not None and budget.used <= limit:
        budget.over = ""
        return False
    return budget.used is None or look or budget.grown >= max(limit, budget.used) // LOOK_SHARE


def _note(budget: Budget, scope: Scope, limit: int) -> None:
    budget.used, budget.grown = scope.used, 0
    budget.over = scope.in_words(limit) if scope.used > limit else ""


@dataclass(slots=True, kw_only=True, eq=False)
class Scope:
    """The checkpoints that a budget is for, or that a user lets go, and those beside them that they are compared with.

    Attributes:
        holdings: All of their plans', plan after plan.
        counts: Of each, whether it counts.
        free: Of each, whether it may go.
        offsets: By plan: the place of its first.
    """

    holdings: list[Holding]
    counts: list[bool]
    free: list[bool]
    offsets: dict[int, int]
    used: int  #: bytes of those that count

    def first_to_go(self, target_bytes: int, *, most: Need = Need.FORK) -> list[Holding]:
        """What is to go until no more than so many bytes count, in order; only what is needed no more than so."""
        held = [
            Held(
                ancestor=None if each.ancestor is None else each.ancestor + self.offsets[each.plan],
                seconds=each.seconds,
                size_bytes=each.size_bytes,
                need=each.need if free and each.need <= most else max(each.need, Need.KEPT),
            )
            for each, free in zip(self.holdings, self.free, strict=True)
        ]
        return [self.holdings[index] for index in first_to_go(held, self.used - target_bytes)]

    def let_go(self, decision: Decision, going: Iterable[Holding], reason: str) -> None:
        """Drops those."""
        for each in going:
            self.used -= each.size_bytes
            decision.emit(CheckpointDropped(node=each.node, step=each.step, fence=each.fence, reason=reason))

    def in_words(self, limit: int) -> str:
        """By how much the budget is passed, and what for; of what may not go."""
        sums: dict[str, int] = {}
        for each, counts, free in zip(self.holdings, self.counts, self.free, strict=True):
            if counts and not (free and each.need.may_go):
                why = _WHY_OVER[each.need] if not each.need.may_go else "shared with other studies"
                sums[why] = sums.get(why, 0) + each.size_bytes
        parts = ", ".join(f"{bytes_in_words(size)} {why}" for why, size in sums.items())
        return f"over budget: {bytes_in_words(self.used)} of {bytes_in_words(limit)}; {parts}"


_WHY_OVER = {
    Need.KEPT: "kept as keep= says",
    Need.WAITED: "needed by open requests",
    Need.PINNED: "pinned",
    Need.LEASED: "needed by running paths",
}


def of_storage(state: EngineState) -> Scope:
    """All checkpoints."""
    return _scope(state, state.plans.values(), lambda each: (True, True))


def of_project(state: EngineState, project: str) -> Scope:
    """Those of a project."""
    plans = [plan for plan in state.plans.values() if plan.project == project]
    return _scope(state, plans, lambda each: (True, True))


def of_study(state: EngineState, study: Study) -> Scope:
    """Those on the paths of a study's trials; what other studies' trials go through, too, is not its to let go."""
    plan = state.plans[study.plan]
    reach = reach_of(study)
    others = [reach_of(state.studies[number]) for number in plan.studies if number != study.id]

    def place(each: Holding) -> tuple[bool, bool]:
        counts = reach.get(each.node, 0) >= each.step
        return counts, counts and not any(other.get(each.node, 0) >= each.step for other in others)

    return _scope(state, [plan], place)


def _scope(
    state: EngineState, plans: Iterable[PlanState], place: Callable[[Holding], tuple[bool, bool]]
) -> Scope:
    holdings: list[Holding] = []
    offsets = {}
    for plan in plans:
        offsets[plan.id] = len(holdings)
        holdings += Holdings(state, plan).all
    placed = [place(each) for each in holdings]
    return Scope(
        holdings=holdings,
        counts=[counts for counts, _ in placed],
        free=[free for _, free in placed],
        offsets=offsets,
        used=sum(each.size_bytes for each, (counts, _) in zip(holdings, placed, strict=True) if counts),
    )


# Users


def collectable(state: EngineState, command: CollectCheckpoints) -> tuple[Scope, list[Holding]]:
    """What a user's word lets go, in order; what it is chosen from."""
    if command.name is None:
        scope = of_project(state, command.project)
    else:
        scope = of_study(state, find_study(state, command.project, command.name))
    if command.to_bytes is None:
        return scope, scope.first_to_go(-1, most=Need.BEST)
    return scope, scope.first_to_go(command.to_bytes)


def collect(decision: Decision, command: CollectCheckpoints) -> tuple[Holding, ...]:
    """Lets checkpoints go that nothing waits for; returns them."""
    scope, going = collectable(decision.state, command)
    scope.let_go(decision, going, "a user's word")
    return tuple(going)
