"""Rows as events, in an order in which the engine can apply them: how an engine is rebuilt.

First what others refer to: plans, studies as they were submitted, nodes, workers. Then leases and what was trained.
Last, for all studies side by side, how they were changed, the trials and their requests in the order in which they
came, which is how policies come to the same state as before.

Of ended leases only their training is told: what they did is in nodes, metrics and checkpoints. Deleted studies
are told only where their numbers are the highest ever, so that no number is given twice.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Generator, Iterator
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from hippo_core.engine import events as ev
from hippo_core.engine.journal import from_json
from hippo_core.engine.known import Created, Known, Nodes, Opened
from hippo_core.engine.states import RequestState, StudyState, TrialState
from hippo_core.errors import Conflict
from hippo_core.sequence import Laws
from hippo_core.study import StudySpec
from hippo_server.store.database import Database, Rows
from hippo_server.store.load_leases import among, failures, last_fence, results, trained, workers_and_leases

T = TypeVar("T")
Placed = tuple[int, ev.Event | Created | Opened]

#: How many nodes are told at once.
BATCH = 2048

#: None that there is: of what is told of an account alone.
NO_STUDY = 0

#: Which rows are meant where nothing else is said.
ALL = "true"


def load(database: Database) -> Generator[Known, None, None]:
    """The rows of a database as events, as of one moment."""
    with database.reading() as rows:
        yield from _accounts(rows)
        yield from _plans(rows)
        yield from _deleted_studies(rows)
        yield from _studies(rows)
        yield from map(Nodes, _batched(_nodes(rows)))
        yield from last_fence(rows)
        yield from workers_and_leases(rows)
        yield from trained(rows)
        yield from failures(rows)
        yield from _pins(rows)
        yield from _trials(rows)
        yield from _proposals(rows)
        yield from _policies(rows)
        yield from _bills(rows)
        yield from _states(rows)
        yield from _endings(rows)


def load_study(database: Database, study: int) -> Iterator[ev.Event]:
    """The rows of one study, and of what was trained on the paths of its trials, as of one moment.

    In the order of ``load``. Of checkpoints those that are kept; nothing of leases, workers and failures.

    Raises:
        Conflict: Its trials were trained in several environments.
    """
    one, its = f"id = {study:d}", f"study = {study:d}"
    with database.reading() as rows:
        found = [
            node
            for (node,) in rows(
                f"""
                WITH RECURSIVE path AS (
                    SELECT node FROM requests WHERE {its}
                    UNION
                    SELECT parent FROM nodes JOIN path ON nodes.id = path.node WHERE parent IS NOT NULL
                )
                SELECT node FROM path ORDER BY node
                """
            )
        ]
        nodes = among("id", found)
        plans = list(rows(f"SELECT plan FROM studies WHERE {one} UNION SELECT plan FROM nodes WHERE {nodes}"))
        if len(plans) != 1:
            raise Conflict(
                "the study's trials were trained in several environments, and do not fit into one archive.",
                "Export its results without --archive.",
            )
        yield from _plans(rows, f"id = {plans[0][0]:d}")
        yield from _studies(rows, one)
        for node, plan, parent, start, laws in _nodes(rows, nodes):
            yield ev.NodeCreated(node=node, plan=plan, parent=parent, start=start, laws=laws)
        yield from results(rows, found)
        yield from _pins(rows, f"{its} AND {among('node', found)}")
        for each in _trials(rows, its):
            yield _as_event(each)
        yield from _proposals(rows, its)
        yield from _policies(rows, its)
        yield from _states(rows, its, one)
        yield from _endings(rows, one)


def _accounts(rows: Rows) -> Iterator[ev.Event]:
    for project, user, allowance in rows(
        "SELECT project, name, allowance FROM accounts ORDER BY project, name"
    ):
        yield ev.AccountOpened(project=project, user=user)
        yield ev.AccountChanged(project=project, user=user, allowance=allowance)


def _bills(rows: Rows) -> Iterator[ev.Event]:
    """What studies were billed, then of each user what it was billed for deleted ones; and whose turn it is."""
    for study, project, user, billed, billed_gpus in rows(
        """
        SELECT study, project, submitted_by, sum(slot_microseconds)::bigint, sum(gpu_microseconds)::bigint
        FROM bills JOIN studies ON studies.id = study
        WHERE deleted_at IS NULL GROUP BY study, project, submitted_by ORDER BY study
        """
    ):
        yield _credited(study, project, user, billed=billed, billed_gpus=billed_gpus)
    for project, user, billed, billed_gpus, passed in rows(
        """
        SELECT a.project, name, billed - coalesce(slots, 0), billed_gpus - coalesce(gpus, 0), passed
        FROM accounts a LEFT JOIN (
            SELECT project, submitted_by, sum(slot_microseconds)::bigint slots, sum(gpu_microseconds)::bigint gpus
            FROM bills JOIN studies ON studies.id = study
            WHERE deleted_at IS NULL GROUP BY project, submitted_by
        ) told ON told.project = a.project AND submitted_by = name
        ORDER BY project, name
        """
    ):
        if user:
            yield _credited(NO_STUDY, project, user, billed=billed, billed_gpus=billed_gpus, passed=passed)
        elif passed:
            yield _credited(NO_STUDY, project, user, project_passed=passed)


def _credited(study: int, project: str, user: str, **columns: Any) -> ev.StudyCredited:
    nothing = dict.fromkeys(
        ("steps_trained", "steps_retrained", "billed", "billed_gpus", "passed", "project_passed"), 0
    )
    return ev.StudyCredited(
        **{"study": study, "project": project, "user": user, "seconds": 0.0, **nothing, **columns}
    )


def _plans(rows: Rows, which: str = ALL) -> Iterator[ev.Event]:
    for plan, project, program, environment in rows(
        f"SELECT id, project, program, environment FROM plans WHERE {which} ORDER BY id"
    ):
        yield ev.PlanCreated(plan=plan, project=project, program_key=program, environment=environment)


def _deleted_studies(rows: Rows) -> Iterator[ev.Event]:
    """The deleted study with the highest number, and the one with the highest sequence of a request."""
    for study, project, user, name, program, spec, plan, sequence in rows(
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
            read = StudySpec.from_json(spec)
            point = dict(read.trials_of(read.point(0))[0])
            max_steps = read.max_steps_of(point)
            yield ev.TrialCreated(study=study, trial=0, assignment=point, max_steps=max_steps)
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


def _studies(rows: Rows, which: str = ALL) -> Iterator[ev.Event]:
    for study, project, user, name, program, spec in rows(
        f"""
        SELECT DISTINCT ON (id) id, project, submitted_by, name, program, study_specs.spec
        FROM studies JOIN study_specs ON study_specs.study = id
        WHERE deleted_at IS NULL AND {which} ORDER BY id, since
        """
    ):
        yield ev.StudySubmitted(
            study=study, project=project, user=user, name=name, program_key=program, spec=spec
        )
    for study, plan, bound in rows(
        f"""
        SELECT id, plan, bound FROM studies
        WHERE deleted_at IS NULL AND plan IS NOT NULL AND {which} ORDER BY planned
        """
    ):
        yield ev.StudyPlanned(study=study, plan=plan, bound=bound)


def _nodes(rows: Rows, which: str = ALL) -> Iterator[tuple[int, int, int | None, int, Laws]]:
    known: dict[str, Laws] = {}  # many nodes have the same
    for node, plan, parent, start, text in rows(
        f"SELECT id, plan, parent, start, laws::text FROM nodes WHERE {which} ORDER BY id"
    ):
        laws = known.get(text)
        if laws is None:
            laws = known[text] = Laws.from_json(json.loads(text))
        yield node, plan, parent, start, laws


def _batched(found: Iterator[T]) -> Iterator[tuple[T, ...]]:
    """So many of what is found at once."""
    while batch := tuple(islice(found, BATCH)):
        yield batch


def _pins(rows: Rows, which: str = ALL) -> Iterator[ev.Event]:
    for study, node, step in rows(
        f"SELECT study, node, step FROM pins WHERE pinned AND {which} ORDER BY study, node, step"
    ):
        yield ev.CheckpointPinned(study=study, node=node, step=step)


def _as_event(known: ev.Event | Created | Opened) -> ev.Event:
    match known:
        case Created():
            return ev.TrialCreated(**known._asdict())
        case Opened(study, trial, step, node, by_user):
            return ev.RequestOpened(study=study, trial=trial, step=step, node=node, by_user=by_user)
        case _:
            return known


def _trials(rows: Rows, which: str = ALL) -> Iterator[ev.Event | Created | Opened]:
    """Changes of studies, trials, limits, users' stops and requests, all merged by their places in the journal."""
    kinds = (_changed, _created, _limited, _stopped, _opened, _closed)
    streams = [kind(rows, which) for kind in kinds]
    yield from map(itemgetter(1), heapq.merge(*streams, key=itemgetter(0)))


