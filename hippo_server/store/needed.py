"""Which checkpoints' files the rows need, so that all others may go."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_server.store.database import Database
from hippo_server.store.load_leases import STANDING


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededCheckpoints:
    """The checkpoints that were needed at one moment.

    What is not needed then never will be, whoever leads: the reports of a lease that has ended are refused for ever,
    and no fence is given twice. So this need not be up to date when it is asked.

    Attributes:
        named: Those that a row names, as (node, step, fence): kept ones, those whose removal is decided and not yet
            done, and those that leases load that stand.
        writing: The fences of leases that stand: they may still write states and report them.
        last_fence: The highest fence known; leases that were granted since have higher ones.
    """

    named: frozenset[tuple[int, int, int]]
    writing: frozenset[int]
    last_fence: int

    def holds(self, node: int, step: int, fence: int) -> bool:
        """Whether the state at ``step`` of ``node``, as the lease ``fence`` writes it, is needed."""
        return fence > self.last_fence or fence in self.writing or (node, step, fence) in self.named


def needed_checkpoints(database: Database) -> NeededCheckpoints:
    """What the rows need, as of one moment."""
    with database.reading() as rows:
        return NeededCheckpoints(
            named=frozenset(
                rows(
                    f"""
                    SELECT node, step, fence FROM checkpoints
                    UNION SELECT start_node, start_step, start_fence FROM leases
                    WHERE start_node IS NOT NULL AND state IN {STANDING}
                    """
                )
            ),
            writing=frozenset(
                fence for (fence,) in rows(f"SELECT fence FROM leases WHERE state IN {STANDING}")
            ),
            last_fence=next(
                rows("SELECT greatest((SELECT max(fence) FROM leases), skipped_fences) FROM identity")
            )[0],
        )
