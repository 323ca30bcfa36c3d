"""What workers and the server say, as core values and as messages: each pair is a round trip.

What comes in is checked here: a message of a wrong shape is an ``InvalidStudy`` that names the field, before the
engine sees it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, assert_never

from hippo_core.engine.commands import (
    AnsweredReport,
    FailedReport,
    HeldLease,
    MetricsReport,
    PublishedReport,
    RegisterWorker,
    ReleasedReport,
    Report,
    ReportItem,
    SaveBlockedReport,
    SaveFailedReport,
    SlotSpec,
    StepsReport,
    TrainedReport,
    UnusableReport,
)
from hippo_core.engine.orders import LeaseOrder, StageOrder
from hippo_core.errors import InvalidStudy
from hippo_core.program import Program
from hippo_core.sequence import Laws
from hippo_wire import enums
from hippo_wire.v1 import worker_pb2

DEEPEST = 100  #: levels of a JSON object that a client sends; people write less than ten


def dump(value: object) -> str:
    """JSON text, without spaces; what is not finite does not exist in it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def load_object(text: str, field: str) -> dict[str, Any]:
    """The JSON object in a field.

    Raises:
        InvalidStudy: The field holds something else.
    """
    value = _load(text, field)
    if not isinstance(value, dict):
        raise InvalidStudy(field, f"is a JSON {type(value).__name__}, not an object", "Send an object.")
    return value


def load_list(text: str, field: str) -> list[Any]:
    """The JSON array in a field.

    Raises:
        InvalidStudy: The field holds something else.
    """
    value = _load(text, field)
    if not isinstance(value, list):
        raise InvalidStudy(field, f"is a JSON {type(value).__name__}, not an array", "Send an array.")
    return value


