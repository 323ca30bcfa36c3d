"""What people see of checkpoints: which are kept and why, and how budgets are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hippo_core.engine.commands import CollectCheckpoints
from hippo_core.engine.engine import Engine
from hippo_core.engine.holdings import Holding
from hippo_core.engine.lookup import find_study
from hippo_core.engine.retention import STORAGE, collectable, of_study
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.repeats import trial_of
from hippo_core.retention import Need

#: So many trials that go through a state are named.
MOST_TRIALS = 8

REASONS = {
    Need.NOBODY: "nobody is known to need it",
    Need.END: "a trial ended there",
    Need.BEST: "on the way of a best trial",
    Need.FORK: "trials may go on from it",
    Need.KEPT: "keep= says so",
    Need.WAITED: "an open request goes on from it",
    Need.PINNED: "pinned",
    Need.LEASED: "a running path started from it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptView:
    """A checkpoint that is kept; ``steps`` and ``seconds`` are what training it again would take."""

    node: int
    step: int
    fence: int
    size_bytes: int
    need: str
    reason: str
    steps: int
    seconds: float
    trials: tuple[int, ...]
    trial_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """How a budget is used; ``over`` says by how much it is passed and what for."""

    used_bytes: int
    limit_bytes: int | None
    over: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointsView:
    """The checkpoints on the paths of a study's trials."""

    checkpoints: tuple[KeptView, ...]
    study: BudgetView
    storage: BudgetView


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedView:
    """What a user's word lets go, in order."""

    checkpoints: tuple[KeptView, ...]
    size_bytes: int


def kept_checkpoints(engine: Engine, project: str, name: str) -> CheckpointsView:
    """All checkpoints of a study, by node, step and fence."""
    state = engine.state
    study = find_study(state, project, name)
    scope = of_study(state, study)
    counting = [each for each, counts in zip(scope.holdings, scope.counts, strict=True) if counts]
    limit = study.spec.checkpoint_budget
    return CheckpointsView(
        checkpoints=tuple(_views(state, sorted(counting, key=lambda each: each.place), study)),
        study=BudgetView(used_bytes=scope.used, limit_bytes=limit, over=over_budget(engine, study.id)),
        storage=BudgetView(
            used_bytes=state.kept_bytes,
            limit_bytes=engine.settings.checkpoint_budget,
            over=over_budget(engine, STORAGE),
        ),
    )


def collected(state: EngineState, command: CollectCheckpoints) -> CollectedView:
    """What would go."""
    return collected_view(state, command, collectable(state, command)[1])


def collected_view(
    state: EngineState, command: CollectCheckpoints, going: Iterable[Holding]
) -> CollectedView:
    """What goes, as it was."""
    study = None if command.name is None else find_study(state, command.project, command.name)
    found = tuple(_views(state, going, study))
    return CollectedView(checkpoints=found, size_bytes=sum(each.size_bytes for each in found))


def over_budget(engine: Engine, number: int) -> str:
    """By how much the budget of a study, or of the storage, is passed; empty: it is not, or there is none."""
    found = engine.volatile.budgets.get(number)
    return "" if found is None else found.over


def _views(state: EngineState, holdings: Iterable[Holding], study: Study | None) -> Iterator[KeptView]:
    through = {} if study is None else _through(study)
    for each in holdings:
        trials = {number: None for number, step in through.get(each.node, ()) if step >= each.step}
        yield KeptView(
            node=each.node,
            step=each.step,
            fence=each.fence,
            size_bytes=each.size_bytes,
            need=each.need.name.lower(),
            reason=_reason(state, each),
            steps=each.steps,
            seconds=each.seconds,
            trials=tuple(sorted(trials)[:MOST_TRIALS]),
            trial_count=len(trials),
        )


def _reason(state: EngineState, each: Holding) -> str:
    copies = state.nodes[each.node].checkpoints.get(each.step, {})
    is_copy = each.need is Need.NOBODY and any(fence > each.fence for fence in copies)
    return "another copy is there" if is_copy else REASONS[each.need]


def _through(study: Study) -> dict[int, list[tuple[int, int]]]:
    """By node: the trials that go there, and up to which step."""
    found: dict[int, list[tuple[int, int]]] = {}
    for trial in study.branches():
        step = max(trial.target or 0, trial.reached)
        for node in () if trial.leaf is None else trial.leaf.ancestry():
            found.setdefault(node.id, []).append((trial_of(trial.number), step))
            step = min(step, node.start)
    return found
