"""What workers report, as core values and as messages: each pair is a round trip.

What comes in is checked here: a message of a wrong shape is an ``InvalidStudy`` that names the field, before the
engine sees it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from google.protobuf.message import Message

from hippo_core.engine.commands import (
    AnsweredReport,
    FailedReport,
    MetricsReport,
    PublishedReport,
    ReleasedReport,
    Report,
    ReportItem,
    SaveBlockedReport,
    SaveFailedReport,
    StepsReport,
    TrainedReport,
    UnusableReport,
)
from hippo_core.errors import InvalidStudy
from hippo_wire import enums
from hippo_wire.v1 import worker_pb2


def report_to_proto(report: Report) -> worker_pb2.Report:
    """A report, as the worker sends it; who sends it is told once, at the head of the stream."""
    message = worker_pb2.Report()
    write_report(report, message)
    return message


def write_report(report: Report, message: worker_pb2.Report) -> None:
    """Writes a report into an empty message, where that is part of a larger one: put there later, it is copied."""
    message.fence, message.number = report.fence, report.number
    for item in report.items:
        _write_item(item, message.items.add())


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


def _write_item(item: ReportItem, message: worker_pb2.ReportItem) -> None:
    match item:
        case StepsReport():
            _write_fields(item, message.steps)
        case MetricsReport():
            _write_metrics(item, message.metrics)
        case PublishedReport():
            _write_fields(item, message.published)
        case UnusableReport():
            _write_fields(item, message.unusable)
        case SaveFailedReport():
            _write_fields(item, message.save_failed)
        case SaveBlockedReport():
            _write_fields(item, message.save_blocked)
        case AnsweredReport():
            answered = message.answered
            answered.save_point.node, answered.save_point.step = item.node, item.step
            answered.will = item.will
        case TrainedReport():
            message.trained.SetInParent()
        case FailedReport():
            failed = message.failed
            failed.failure = enums.FAILURE_CLASSES[item.failure]
            failed.message, failed.traceback = item.message, item.traceback
            failed.node, failed.step = item.node, item.step
        case ReleasedReport():
            message.released.reason = item.reason
        case _:
            assert_never(item)


def _write_metrics(item: MetricsReport, message: worker_pb2.MetricsReported) -> None:
    message.node, message.step, message.evaluated = item.node, item.step, item.evaluated
    if item.metrics:
        message.metrics.extend(item.metrics.keys())
        message.values.extend(item.metrics.values())
    if item.training:
        message.training.extend(item.training.keys())
        message.training_values.extend(item.training.values())


def _write_fields(item: ReportItem, message: Message) -> None:
    """Writes the fields of a value whose message has the same ones."""
    for name in item.__dataclass_fields__:
        setattr(message, name, getattr(item, name))


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
        metrics=_named(message.metrics, message.values),
        training=_named(message.training, message.training_values),
        evaluated=message.evaluated,
    )


def _named(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    if len(names) != len(values):
        raise InvalidStudy("metrics", f"{len(names)} names have {len(values)} values")
    # A slice is a list at once, where an iterator asks for one element after the other.
    return dict(zip(names[:], values[:], strict=True)) if names else {}


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