def _changed(rows: Rows, which: str) -> Iterator[Placed]:
    for since, study, spec, differences in rows(
        f"""
        SELECT since, study, spec, differences FROM study_specs later
        WHERE EXISTS (SELECT FROM study_specs s WHERE s.study = later.study AND s.since < later.since) AND {which}
        ORDER BY since
        """
    ):
        yield since, ev.StudyChanged(study=study, spec=spec, differences=tuple(differences))


def _created(rows: Rows, which: str) -> Iterator[Placed]:
    found = rows(
        f"""
        SELECT created, study, number, assignment::text, first_max_steps, notes::text, fork, enqueued
        FROM trials WHERE {which} ORDER BY created
        """
    )
    for batch in _batched(found):
        assignments, notes = (_parsed([row[column] for row in batch]) for column in (3, 5))
        for (created, study, trial, _, max_steps, _, fork, enqueued), assignment, noted in zip(
            batch, assignments, notes, strict=True
        ):
            yield created, Created(study, trial, assignment, max_steps, noted, fork, enqueued)


def _parsed(texts: list[str]) -> list[Any]:
    """What JSON texts tell, which is read a few times as fast together."""
    return json.loads(f"[{','.join(texts)}]")  # type: ignore[no-any-return]


def _limited(rows: Rows, which: str) -> Iterator[Placed]:
    for raised, study, trial, max_steps in rows(
        f"SELECT raised, study, trial, max_steps FROM trial_limits WHERE {which} ORDER BY raised"
    ):
        yield raised, ev.TrialLimited(study=study, trial=trial, max_steps=max_steps)


