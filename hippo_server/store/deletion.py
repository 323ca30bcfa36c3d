"""What is taken out of the rows: deleted studies, checkpoints whose files are gone, metrics that nobody can see."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from psycopg2.extras import execute_values

from hippo_server.store.load_leases import STANDING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812


def delete_study(cursor: Cursor, study: int, now: datetime) -> None:
    """Deletes what is a study's. Its own row stays, and keeps its numbers from being given again.

    Args:
        cursor: In the transaction, all earlier events sent.
        study: The study.
        now: The time to note, for people.
    """
    cursor.execute(
        """
        UPDATE studies
        SET deleted_at = %s, last_sequence = (SELECT max(sequence) FROM requests WHERE study = %s)
        WHERE id = %s
        """,
        (now, study, study),
    )
    for table in (
        "pins",
        "requests",
        "trial_limits",
        "trial_stops",
        "proposals",
        "policy_answers",
        "policy_failures",
        "trials",
        "study_specs",
    ):
        cursor.execute(f"DELETE FROM {table} WHERE study = %s", (study,))


def delete_project(cursor: Cursor, project: str) -> None:
    """Deletes a project's account and those of its users. Its studies' rows stay, and so do their bills."""
    cursor.execute("DELETE FROM accounts WHERE project = %s", (project,))


def forget_results(cursor: Cursor) -> None:
    """Deletes what was measured, and what failed, in plans that are over: bound ones without a study or a lease.

    Nodes and leases stay, so that their numbers are not given again. A study that has moved to another plan may have
    trials that are read in the one it left.
    """
    cursor.execute(
        f"""
        SELECT id FROM plans p
        WHERE environment <> ''
          AND NOT EXISTS (SELECT FROM studies s WHERE s.plan = p.id AND s.deleted_at IS NULL)
          AND NOT EXISTS (SELECT FROM leases l WHERE l.plan = p.id AND l.state IN {STANDING})
          AND NOT EXISTS (SELECT FROM requests r JOIN nodes n ON n.id = r.node WHERE n.plan = p.id)
        """
    )
    over = [plan for (plan,) in cursor.fetchall()]
    for table in ("metrics", "training_metrics", "failures"):
        cursor.execute(
            f"DELETE FROM {table} t USING nodes n WHERE n.id = t.node AND n.plan = ANY(%s)", (over,)
        )


def forget_checkpoints(cursor: Cursor, removed: Iterable[tuple[int, int, int]]) -> None:
    """Deletes the rows of dropped and lost checkpoints, each (node, step, fence), whose files are gone.

    Those of a lease that stands stay: they say which of its promises it has kept. The next leader asks again.
    """
    execute_values(
        cursor,
        f"""
        DELETE FROM checkpoints c USING (VALUES %s) AS v (node, step, fence)
        WHERE c.node = v.node AND c.step = v.step AND c.fence = v.fence AND c.state <> 'kept'
          AND NOT EXISTS (SELECT FROM leases l WHERE l.fence = c.fence AND l.state IN {STANDING})
        """,
        list(removed),
    )
