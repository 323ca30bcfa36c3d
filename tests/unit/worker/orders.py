"""Leases for unit tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hippo_core.lease_order import LeaseOrder, PrepareOrder, StageOrder
from hippo_core.program import Program
from hippo_core.sequence import Laws
from hippo_core.values import Kind
from hippo_worker.lease import Lease
from hippo_worker.reports import Outbox

LAWS = Laws.from_json({"lr": 0.1})


def stage(node: int, start: int, stop: int) -> StageOrder:
    """Steps of a node."""
    return StageOrder(node=node, start=start, stop=stop, laws=LAWS)


def make_order(**changes: Any) -> LeaseOrder:
    """Lease 7: steps 0..3 of node 1 and 3..5 of node 2, saved at the fork."""
    program = Program(trainer="trainer:Tiny", code_digest="d", kinds={"lr": Kind.FLOAT})
    order = LeaseOrder(
        fence=7,
        slot=0,
        plan=1,
        program=program,
        program_key=program.key,
        bundle="b",
        setup_laws=LAWS,
        start=None,
        in_memory=False,
        stages=(stage(1, 0, 3), stage(2, 3, 5)),
        save_points=((1, 3),),
        checkpoint_every=None,
        secrets=(),
        objectives=("loss",),
    )
    return replace(order, **changes)


def make_preparation(**changes: Any) -> PrepareOrder:
    """What a slot is told that is made ready for that lease."""
    order = make_order()
    preparation = PrepareOrder(
        slot=order.slot,
        plan=order.plan,
        program=order.program,
        program_key=order.program_key,
        bundle=order.bundle,
        setup_laws=order.setup_laws,
        secrets=order.secrets,
    )
    return replace(preparation, **changes)


def make_lease(**changes: Any) -> Lease:
    """The lease of that order."""
    order = make_order(**changes)
    return Lease(order, Outbox("w", "i", order.fence), lambda: None)


def said(lease: Lease) -> list[Any]:
    """What a lease has to say and has not said, as one report."""
    report = lease.outbox.take()
    return [] if report is None else list(report.items)
