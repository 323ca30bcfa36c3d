"""Rows as events, in an order in which the engine can apply them: how an engine is rebuilt.

First what others refer to: plans, studies, nodes, workers. Then leases and what was trained. Last, for all studies
side by side, the trials and their requests in the order in which they came, which is how policies come to the
same state as before.

Of ended leases only their training is told: what they did is in nodes, metrics and checkpoints. Deleted studies
are told only where their numbers are the highest ever, so that no number is given twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from hippo_core.study import StudySpec

from hippo_core.engine import events as ev
from hippo_core.engine.states import (
    LIVE_LEASE_STATES,
    FailureClass,
    LeaseState,
    RequestState,
    StudyState,
    TrialState,
    WorkerState,
)
from hippo_server.store.database import Database

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812

Placed = tuple[int, ev.Event]

FETCH_ROWS = 5000

#: No event of a row is without a lease, but what a row no longer tells is of no consequence.
NO_FENCE = 0

LIVE = "('training', 'saving')"


class Loader:
    """Reads all rows, in one transaction that sees one state of the database.

    Args:
        connection: In a read-only transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursors = 0

    def events(self) -> Iterator[ev.Event]:
        """The rows as events."""
        yield from self._plans()
        yield from self._deleted_studies()
        yield from self._studies()
        yield from self._nodes()
        yield from self._last_fence()
        yield from self._workers_and_leases()
        yield from self._trained()
        yield from self._failures()
        yield from self._trials()
        yield from self._states()

    def _rows(self, statement: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement, some thousands at a time."""
        self._cursors += 1
        with self._connection.cursor(name=f"load_{self._cursors}") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute(statement, parameters or None)
            yield from cursor

    def _plans(self) -> Iterator[ev.Event]:
        for plan, project, program, environment in self._rows(
            "SELECT id, project, program, environment FROM plans ORDER BY id"
        ):
            yield ev.PlanCreated(plan=plan, project=project, program_key=program, environment=environment)

    def _deleted_studies(self) -> Iterator[ev.Event]:
        """The deleted study with the highest number, and the one with the highest sequence of a request."""
        for study, project, user, name, program, spec, plan, sequence in self._rows(
            """
            SELECT id, project, submitted_by, name, program, spec, plan, last_sequence FROM studies
            WHERE deleted_at IS NOT NULL
              AND (id = (SELECT max(id) FROM studies)
                   OR last_sequence > (SELECT coalesce(max(sequence), 0) FROM requests)
                      AND last_sequence = (SELECT max(last_sequence) FROM studies))
            ORDER BY id
            """
        ):
            yield ev.StudySubmitted(
                study=study, project=project, user=user, name=name, program_key=program, spec=spec
            )
            yield ev.StudyPlanned(study=study, plan=plan, bound=False)
            if sequence is not None:
                point = dict(StudySpec.from_json(spec).point(0))
                yield ev.TrialCreated(study=study, trial=0, assignment=point, max_steps=1)
                yield ev.RequestClosed(
                    sequence=sequence,
                    study=study,
                    trial=0,
                    step=1,
                    state=RequestState.CANCELLED,
                    reached=0,
                    value=None,
                )
            yield ev.StudyDeleted(study=study)

    def _studies(self) -> Iterator[ev.Event]:
        for study, project, user, name, program, spec in self._rows(
            """
            SELECT id, project, submitted_by, name, program, spec FROM studies
            WHERE deleted_at IS NULL ORDER BY id
            """
        ):
            yield ev.StudySubmitted(
                study=study, project=project, user=user, name=name, program_key=program, spec=spec
            )
        for study, plan, bound in self._rows(
            """
            SELECT id, plan, bound FROM studies
            WHERE deleted_at IS NULL AND plan IS NOT NULL ORDER BY planned
            """
        ):
            yield ev.StudyPlanned(study=study, plan=plan, bound=bound)

    def _nodes(self) -> Iterator[ev.Event]:
        for node, plan, parent, start, laws in self._rows(
            "SELECT id, plan, parent, start, laws FROM nodes ORDER BY id"
        ):
            yield ev.NodeCreated(node=node, plan=plan, parent=parent, start=start, laws=laws)

    def _last_fence(self) -> Iterator[ev.Event]:
        """The latest lease if it has ended, told before there are workers whose slots it might seem to hold."""
        for fence, state, reason in self._rows(
            "SELECT fence, state, reason FROM leases ORDER BY fence DESC LIMIT 1"
        ):
            if LeaseState(state) not in LIVE_LEASE_STATES:
                yield from self._grants(f"l.fence = {fence:d}")
                yield ev.LeaseStateChanged(fence=fence, state=LeaseState(state), reason=reason)

    def _workers_and_leases(self) -> Iterator[ev.Event]:
        """Workers, and the leases that stand. One of an earlier incarnation holds no slot, so it comes first."""
        foreign = "EXISTS (SELECT FROM workers w WHERE w.name = l.worker AND w.incarnation <> l.incarnation)"
        yield from self._leases(f"l.state IN {LIVE} AND {foreign}")
        slots: dict[str, list[dict[str, Any]]] = {}
        for worker, index, device, model, cpus, gpus in self._rows(
            "SELECT worker, slot, device, model, cpus, gpus FROM slots ORDER BY worker, slot"
        ):
            slots.setdefault(worker, []).append(
                {"index": index, "device": device, "model": model, "cpus": cpus, "gpus": gpus}
            )
        changed = []
        for worker, incarnation, host, environment, labels, state, reason in self._rows(
            """
            SELECT name, incarnation, host, environment, labels, state, reason
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
            if (state, reason) != (WorkerState.LIVE, ""):
                changed.append(ev.WorkerStateChanged(worker=worker, state=WorkerState(state), reason=reason))
        yield from self._leases(f"l.state IN {LIVE} AND NOT {foreign}")
        yield from changed

    def _leases(self, which: str) -> Iterator[ev.Event]:
        """Leases that stand, each with all that has happened in it."""
        for grant in list(self._grants(which)):
            yield grant
            yield from map(itemgetter(1), sorted(self._saves(grant.fence), key=itemgetter(0)))
            yield from self._trained_by(f"fence = {grant.fence:d}")
            for state, reason, report, stop_saves, stop_reason in self._rows(
                "SELECT state, reason, report, stop_saves, stop_reason FROM leases WHERE fence = %s",
                grant.fence,
            ):
                if report:
                    yield ev.ReportAccepted(fence=grant.fence, number=report)
                if stop_saves is not None:
                    yield ev.LeaseStopped(fence=grant.fence, save=stop_saves, reason=stop_reason)
                if (state, reason) != (LeaseState.TRAINING, ""):
                    yield ev.LeaseStateChanged(fence=grant.fence, state=LeaseState(state), reason=reason)

    def _grants(self, which: str) -> Iterator[ev.LeaseGranted]:
        for (
            fence,
            worker,
            incarnation,
            slot,
            plan,
            study,
            start_node,
            start_step,
            start_fence,
            in_memory,
            stages,
            save_points,
        ) in self._rows(
            f"""
            SELECT fence, worker, incarnation, slot, plan, study, start_node, start_step, start_fence, in_memory,
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
                stages=tuple((node, start, stop) for node, start, stop in stages),
                start=None if start_node is None else (start_node, start_step, start_fence),
                in_memory=in_memory,
                save_points=tuple((node, step) for node, step in save_points or ()),
            )

    def _saves(self, fence: int) -> Iterator[Placed]:
        """Offers, answers and publications of a lease, each with its place in the journal."""
        for node, step, asked, offered, answer, answered in self._rows(
            """
            SELECT node, step, asked, offered, answer, answered FROM save_points
            WHERE fence = %s ORDER BY asked, ordinal
            """,
            fence,
        ):
            if offered:
                yield asked, ev.SavePointOffered(fence=fence, node=node, step=step)
            if answer is not None:
                yield answered, ev.SavePointAnswered(fence=fence, node=node, step=step, will=answer == "will")
        yield from self._published(f"fence = {fence:d}")

    def _published(self, which: str) -> Iterator[Placed]:
        """Checkpoints; those that were lost or dropped too, since their files are still to be removed."""
        for node, step, fence, size_bytes, digest, state, reason, published in self._rows(
            f"""
            SELECT node, step, fence, size_bytes, digest, state, reason, published FROM checkpoints
            WHERE {which} ORDER BY published
            """
        ):
            yield (
                published,
                ev.CheckpointPublished(
                    fence=fence, node=node, step=step, size_bytes=size_bytes, digest=digest
                ),
            )
            if state == "lost":
                yield published, ev.CheckpointLost(node=node, step=step, fence=fence, reason=reason)
            elif state == "dropped":
                yield published, ev.CheckpointDropped(node=node, step=step, fence=fence)

    def _trained_by(self, which: str) -> Iterator[ev.Event]:
        for fence, node, start, trained, train_seconds, evaluate_seconds in self._rows(
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

    def _trained(self) -> Iterator[ev.Event]:
        """What was trained by leases that have ended, and all that was measured."""
        ended = f"fence IN (SELECT fence FROM leases WHERE state NOT IN {LIVE})"
        yield from self._trained_by(ended)
        yield from map(itemgetter(1), self._published(ended))
        for node, step, fence, metrics in self._rows(
            "SELECT node, step, fence, metrics FROM metrics ORDER BY node, step"
        ):
            yield ev.MetricsRecorded(fence=fence, node=node, step=step, metrics=metrics, training=None)
        for node, step, fence, training in self._rows(
            "SELECT node, step, fence, metrics FROM training_metrics ORDER BY node, step"
        ):
            yield ev.MetricsRecorded(fence=fence, node=node, step=step, metrics=None, training=training)
        for node, step in self._rows(
            "SELECT id, not_reproducible FROM nodes WHERE not_reproducible IS NOT NULL ORDER BY id"
        ):
            yield ev.NodeNotReproducible(fence=NO_FENCE, node=node, step=step)

    def _failures(self) -> Iterator[ev.Event]:
        for fence, node, step, failure, count, message, traceback in self._rows(
            """
            SELECT fence, node, step, failure, count, message, traceback FROM failures
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
            )

    def _trials(self) -> Iterator[ev.Event]:
        """Trials, their limits and their requests, all merged by their places in the journal."""
        streams = (self._created(), self._limited(), self._opened(), self._closed())
        yield from map(itemgetter(1), heapq.merge(*streams, key=itemgetter(0)))

    def _created(self) -> Iterator[Placed]:
        for created, study, trial, assignment, max_steps in self._rows(
            "SELECT created, study, number, assignment, first_max_steps FROM trials ORDER BY created"
        ):
            yield (
                created,
                ev.TrialCreated(study=study, trial=trial, assignment=assignment, max_steps=max_steps),
            )

    def _limited(self) -> Iterator[Placed]:
        for raised, study, trial, max_steps in self._rows(
            "SELECT raised, study, trial, max_steps FROM trial_limits ORDER BY raised"
        ):
            yield raised, ev.TrialLimited(study=study, trial=trial, max_steps=max_steps)

    def _opened(self) -> Iterator[Placed]:
        for opened, study, trial, step, node in self._rows(
            "SELECT opened, study, trial, step, node FROM requests ORDER BY opened"
        ):
            yield opened, ev.RequestOpened(study=study, trial=trial, step=step, node=node)

    def _closed(self) -> Iterator[Placed]:
        for closed, sequence, study, trial, step, state, reached, value in self._rows(
            """
            SELECT closed, sequence, study, trial, step, state, reached, value FROM requests
            WHERE sequence IS NOT NULL ORDER BY closed
            """
        ):
            yield (
                closed,
                ev.RequestClosed(
                    sequence=sequence,
                    study=study,
                    trial=trial,
                    step=step,
                    state=RequestState(state),
                    reached=reached,
                    value=value,
                ),
            )

    def _states(self) -> Iterator[ev.Event]:
        for study, trial, state, reason in self._rows(
            """
            SELECT study, number, state, reason FROM trials
            WHERE state <> 'waiting' OR reason <> '' ORDER BY study, number
            """
        ):
            yield ev.TrialStateChanged(study=study, trial=trial, state=TrialState(state), reason=reason)
        for study, state, reason, trained, retrained, seconds in self._rows(
            """
            SELECT id, state, reason, steps_trained, steps_retrained, seconds FROM studies
            WHERE deleted_at IS NULL ORDER BY id
            """
        ):
            if trained or seconds:
                yield ev.StudyCredited(
                    study=study, steps_trained=trained, steps_retrained=retrained, seconds=seconds
                )
            if (state, reason) != (StudyState.RUNNING, ""):
                yield ev.StudyStateChanged(study=study, state=StudyState(state), reason=reason)


def load(database: Database) -> Iterator[ev.Event]:
    """The rows of a database as events, as of one moment."""
    with database.transaction(snapshot=True) as cursor:
        # The engine works between fetches, and a large table takes a while to sort.
        cursor.execute(
            "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = '10min'"
        )
        yield from Loader(cursor.connection).events()
