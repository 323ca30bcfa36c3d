"""Workers, their leases, and what those have trained, as events; see ``load``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from hippo_core.engine import events as ev
from hippo_core.engine.known import Known, Results, Saved
from hippo_core.engine.states import STANDING_LEASE_STATES, FailureClass, LeaseState, WorkerState
from hippo_core.series import Series
from hippo_server.store.database import Rows

#: A row that does not say in which lease it came to be; nothing follows from it.
NO_FENCE = 0

STANDING = "('training', 'saving', 'orphaned')"


def last_fence(rows: Rows) -> Iterator[ev.Event]:
    """The latest lease if it has ended, told before there are workers whose slots it might seem to hold; and what has
    been skipped.
    """
    for (skipped,) in rows("SELECT skipped_fences FROM identity WHERE skipped_fences > 0"):
        yield ev.FencesSkipped(fence=skipped)
    for fence, state, reason in rows("SELECT fence, state, reason FROM leases ORDER BY fence DESC LIMIT 1"):
        if LeaseState(state) not in STANDING_LEASE_STATES:
            yield from _grants(rows, f"l.fence = {fence:d}")
            if LeaseState(state) is LeaseState.EXPIRED:
                yield ev.LeaseStateChanged(fence=fence, state=LeaseState.ORPHANED, reason=reason)
            yield ev.LeaseStateChanged(fence=fence, state=LeaseState(state), reason=reason)


def workers_and_leases(rows: Rows) -> Iterator[ev.Event]:
    """Workers, and the leases that stand. One of an earlier incarnation holds no slot, so it comes first."""
    foreign = "EXISTS (SELECT FROM workers w WHERE w.name = l.worker AND w.incarnation <> l.incarnation)"
    yield from _leases(rows, f"l.state IN {STANDING} AND {foreign}")
    slots: dict[str, list[dict[str, Any]]] = {}
    cordoned: dict[str, list[ev.SlotCordoned]] = {}
    for worker, index, device, model, cpus, gpus, why, by_user in rows(
        """
        SELECT worker, slot, device, model, cpus, gpus, cordoned, cordoned_by_user FROM slots
        ORDER BY worker, slot
        """
    ):
        if why:
            cordoned.setdefault(worker, []).append(
                ev.SlotCordoned(worker=worker, slot=index, reason=why, by_user=by_user)
            )
        slots.setdefault(worker, []).append(
            {"index": index, "device": device, "model": model, "cpus": cpus, "gpus": gpus}
        )
    changed = []
    for worker, incarnation, host, environment, labels, state, reason, blocked in rows(
        """
        SELECT name, incarnation, host, environment, labels, state, reason, blocked
        FROM workers ORDER BY registered
        """
    ):
        yield ev.WorkerRegistered(
            worker=worker,
            incarnation=incarnation,
            host=host,
            slots=tuple(slots.get(worker, ())),
            environment=environment,
            labels=labels,
        )
        yield from cordoned.get(worker, ())
        if blocked:
            yield ev.WorkerBlocked(worker=worker, reason=blocked)
        if (state, reason) != (WorkerState.LIVE, ""):
            changed.append(ev.WorkerStateChanged(worker=worker, state=WorkerState(state), reason=reason))
    yield from _leases(rows, f"l.state IN {STANDING} AND NOT {foreign}")
    yield from changed


def _leases(rows: Rows, which: str) -> Iterator[ev.Event]:
    """Leases, each with all that has happened in it."""
    granted = list(_grants(rows, which))
    theirs = f"fence IN (SELECT fence FROM leases l WHERE {which})"
    happened: dict[int, list[ev.Event]] = {each.fence: [] for each in granted}
    for _, saved in sorted(_saves(rows, theirs), key=itemgetter(0)):
        happened[saved.fence].append(saved)
    for each in _trained_by(rows, theirs):
        happened[each.fence].append(each)
    for fence, state, reason, report, blocked, stop_saves, stop_reason in rows(
        f"SELECT fence, state, reason, report, blocked, stop_saves, stop_reason FROM leases l WHERE {which}"
    ):
        if report:
            happened[fence].append(ev.ReportAccepted(fence=fence, number=report))
        if blocked:
            happened[fence].append(ev.LeaseBlocked(fence=fence, reason=blocked))
        if stop_saves is not None:
            happened[fence].append(ev.LeaseStopped(fence=fence, save=stop_saves, reason=stop_reason))
        if (state, reason) != (LeaseState.TRAINING, ""):
            happened[fence].append(ev.LeaseStateChanged(fence=fence, state=LeaseState(state), reason=reason))
    for lease in granted:
        yield lease
        yield from happened[lease.fence]


def _grants(rows: Rows, which: str) -> Iterator[ev.LeaseGranted]:
    for (
        fence,
        worker,
        incarnation,
        slot,
        plan,
        study,
        user,
        start_node,
        start_step,
        start_fence,
        in_memory,
        stages,
        save_points,
    ) in rows(
        f"""
        SELECT fence, coalesce(worker, ''), incarnation, slot, plan, study,
               (SELECT submitted_by FROM studies WHERE id = study), start_node, start_step, start_fence, in_memory,
               (SELECT json_agg(json_build_array(s.node, s.start, s.stop) ORDER BY s.ordinal)
                FROM lease_stages s WHERE s.fence = l.fence),
               (SELECT json_agg(json_build_array(p.node, p.step) ORDER BY p.ordinal)
                FROM save_points p WHERE p.fence = l.fence AND NOT p.offered)
        FROM leases l WHERE {which} ORDER BY fence
        """
    ):
        yield ev.LeaseGranted(
            fence=fence,
            worker=worker,
            incarnation=incarnation,
            slot=slot,
            plan=plan,
            study=study,
            user=user,
            stages=tuple((node, start, stop) for node, start, stop in stages),
            start=None if start_node is None else (start_node, start_step, start_fence),
            in_memory=in_memory,
            save_points=tuple((node, step) for node, step in save_points or ()),
        )


SaveEvent = (
    ev.SavePointOffered
    | ev.SavePointAnswered
    | ev.CheckpointPublished
    | ev.CheckpointLost
    | ev.CheckpointDropped
)


def _saves(rows: Rows, which: str) -> Iterator[tuple[int, SaveEvent]]:
    """Offers, answers and publications of leases, each with its place in the journal."""
    for fence, node, step, asked, offered, answer, answered in rows(
        f"""
        SELECT fence, node, step, asked, offered, answer, answered FROM save_points
        WHERE {which} ORDER BY asked, ordinal
        """
    ):
        if offered:
            yield asked, ev.SavePointOffered(fence=fence, node=node, step=step)
        if answer is not None:
            yield answered, ev.SavePointAnswered(fence=fence, node=node, step=step, will=answer == "will")
    yield from _published(rows, which)


def _published(rows: Rows, which: str) -> Iterator[tuple[int, SaveEvent]]:
    """Checkpoints; those that were lost or dropped too, since their files are still to be removed."""
    for node, step, fence, size_bytes, digest, state, reason, published in rows(
        f"""
        SELECT node, step, fence, size_bytes, digest, state, reason, published FROM checkpoints
        WHERE {which} ORDER BY published
        """
    ):
        yield (
            published,
            ev.CheckpointPublished(fence=fence, node=node, step=step, size_bytes=size_bytes, digest=digest),
        )
        if state == "lost":
            yield published, ev.CheckpointLost(node=node, step=step, fence=fence, reason=reason)
        elif state == "dropped":
            yield published, ev.CheckpointDropped(node=node, step=step, fence=fence, reason=reason)


def _trained_by(rows: Rows, which: str) -> Iterator[ev.StepsTrained]:
    for fence, node, start, trained, train_seconds, evaluate_seconds in rows(
        f"""
        SELECT fence, node, start, trained, train_seconds, evaluate_seconds FROM lease_stages
        WHERE trained > start AND {which} ORDER BY fence, ordinal
        """
    ):
        yield ev.StepsTrained(
            fence=fence,
            node=node,
            start=start,
            stop=trained,
            train_seconds=train_seconds,
            evaluate_seconds=evaluate_seconds,
        )


def trained(rows: Rows) -> Iterator[Known]:
    """What was trained by leases that have ended, and all that was measured."""
    ended = f"fence IN (SELECT fence FROM leases WHERE state NOT IN {STANDING})"
    yield from _results(rows, ended)
    yield from _saved(rows, ended)
    yield from _not_reproducible(rows, "true")


def results(rows: Rows, nodes: Iterable[int]) -> Iterator[ev.Event]:
    """What was trained of nodes, whoever has and may still, what is kept of it, and all that was measured."""
    which, themselves = among("node", nodes), among("id", nodes)
    yield from _trained_by(rows, which)
    yield from map(itemgetter(1), _published(rows, f"state = 'kept' AND {which}"))
    yield from _measured(rows, which, themselves)


def among(column: str, numbers: Iterable[int]) -> str:
    """The condition that a column holds one of some numbers."""
    return f"{column} = ANY(ARRAY[{','.join(f'{number:d}' for number in numbers)}]::bigint[])"


def _measured(rows: Rows, which: str, nodes: str) -> Iterator[ev.Event]:
    for node, step, fence, metrics in rows(
        f"SELECT node, step, fence, metrics FROM metrics WHERE {which} ORDER BY node, step"
    ):
        yield ev.MetricsRecorded(fence=fence, node=node, step=step, metrics=metrics, training=None)
    for node, step, fence, training in rows(
        f"SELECT node, step, fence, metrics FROM training_metrics WHERE {which} ORDER BY node, step"
    ):
        yield ev.MetricsRecorded(fence=fence, node=node, step=step, metrics=None, training=training)
    yield from _not_reproducible(rows, nodes)


def _results(rows: Rows, ended: str) -> Iterator[Results]:
    """What was trained and measured, by node: PostgreSQL puts the rows of each together, metrics as one text.

    Metrics are many. They come in the order of their index, so that the first nodes' are read while PostgreSQL puts
    those of the next together.
    """
    together = (
        "SELECT node, '[' || string_agg(step::text, ',' ORDER BY step) || ',' "
        "|| string_agg(metrics::text, ',' ORDER BY step) || ']' FROM {} GROUP BY node ORDER BY node"
    )
    training = {node: Series.unread(text) for node, text in rows(together.format("training_metrics"))}
    took = {
        node: (trained, steps, seconds)
        for node, trained, steps, seconds in rows(
            f"""
            SELECT node, max(trained), sum(trained - start)::bigint,
                   sum(train_seconds + evaluate_seconds ORDER BY fence, ordinal)
            FROM lease_stages WHERE trained > start AND {ended} GROUP BY node
            """
        )
    }
    for node, text in rows(together.format("metrics")):
        yield Results(node, Series.unread(text), training.pop(node, Series()), *took.pop(node, ()))
    for node in sorted({*training, *took}):
        yield Results(node, Series(), training.get(node, Series()), *took.get(node, ()))


def _saved(rows: Rows, which: str) -> Iterator[Saved]:
    for node, step, fence, size_bytes, digest, kept in rows(
        f"""
        SELECT node, step, fence, size_bytes, digest, state = 'kept' FROM checkpoints
        WHERE {which} ORDER BY published
        """
    ):
        yield Saved(node, step, fence, size_bytes, digest, kept)


def _not_reproducible(rows: Rows, nodes: str) -> Iterator[ev.Event]:
    for node, step in rows(
        f"SELECT id, not_reproducible FROM nodes WHERE not_reproducible IS NOT NULL AND {nodes} ORDER BY id"
    ):
        yield ev.NodeNotReproducible(fence=NO_FENCE, node=node, step=step)


def failures(rows: Rows) -> Iterator[ev.Event]:
    """The failures that count still."""
    for fence, node, step, failure, count, message, traceback, died in rows(
        """
        SELECT fence, node, step, failure, count, message, traceback, died FROM failures
        WHERE NOT forgotten ORDER BY id
        """
    ):
        yield ev.PathFailed(
            fence=fence,
            node=node,
            step=step,
            failure=FailureClass(failure),
            count=count,
            message=message,
            traceback=traceback,
            died=died,
        )