def _load(text: str, field: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidStudy(field, f"is no JSON: {error}", "Send JSON.") from error
    if _is_deeper(value, DEEPEST):
        raise InvalidStudy(field, f"is nested deeper than {DEEPEST} levels", "Write it flatter.")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether JSON is nested so deeply that functions which call themselves on its parts might not come back."""
    level = [value]
    for _ in range(levels):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


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


def report_to_proto(report: Report) -> worker_pb2.Report:
    """A report, as the worker sends it; who sends it is told once, at the head of the stream."""
    return worker_pb2.Report(
        fence=report.fence, number=report.number, items=[_item_to_proto(item) for item in report.items]
    )


def report_from_proto(message: worker_pb2.Report, worker: str, incarnation: str) -> Report:
    """A report, as the engine takes it.

    Raises:
        InvalidStudy: An item is of no known kind, or makes no sense.
    """
    return Report(
        worker=worker,
        incarnation=incarnation,
        fence=message.fence,
        number=message.number,
        items=tuple(_item_from_proto(item) for item in message.items),
    )


def _item_to_proto(item: ReportItem) -> worker_pb2.ReportItem:
    match item:
        case StepsReport():
            steps = worker_pb2.StepsTrained(**_fields(item))
            return worker_pb2.ReportItem(steps=steps)
        case MetricsReport():
            metrics = worker_pb2.MetricsReported(
                node=item.node,
                step=item.step,
                metrics=_metrics_to_proto(item.metrics),
                training=_metrics_to_proto(item.training),
                evaluated=item.evaluated,
            )
            return worker_pb2.ReportItem(metrics=metrics)
        case PublishedReport():
            return worker_pb2.ReportItem(published=worker_pb2.CheckpointPublished(**_fields(item)))
        case UnusableReport():
            return worker_pb2.ReportItem(unusable=worker_pb2.CheckpointUnusable(**_fields(item)))
        case SaveFailedReport():
            return worker_pb2.ReportItem(save_failed=worker_pb2.SaveFailed(**_fields(item)))
        case SaveBlockedReport():
            return worker_pb2.ReportItem(save_blocked=worker_pb2.SaveBlocked(**_fields(item)))
        case AnsweredReport():
            answered = worker_pb2.OfferAnswered(
                save_point=worker_pb2.SavePoint(node=item.node, step=item.step), will=item.will
            )
            return worker_pb2.ReportItem(answered=answered)
        case TrainedReport():
            return worker_pb2.ReportItem(trained=worker_pb2.PathTrained())
        case FailedReport():
            failed = worker_pb2.PathFailed(
                failure=enums.FAILURE_CLASSES[item.failure],
                message=item.message,
                traceback=item.traceback,
                node=item.node,
                step=item.step,
            )
            return worker_pb2.ReportItem(failed=failed)
        case ReleasedReport():
            return worker_pb2.ReportItem(released=worker_pb2.PathReleased(reason=item.reason))
        case _:
            assert_never(item)


def _steps(message: worker_pb2.StepsTrained) -> StepsReport:
    if not 0 <= message.start < message.stop:
        raise InvalidStudy("steps", f"{message.start}..{message.stop} is no range of steps")
    return StepsReport(
        node=message.node,
        start=message.start,
        stop=message.stop,
        train_seconds=_duration(message.train_seconds),
        evaluate_seconds=_duration(message.evaluate_seconds),
    )


def _duration(seconds: float) -> float:
    if not 0.0 <= seconds < math.inf:
        raise InvalidStudy("seconds", f"{seconds} is no duration")
    return seconds


def _metrics(message: worker_pb2.MetricsReported) -> MetricsReport:
    return MetricsReport(
        node=message.node,
        step=message.step,
        metrics={metric.name: metric.value for metric in message.metrics},
        training={metric.name: metric.value for metric in message.training},
        evaluated=message.evaluated,
    )


def _published(message: worker_pb2.CheckpointPublished) -> PublishedReport:
    if message.size_bytes < 0:
        raise InvalidStudy("size_bytes", f"{message.size_bytes} is no size")
    return PublishedReport(
        node=message.node,
        step=message.step,
        size_bytes=message.size_bytes,
        digest=message.digest,
        blocked_seconds=_duration(message.blocked_seconds),
        total_seconds=_duration(message.total_seconds),
    )


def _unusable(message: worker_pb2.CheckpointUnusable) -> UnusableReport:
    return UnusableReport(
        node=message.node,
        step=message.step,
        fence=message.fence,
        missing=message.missing,
        reason=message.reason,
    )


def _save_failed(message: worker_pb2.SaveFailed) -> SaveFailedReport:
    return SaveFailedReport(node=message.node, step=message.step, reason=message.reason, full=message.full)


def _save_blocked(message: worker_pb2.SaveBlocked) -> SaveBlockedReport:
    return SaveBlockedReport(node=message.node, step=message.step, reason=message.reason)


def _answered(message: worker_pb2.OfferAnswered) -> AnsweredReport:
    return AnsweredReport(node=message.save_point.node, step=message.save_point.step, will=message.will)


def _trained(message: worker_pb2.PathTrained) -> TrainedReport:
    return TrainedReport()


def _failed(message: worker_pb2.PathFailed) -> FailedReport:
    return FailedReport(
        failure=enums.failure_class(message.failure),
        message=message.message,
        traceback=message.traceback,
        node=message.node,
        step=message.step,
    )


def _released(message: worker_pb2.PathReleased) -> ReleasedReport:
    return ReleasedReport(reason=message.reason)


_ITEMS: Mapping[str, Callable[[Any], ReportItem]] = {
    "steps": _steps,
    "metrics": _metrics,
    "published": _published,
    "unusable": _unusable,
    "save_failed": _save_failed,
    "save_blocked": _save_blocked,
    "answered": _answered,
    "trained": _trained,
    "failed": _failed,
    "released": _released,
}


def _item_from_proto(message: worker_pb2.ReportItem) -> ReportItem:
    kind = message.WhichOneof("item")
    if kind is None:
        raise InvalidStudy(
            "items", "holds an item of no known kind", "Install the same version on both sides."
        )
    return _ITEMS[kind](getattr(message, kind))


def _metrics_to_proto(metrics: Mapping[str, float]) -> list[worker_pb2.ReportedMetric]:
    return [worker_pb2.ReportedMetric(name=name, value=metrics[name]) for name in sorted(metrics)]


def _fields(item: ReportItem) -> dict[str, Any]:
    """The fields of a value whose message has the same ones."""
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def lease_to_proto(order: LeaseOrder) -> worker_pb2.Lease:
    """A granted path, as the server sends it."""
    message = worker_pb2.Lease(
        fence=order.fence,
        slot=order.slot,
        plan=order.plan,
        program_json=dump(order.program.to_json()),
        program_key=order.program_key,
        bundle=order.bundle,
        setup_laws_json=dump(order.setup_laws.to_json()),
        stages=[
            worker_pb2.Stage(
                node=stage.node,
                start=stage.start,
                stop=stage.stop,
                laws_json=dump(stage.laws.to_json()),
            )
            for stage in order.stages
        ],
        save_points=[worker_pb2.SavePoint(node=node, step=step) for node, step in order.save_points],
        checkpoint_every=order.checkpoint_every,
        secrets=order.secrets,
        objectives=order.objectives,
        stall_seconds=order.stall_seconds,
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
        program=Program.from_json(load_object(message.program_json, "program_json")),
        program_key=message.program_key,
        bundle=message.bundle,
        setup_laws=Laws.from_json(load_object(message.setup_laws_json, "setup_laws_json")),
        start=None if start is None else (start.node, start.step, start.fence),
        in_memory=False if start is None else start.in_memory,
        stages=tuple(
            StageOrder(
                node=stage.node,
                start=stage.start,
                stop=stage.stop,
                laws=Laws.from_json(load_object(stage.laws_json, "laws_json")),
            )
            for stage in message.stages
        ),
        save_points=tuple((point.node, point.step) for point in message.save_points),
        checkpoint_every=message.checkpoint_every if message.HasField("checkpoint_every") else None,
        secrets=tuple(message.secrets),
        objectives=tuple(message.objectives),
        stall_seconds=message.stall_seconds,
        start_digest="" if start is None else start.digest,
    )


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
