"""What a worker's report means: steps and metrics are committed, checkpoints known, leases ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from hippo_core.billing import MICROSECONDS, divide
from hippo_core.engine.commands import (
    AnsweredReport,
    FailedReport,
    MetricsReport,
    PublishedReport,
    ReleasedReport,
    Report,
    ReportItem,
    Reports,
    SaveBlockedReport,
    SaveFailedReport,
    StepsReport,
    TrainedReport,
    UnusableReport,
)
from hippo_core.engine.courses import note_begun, note_progress, note_save
from hippo_core.engine.decision import Decision
from hippo_core.engine.endings import end_if_reached
from hippo_core.engine.events import (
    CheckpointDropped,
    CheckpointLost,
    CheckpointPublished,
    FailuresForgotten,
    LeaseBlocked,
    LeaseStateChanged,
    MetricsRecorded,
    NodeNotReproducible,
    ReportAccepted,
    SavePointAnswered,
    StepsTrained,
    StudyCredited,
)
from hippo_core.engine.failures import count_failure, fail_path, forget_if_passed
from hippo_core.engine.judging import is_attentive, judge_reported
from hippo_core.engine.requests import check_objectives, close_diverged, close_reached
from hippo_core.engine.state import Worker
from hippo_core.engine.states import FailureClass, LeaseState
from hippo_core.engine.turns import moves_on
from hippo_core.engine.workers import welcome_back
from hippo_core.errors import Stale, Unavailable
from hippo_core.lease import Lease, Promise, State
from hippo_core.plan import Metrics, Node

_FLOATS = {float}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """All reports of the lease up to this number are taken in; not ``fresh``: they were before."""

    fence: int
    number: int
    fresh: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What each of several reports came to: it was taken in, or refused alone.

    Attributes:
        taken: By report.
        upto: By report, how many of the decision's events there were after it.
    """

    taken: tuple[Accepted | Stale | Unavailable, ...]
    upto: tuple[int, ...]


def report_all(decision: Decision, command: Reports) -> Reported:
    """Takes reports in, in order."""
    taken: list[Accepted | Stale | Unavailable] = []
    upto: list[int] = []
    for each in command.reports:
        # Of the path that a slot goes on with, since what it ended with was reported just now.
        note_begun(decision)
        try:
            taken.append(report(decision, each))
        except (Stale, Unavailable) as error:
            taken.append(error)
        upto.append(len(decision.events))
    return Reported(taken=tuple(taken), upto=tuple(upto))


def report(decision: Decision, command: Report) -> Accepted:
    """Takes a report in, once; one that is refused changes nothing."""
    lease, worker = _reported(decision, command)
    if command.number > lease.report + 1:
        raise Unavailable(
            f"report {command.number} of lease {lease.fence} came after {lease.report}.",
            f"Send again from {lease.report + 1}.",
        )
    if lease.fence in decision.state.orphans:
        welcome_back(decision, worker)
    if command.number <= lease.report:
        return Accepted(fence=lease.fence, number=lease.report, fresh=False)
    decision.emit(ReportAccepted(fence=lease.fence, number=command.number))
    touched: dict[int, None] = {}
    evaluated: list[tuple[Node, int, Metrics]] = []
    first = lease.index == 0 and lease.step == lease.stages[0][1]
    spent = 0.0
    for item in command.items:
        _take(decision, lease, item, touched, evaluated)
        if isinstance(item, StepsReport):
            spent += item.train_seconds + item.evaluate_seconds
    if spent and lease.training:
        note_progress(decision, lease, spent, first=first)
    attentive = is_attentive(decision.state, lease.plan)
    complete: tuple[str, ...] = ()
    for node, step, metrics in evaluated:
        names = tuple(metrics)
        if names != complete and check_objectives(decision, node, step, metrics):
            complete = names
        if attentive:
            end_if_reached(decision, node, step)
            judge_reported(decision, node, step)
        if step in node.nonfinite:
            close_diverged(decision, node, step)
    for number in touched:
        judge_reported(decision, decision.state.nodes[number])
        close_reached(decision, decision.state.nodes[number], lease)
    for item in command.items:
        if type(item) is not MetricsReport:  # most are
            _end(decision, lease, item)
    for number, _, _ in lease.stages:
        close_reached(decision, decision.state.nodes[number], lease)
    return Accepted(fence=lease.fence, number=command.number)


def _reported(decision: Decision, command: Report) -> tuple[Lease, Worker]:
    """The lease that a report is of, which may be orphaned, and its worker."""
    state = decision.state
    lease = state.leases.get(command.fence) or state.orphans.get(command.fence)
    worker = state.workers.get(command.worker)
    if (
        lease is None
        or worker is None
        or lease.worker != command.worker
        or not lease.incarnation == worker.incarnation == command.incarnation
    ):
        raise Stale(f"the lease {command.fence} no longer stands.", "Its work is to be dropped.")
    return lease, worker


