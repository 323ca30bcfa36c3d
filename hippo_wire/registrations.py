"""Registrations of workers, as core values and as messages: each pair is a round trip."""

from __future__ import annotations

from hippo_core.engine.commands import (
    HeldLease,
    RegisterWorker,
    SlotSpec,
)
from hippo_core.errors import InvalidStudy
from hippo_wire import enums
from hippo_wire.json_text import dump, load_object
from hippo_wire.v1 import worker_pb2


def register_to_proto(command: RegisterWorker, request_id: str) -> worker_pb2.RegisterWorkerRequest:
    """A registration, as the worker sends it."""
    return worker_pb2.RegisterWorkerRequest(
        request_id=request_id,
        worker=command.worker,
        incarnation=command.incarnation,
        host=command.host,
        slots=[
            worker_pb2.Slot(
                index=slot.index,
                device=enums.DEVICE_KINDS[slot.device],
                model=slot.model,
                cpu_count=slot.cpus,
                gpu_count=slot.gpus,
            )
            for slot in command.slots
        ],
        environment_json=dump(dict(command.environment)),
        labels=dict(command.labels),
        leases=[
            worker_pb2.HeldLease(fence=lease.fence, acknowledged=lease.acknowledged)
            for lease in command.leases
        ],
    )


def register_from_proto(message: worker_pb2.RegisterWorkerRequest) -> RegisterWorker:
    """A registration, as the engine takes it.

    Raises:
        InvalidStudy: A field is missing or makes no sense.
    """
    for field in ("worker", "incarnation"):
        if not getattr(message, field):
            raise InvalidStudy(field, "is empty", "Name it.")
    slots = tuple(
        SlotSpec(
            index=slot.index,
            device=enums.device_kind(slot.device),
            model=slot.model,
            cpus=slot.cpu_count,
            gpus=slot.gpu_count,
        )
        for slot in message.slots
    )
    if not slots or [slot.index for slot in slots] != list(range(len(slots))):
        raise InvalidStudy("slots", "are not numbered from 0 without a gap", "Send at least one slot.")
    return RegisterWorker(
        worker=message.worker,
        incarnation=message.incarnation,
        host=message.host,
        slots=slots,
        environment=load_object(message.environment_json, "environment_json"),
        labels=dict(sorted(message.labels.items())),
        leases=tuple(
            HeldLease(fence=lease.fence, acknowledged=lease.acknowledged) for lease in message.leases
        ),
    )