def _stopped(rows: Rows, which: str) -> Iterator[Placed]:
    for stopped, study, trial in rows(
        f"SELECT stopped, study, trial FROM trial_stops WHERE {which} ORDER BY stopped"
    ):
        yield stopped, ev.TrialStopped(study=study, trial=trial)


def _opened(rows: Rows, which: str) -> Iterator[Placed]:
    for opened, study, trial, step, node, by_user, waits in rows(
        f"""
        SELECT opened, study, trial, step, node, by_user, closed IS NULL FROM requests
        WHERE {which} ORDER BY opened
        """
    ):
        yield opened, Opened(study, trial, step, node, by_user, waits)


def _closed(rows: Rows, which: str) -> Iterator[Placed]:
    for closed, sequence, study, trial, step, state, reached, value in rows(
        f"""
        SELECT closed, sequence, study, trial, step, state, reached, value FROM requests
        WHERE sequence IS NOT NULL AND {which} ORDER BY closed
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


def _proposals(rows: Rows, which: str = ALL) -> Iterator[ev.Event]:
    """The points that are still waited for."""
    for study, trial, sequence, pending, max_steps, failed, reason in rows(
        f"""
        SELECT study, trial, sequence, pending, max_steps, failures, reason FROM proposals p
        WHERE NOT EXISTS (SELECT FROM trials t WHERE t.study = p.study AND t.number = p.trial) AND {which}
        ORDER BY study
        """
    ):
        yield ev.ProposalWanted(
            study=study, trial=trial, sequence=sequence, pending=tuple(pending), max_steps=max_steps
        )
        if failed:
            yield ev.ProposalFailed(study=study, trial=trial, failures=failed, reason=reason)


def _policies(rows: Rows, which: str = ALL) -> Iterator[ev.Event]:
    """What users' own policies have answered, and how often they have failed since."""
    for study, number, mark, max_trials, finish in rows(
        f"""
        SELECT study, number, mark, max_trials, finish FROM policy_answers
        WHERE {which} ORDER BY study, number
        """
    ):
        yield ev.PolicyAnswered(study=study, number=number, mark=mark, max_trials=max_trials, finish=finish)
    for study, number, failed, reason in rows(
        f"""
        SELECT study, number, failures, reason FROM policy_failures f
        WHERE failures > 0 AND {which}
          AND NOT EXISTS (SELECT FROM policy_answers a WHERE a.study = f.study AND a.number = f.number)
        ORDER BY study
        """
    ):
        yield ev.PolicyFailed(study=study, number=number, failures=failed, reason=reason)


def _endings(rows: Rows, which: str = ALL) -> Iterator[ev.Event]:
    for study, asked, judged in rows(
        f"""
        SELECT id, asked, judged FROM studies
        WHERE deleted_at IS NULL AND asked IS NOT NULL AND {which} ORDER BY id
        """
    ):
        yield from_json("JudgementWanted", {"study": study, **asked})
        if judged is not None:
            kind = "JudgementGiven" if "ends" in judged else "JudgementFailed"
            yield from_json(kind, {"study": study, **judged})
    for study, ending, reason in rows(
        f"""
        SELECT id, ending, ending_reason FROM studies
        WHERE deleted_at IS NULL AND ending <> '' AND {which} ORDER BY id
        """
    ):
        yield ev.EndingHeld(study=study, ending=ending, reason=reason)


def _states(rows: Rows, of_trials: str = ALL, which: str = ALL) -> Iterator[ev.Event]:
    for study, trial, wanted in rows(
        f"SELECT study, number, wanted FROM trials WHERE wanted > 0 AND {of_trials} ORDER BY study, number"
    ):
        yield ev.TrialWanted(study=study, trial=trial, step=wanted)
    for study, trial, state, reason in rows(
        f"""
        SELECT study, number, state, reason FROM trials
        WHERE (state <> 'waiting' OR reason <> '') AND {of_trials} ORDER BY study, number
        """
    ):
        yield ev.TrialStateChanged(study=study, trial=trial, state=TrialState(state), reason=reason)
    for (
        study,
        state,
        reason,
        trained_steps,
        retrained_steps,
        seconds,
        ran_seconds,
        exhausted,
        wants_points,
        project,
        user,
    ) in rows(
        f"""
        SELECT id, state, reason, steps_trained, steps_retrained, seconds, ran_seconds, exhausted,
               points_wanted_at IS NOT NULL, project, submitted_by FROM studies
        WHERE deleted_at IS NULL AND {which} ORDER BY id
        """
    ):
        if ran_seconds:
            yield ev.StudyRan(study=study, seconds=ran_seconds)
        if trained_steps or seconds:
            yield _credited(
                study,
                project,
                user,
                steps_trained=trained_steps,
                steps_retrained=retrained_steps,
                seconds=seconds,
            )
        if exhausted:
            yield ev.SpaceExhausted(study=study, points=exhausted)
        if (state, reason) != (StudyState.RUNNING, ""):
            yield ev.StudyStateChanged(study=study, state=StudyState(state), reason=reason)
        if wants_points:
            yield ev.PointsWanted(study=study, wanted=True)