def _take(
    decision: Decision,
    lease: Lease,
    item: ReportItem,
    touched: dict[int, None],
    evaluated: list[tuple[Node, int, Metrics]],
) -> None:
    """Commits what was trained, measured and saved; what follows from it comes after the whole report."""
    nodes = decision.state.nodes
    match item:
        case StepsReport():
            touched[item.node] = None
            _take_steps(decision, lease, item)
        case MetricsReport():
            touched[item.node] = None
            metrics = _take_metrics(decision, lease, item)
            if metrics is not None:
                evaluated.append((nodes[item.node], item.step, metrics))
        case PublishedReport():
            touched[item.node] = None
            _take_checkpoint(decision, lease, item)
        case UnusableReport():
            take_unusable(decision, item)
        case AnsweredReport():
            _answer(decision, lease, item.node, item.step, will=item.will)
        case SaveFailedReport():
            _answer(decision, lease, item.node, item.step, will=False)
            failure = FailureClass.STORAGE if item.full else FailureClass.INFRASTRUCTURE
            count_failure(decision, lease, failure, item.node, item.step, item.reason, "")
        case SaveBlockedReport():
            if item.reason != lease.blocked:
                decision.emit(LeaseBlocked(fence=lease.fence, reason=item.reason))
        case TrainedReport() | FailedReport() | ReleasedReport():
            return
        case _:
            assert_never(item)


def take_unusable(decision: Decision, found: UnusableReport) -> None:
    """A checkpoint that is missing or corrupt no longer counts; one that has gone meanwhile did not."""
    node = decision.state.nodes.get(found.node)
    if node is not None and found.fence in node.checkpoints.get(found.step, {}):
        reason = f"{'missing' if found.missing else 'corrupt'}: {found.reason}"
        decision.emit(CheckpointLost(node=found.node, step=found.step, fence=found.fence, reason=reason))


def _answer(decision: Decision, lease: Lease, node: int, step: int, *, will: bool) -> None:
    """Notes whether a save will come; of a periodic one, that nobody asked for, there is nothing to note."""
    if (node, step) in lease.promises:
        decision.emit(SavePointAnswered(fence=lease.fence, node=node, step=step, will=will))


def _take_steps(decision: Decision, lease: Lease, item: StepsReport) -> None:
    node = decision.state.nodes[item.node]
    new = max(0, item.stop - max(node.trained, item.start))
    total = item.stop - item.start
    again = total - new
    furthest = node.furthest(item.stop)
    credits = _credits(decision, lease, furthest, item)
    bills = _bills(decision, lease, furthest, item)
    decision.emit(
        StepsTrained(
            fence=lease.fence,
            node=item.node,
            start=item.start,
            stop=item.stop,
            train_seconds=item.train_seconds,
            evaluate_seconds=item.evaluate_seconds,
        )
    )
    for study in sorted({*credits, *bills}):
        _credit(decision, lease, item, study, again, credits.get(study, 0), bills.get(study, 0))
    forget_if_passed(decision, node)


def _credits(decision: Decision, lease: Lease, furthest: dict[int, int], item: StepsReport) -> dict[int, int]:
    """How many of the steps each study had open; where none had, they count for the study of the lease."""
    found = {}
    for number in sorted(furthest):
        count = min(item.stop, furthest[number]) - item.start
        if count > 0:
            found[number] = count
    if not found and lease.study in decision.state.studies:
        found[lease.study] = item.stop - item.start
    return found


def _bills(decision: Decision, lease: Lease, furthest: dict[int, int], item: StepsReport) -> dict[int, int]:
    """What the steps cost each study, in microseconds of the slot."""
    return divide(
        round((item.train_seconds + item.evaluate_seconds) * MICROSECONDS),
        item.start,
        item.stop,
        furthest,
        {number: decision.state.studies[number].user for number in furthest},
        lease.study,
    )


def _credit(
    decision: Decision, lease: Lease, item: StepsReport, number: int, again: int, count: int, billed: int
) -> None:
    """Counts steps for a study, so many of which were trained ``again``, and bills its user and its project."""
    state, settings = decision.state, decision.settings
    study = state.studies.get(number)
    project = state.plans[lease.plan].project
    user = lease.user if study is None else study.user
    seconds = item.train_seconds + item.evaluate_seconds
    decision.emit(
        StudyCredited(
            study=number,
            project=project,
            user=user,
            steps_trained=count,
            steps_retrained=min(again, count),
            seconds=seconds * count / (item.stop - item.start),
            billed=billed,
            billed_gpus=billed * state.workers[lease.worker].slots[lease.slot].gpus,
            passed=moves_on(state, (project, user), billed, settings),
            project_passed=moves_on(state, (project, ""), billed, settings),
        )
    )


