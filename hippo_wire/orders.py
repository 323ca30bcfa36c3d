"""What the server orders of workers, as core values and as messages: each pair is a round trip."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from hippo_core.lease_order import LeaseOrder, PrepareOrder, StageOrder
from hippo_core.program import Program
from hippo_core.sequence import Laws
from hippo_wire.json_text import dump, load_object
from hippo_wire.v1 import worker_pb2


def lease_to_proto(order: LeaseOrder) -> worker_pb2.Lease:
    """A granted path, as the server sends it."""
    message = worker_pb2.Lease(
        fence=order.fence,
        slot=order.slot,
        plan=order.plan,
        program_json=_program_json(order.program),
        program_key=order.program_key,
        bundle=order.bundle,
        setup_laws_json=_laws_json(order.setup_laws),
        stages=[
            worker_pb2.Stage(
                node=stage.node,
                start=stage.start,
                stop=stage.stop,
                laws_json=_laws_json(stage.laws),
            )
            for stage in order.stages
        ],
        save_points=[worker_pb2.SavePoint(node=node, step=step) for node, step in order.save_points],
        checkpoint_every=order.checkpoint_every,
        secrets=order.secrets,
        objectives=order.objectives,
        stall_seconds=order.stall_seconds,
        alone=order.alone,
        watched=order.watched,
    )
    if order.start is not None:
        node, step, fence = order.start
        message.start.CopyFrom(
            worker_pb2.StartState(
                node=node, step=step, fence=fence, in_memory=order.in_memory, digest=order.start_digest
            )
        )
    return message


def lease_from_proto(message: worker_pb2.Lease) -> LeaseOrder:
    """A granted path, as the worker takes it.

    Raises:
        InvalidStudy: A field is not what this version knows.
    """
    start = message.start if message.HasField("start") else None
    return LeaseOrder(
        fence=message.fence,
        slot=message.slot,
        plan=message.plan,
        program=_program(message.program_json),
        program_key=message.program_key,
        bundle=message.bundle,
        setup_laws=_laws(message.setup_laws_json),
        start=None if start is None else (start.node, start.step, start.fence),
        in_memory=False if start is None else start.in_memory,
        stages=tuple(
            StageOrder(
                node=stage.node,
                start=stage.start,
                stop=stage.stop,
                laws=_laws(stage.laws_json),
            )
            for stage in message.stages
        ),
        save_points=tuple((point.node, point.step) for point in message.save_points),
        checkpoint_every=message.checkpoint_every if message.HasField("checkpoint_every") else None,
        secrets=tuple(message.secrets),
        objectives=tuple(message.objectives),
        stall_seconds=message.stall_seconds,
        alone=message.alone,
        watched=message.watched,
        start_digest="" if start is None else start.digest,
    )


def preparation_to_proto(order: PrepareOrder) -> worker_pb2.Preparation:
    """What an idle slot is to be made ready for, as the server sends it."""
    return worker_pb2.Preparation(
        slot=order.slot,
        plan=order.plan,
        program_json=_program_json(order.program),
        program_key=order.program_key,
        bundle=order.bundle,
        setup_laws_json=_laws_json(order.setup_laws),
        secrets=order.secrets,
        stall_seconds=order.stall_seconds,
    )


def preparation_from_proto(message: worker_pb2.Preparation) -> PrepareOrder:
    """What an idle slot is to be made ready for, as the worker takes it.

    Raises:
        InvalidStudy: A field is not what this version knows.
    """
    return PrepareOrder(
        slot=message.slot,
        plan=message.plan,
        program=_program(message.program_json),
        program_key=message.program_key,
        bundle=message.bundle,
        setup_laws=_laws(message.setup_laws_json),
        secrets=tuple(message.secrets),
        stall_seconds=message.stall_seconds,
    )


@lru_cache(maxsize=64)
def _program_json(program: Program) -> str:
    """A program as it is sent, written once for all leases of it that follow each other."""
    return dump(program.to_json())


@lru_cache(maxsize=64)
def _laws_json(laws: Laws) -> str:
    """Laws as they are sent; those of a path's first stage are most often those at the trial's step 0, too."""
    return dump(laws.to_json())


@lru_cache(maxsize=16)
def _program(text: str) -> Program:
    """A program, read once for all leases of it that follow each other."""
    return Program.from_json(load_object(text, "program_json"))


@lru_cache(maxsize=16)
def _laws(text: str) -> Laws:
    """Laws; those at the trial's step 0 are most often those of the first stage, too."""
    return Laws.from_json(load_object(text, "laws_json"))


def offers_to_proto(offers: Iterable[tuple[int, int, int]]) -> list[worker_pb2.SavePointOffer]:
    """Offered save points: (fence, node, step)."""
    return [
        worker_pb2.SavePointOffer(fence=fence, save_point=worker_pb2.SavePoint(node=node, step=step))
        for fence, node, step in offers
    ]


def offer_from_proto(message: worker_pb2.SavePointOffer) -> tuple[int, int, int]:
    """An offered save point: (fence, node, step)."""
    return message.fence, message.save_point.node, message.save_point.step


def stops_to_proto(stops: Iterable[tuple[int, bool, str]]) -> list[worker_pb2.StopPath]:
    """Paths to end: (fence, whether to save, reason)."""
    return [worker_pb2.StopPath(fence=fence, save=save, reason=reason) for fence, save, reason in stops]


def stop_from_proto(message: worker_pb2.StopPath) -> tuple[int, bool, str]:
    """A path to end: (fence, whether to save, reason)."""
    return message.fence, message.save, message.reason