def _take_metrics(decision: Decision, lease: Lease, item: MetricsReport) -> Metrics | None:
    """Records metrics; gives those of an evaluation that was not known, None where it was, or is none."""
    node = decision.state.nodes[item.node]
    metrics, training = _finite(item.metrics), _finite(item.training)
    if item.evaluated and item.step in node.metrics:
        if node.metrics[item.step] != metrics and not node.not_reproducible:
            decision.emit(NodeNotReproducible(fence=lease.fence, node=item.node, step=item.step))
        return None
    if not item.evaluated and item.step in node.training:
        return None
    decision.emit(
        MetricsRecorded(
            fence=lease.fence,
            node=item.node,
            step=item.step,
            metrics=metrics if item.evaluated else None,
            training=training if training and item.step not in node.training else None,
        )
    )
    return metrics if item.evaluated else None


def _finite(metrics: Mapping[str, float]) -> Metrics:
    if not metrics:
        return {}
    told, names = [*metrics], sorted(metrics)
    found = [*metrics.values()]
    # As nearly always.
    if names == told and {*map(type, found)} == _FLOATS and all(map(math.isfinite, found)):
        return dict(metrics)
    values = [*map(float, map(metrics.__getitem__, names))]
    if all(map(math.isfinite, values)):
        return dict(zip(names, values, strict=True))
    return {name: value if math.isfinite(value) else None for name, value in zip(names, values, strict=True)}


def _take_checkpoint(decision: Decision, lease: Lease, item: PublishedReport) -> None:
    earlier = list(lease.extra_saves)
    if lease.blocked:
        decision.emit(LeaseBlocked(fence=lease.fence, reason=""))
    note_save(decision, lease, item.blocked_seconds)
    decision.emit(
        CheckpointPublished(
            fence=lease.fence,
            node=item.node,
            step=item.step,
            size_bytes=item.size_bytes,
            digest=item.digest,
        )
    )
    saved_in = decision.state.nodes[item.node]
    if saved_in.failures is not None and item.step > saved_in.failures.step:
        decision.emit(FailuresForgotten(node=item.node))
    _end_fullness(decision, lease.plan)
    tree = decision.state.plans[lease.plan].tree
    study = decision.state.studies.get(lease.study)
    every = study.spec.checkpoint_every if study is not None else None
    for number, step in earlier:
        if (number, step) == (item.node, item.step):
            continue
        if every is not None and step % every == 0:
            continue  # its user asked for it: later trials may part there
        if (number, step) in decision.state.pins or _keeps_all(decision, number):
            continue
        node = decision.state.nodes[number]
        kept = node.checkpoints.get(step, {})
        if lease.fence not in kept or step in node.requests or tree.starts_at(number, step):
            continue
        if _is_to_be_loaded(decision, (number, step)):
            continue
        reason = "its path has saved again"
        decision.emit(CheckpointDropped(node=number, step=step, fence=lease.fence, reason=reason))


def _is_to_be_loaded(decision: Decision, state: State) -> bool:
    """Whether a path begins at a state."""
    leases = decision.state.leases.values()
    return any(lease.start is not None and lease.start[:2] == state for lease in leases)


def _keeps_all(decision: Decision, number: int) -> bool:
    """Whether a study that waits for steps of a node keeps all states."""
    return any(decision.state.studies[study].spec.keep.all for study in decision.state.nodes[number].open)


def _end_fullness(decision: Decision, number: int) -> None:
    """A state was saved: there is space again for those of the plan."""
    if decision.volatile.full.pop(number, None) is None:
        return
    decision.volatile.held.pop(number, None)
    for node in decision.state.plans[number].plan.nodes:
        if node.failures is not None and node.failures.counts.keys() == {FailureClass.STORAGE.value}:
            decision.emit(FailuresForgotten(node=node.id))


def _end(decision: Decision, lease: Lease, item: ReportItem) -> None:
    """Moves the lease on where the item ends its training, or the last of its saves has come."""
    match item:
        case MetricsReport() | StepsReport() | UnusableReport() | SaveBlockedReport():
            return
        case TrainedReport():
            _pass_unanswered(decision, lease)
            state = LeaseState.SAVING if lease.pending() else LeaseState.COMPLETED
            _change(decision, lease, state, "")
        case FailedReport():
            _change(decision, lease, LeaseState.FAILED, item.message)
            fail_path(decision, lease, item)
        case ReleasedReport():
            _change(decision, lease, LeaseState.RELEASED, item.reason)
        case PublishedReport() | SaveFailedReport() | AnsweredReport():
            if lease.state is LeaseState.SAVING and not lease.pending():
                _change(decision, lease, LeaseState.COMPLETED, "")
        case _:
            assert_never(item)


def _pass_unanswered(decision: Decision, lease: Lease) -> None:
    """An offer that a path has not answered by its end came too late for it."""
    for (node, step), promise in list(lease.promises.items()):
        if promise is Promise.OFFERED:
            decision.emit(SavePointAnswered(fence=lease.fence, node=node, step=step, will=False))


def _change(decision: Decision, lease: Lease, state: LeaseState, reason: str) -> None:
    if lease.live:
        decision.emit(LeaseStateChanged(fence=lease.fence, state=state, reason=reason))


__all__ = ["Accepted", "Reported", "report", "report_all"]
