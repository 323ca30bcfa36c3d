"""What people see of the engine, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from google.protobuf import timestamp_pb2

from hippo_core.engine.account_views import AccountView
from hippo_core.engine.checkpoint_views import BudgetView, KeptView
from hippo_core.engine.explanation import Happening
from hippo_core.engine.probe_views import ProbeView
from hippo_core.engine.programs import ProgramView
from hippo_core.engine.study_views import SavingsView, StudyView
from hippo_core.engine.trial_detail import EvaluationView, TrialDetail
from hippo_core.engine.trial_paths import CheckpointRef
from hippo_core.engine.trial_views import TrialView
from hippo_core.engine.worker_views import WorkerView
from hippo_core.tree_node import TreeNode
from hippo_wire import enums
from hippo_wire.json_text import dump
from hippo_wire.v1 import account_pb2, admin_pb2, checkpoint_pb2, study_pb2


def timestamp(moment: datetime | None) -> timestamp_pb2.Timestamp | None:
    """A moment, which has a time zone; None stays absent."""
    if moment is None:
        return None
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(moment)
    return message


def study(
    view: StudyView,
    created: datetime | None,
    ended: datetime | None,
    changes: Iterable[tuple[datetime, str, tuple[str, ...]]],
) -> study_pb2.Study:
    """A study; its times are the store's, and how it was changed: when, by whom, and in lines what."""
    best = [trial(each) for each in view.best_trials]
    return study_pb2.Study(
        name=view.name,
        project=view.project,
        state=enums.STUDY_STATES[view.state],
        reason=view.reason,
        spec_json=dump(dict(view.spec)),
        trial_counts=dict(view.trial_counts),
        best_trial=best[0] if best else None,
        best_trials=best,
        best_by_horizon=[trial(each) for each in view.best_by_horizon],
        savings=_savings(view.savings),
        create_time=timestamp(created),
        end_time=timestamp(ended),
        steps_waiting=view.steps_waiting,
        seconds_waiting=view.seconds_waiting,
        slots_busy=view.slots_busy,
        slots_total=view.slots_total,
        ending=view.ending,
        endings=view.endings,
        given_up=view.given_up,
        over_budget=view.over_budget,
        change_count=view.changes,
        changes=[
            study_pb2.StudyChange(time=timestamp(at), by=by, differences=differences)
            for at, by, differences in changes
        ],
    )


def trial(view: TrialView) -> study_pb2.Trial:
    """A trial as listed."""
    return study_pb2.Trial(
        number=view.number,
        state=enums.TRIAL_STATES[view.state],
        step=view.step,
        max_steps=view.max_steps,
        metrics=_metrics(view.metrics),
        spread=_metrics(view.spread),
        violation=view.violation,
        hyperparameters_json=dump(dict(view.hyperparameters)),
        reason=view.reason,
        parent=view.parent,
        forked_at=view.forked_at,
        instead_of=view.instead_of,
        horizon=view.horizon,
    )


def trial_detail(detail: TrialDetail) -> study_pb2.GetTrialResponse:
    """A trial with all that is known of it."""
    return study_pb2.GetTrialResponse(
        trial=trial(detail.trial),
        history=[_evaluation(each) for each in detail.history],
        training=[_evaluation(each) for each in detail.training],
        values_json=dump([dict(values) for values in detail.values]),
        path=[
            study_pb2.PathPart(
                node=part.node,
                start=part.start,
                stop=part.stop,
                trial_count=part.trial_count,
                not_reproducible=part.not_reproducible,
            )
            for part in detail.path
        ],
        checkpoints=[_checkpoint(each) for each in detail.checkpoints],
        program_key=detail.program_key,
        environment_json=detail.environment,
        repeats=[
            study_pb2.Repeat(
                repeat=each.repeat,
                seed=each.seed,
                state=enums.TRIAL_STATES[each.state],
                step=each.step,
                history=[_evaluation(evaluation) for evaluation in each.history],
            )
            for each in detail.repeats
        ],
        probes=[_probe(each) for each in detail.probes],
    )


def _probe(view: ProbeView) -> study_pb2.Probe:
    return study_pb2.Probe(
        probe=view.probe,
        at=view.at,
        to=view.to,
        factors=dict(view.factors),
        reason=view.reason,
        state=enums.TRIAL_STATES[view.state],
        step=view.step,
        metrics=_metrics(view.metrics),
        spread=_metrics(view.spread),
        failure=view.failure,
    )


def trial_event(happening: Happening) -> study_pb2.TrialEvent:
    """Something that happened to a trial."""
    return study_pb2.TrialEvent(
        time=timestamp(datetime.fromtimestamp(happening.at, UTC)),
        event=happening.event,
        step=happening.step,
        reason=happening.reason,
        by=happening.by,
    )


def tree_node(view: TreeNode) -> study_pb2.StageTreeNode:
    """A node of the search plan."""
    return study_pb2.StageTreeNode(
        node=view.node,
        parent=view.parent,
        start=view.start,
        stop=view.stop,
        trained=view.trained,
        values_json=dump(dict(view.values)),
        trials=view.trials,
        ending=view.ending,
        ends=[study_pb2.TrialEnds(step=each.step, state=each.state, count=each.count) for each in view.ends],
        probes=view.probes,
        metrics=_metrics(view.metrics),
        checkpoints=view.checkpoints,
        state=view.state.value,
        reason=view.reason,
        seconds=view.seconds,
        steps_saved=view.steps_saved,
        critical=view.critical,
        not_reproducible=view.not_reproducible,
    )


def account(view: AccountView) -> account_pb2.Account:
    """A project, or a user of one."""
    return account_pb2.Account(
        project=view.project,
        user=view.user,
        allowance_json=dump(dict(view.allowance)),
        slot_microseconds=view.billed,
        gpu_microseconds=view.billed_gpus,
        study_count=view.studies,
        open_trial_count=view.open_trials,
        slot_count=view.slots,
        checkpoint_bytes=view.checkpoint_bytes,
        waits=view.waits,
    )


def worker(view: WorkerView, registered: datetime | None, project: str | None) -> admin_pb2.Worker:
    """A worker, as those of a project see it, or all; when it registered is the driver's."""
    return admin_pb2.Worker(
        name=view.name,
        host=view.host,
        state=enums.WORKER_STATES[view.state],
        slots=[
            admin_pb2.SlotStatus(
                index=slot.index,
                device=slot.device,
                model=slot.model,
                fence=slot.fence,
                study=slot.study if project in {None, slot.project} else "",
                user=slot.user if project in {None, slot.project} else "",
                step=slot.step,
                probe_of=slot.probe_of,
                cordoned=slot.cordoned,
            )
            for slot in view.slots
        ],
        environment_json=dump(dict(view.environment)),
        labels=dict(view.labels),
        register_time=timestamp(registered),
        blocked=view.blocked,
    )


def _savings(view: SavingsView) -> study_pb2.Savings:
    return study_pb2.Savings(
        steps_without_sharing=view.steps_without_sharing,
        steps_trained=view.steps_trained,
        steps_retrained=view.steps_retrained,
        steps_in_probes=view.steps_in_probes,
        merge_rate=view.merge_rate,
        seconds_trained=view.seconds_trained,
        seconds_saved=view.seconds_saved,
    )


def _evaluation(view: EvaluationView) -> study_pb2.Evaluation:
    return study_pb2.Evaluation(step=view.step, metrics=_metrics(view.metrics), spread=_metrics(view.spread))


def _checkpoint(view: CheckpointRef) -> study_pb2.Checkpoint:
    return study_pb2.Checkpoint(
        node=view.node,
        step=view.step,
        fence=view.fence,
        size_bytes=view.size_bytes,
        begins_phase=view.begins_phase,
    )


def kept_checkpoint(view: KeptView) -> checkpoint_pb2.KeptCheckpoint:
    """A checkpoint, and why it is kept."""
    return checkpoint_pb2.KeptCheckpoint(
        node=view.node,
        step=view.step,
        fence=view.fence,
        size_bytes=view.size_bytes,
        need=view.need,
        reason=view.reason,
        steps=view.steps,
        seconds=view.seconds,
        trials=view.trials,
        trial_count=view.trial_count,
    )


def program(view: ProgramView) -> study_pb2.KnownProgram:
    """A program in one environment."""
    return study_pb2.KnownProgram(
        key=view.key,
        trainer=view.trainer,
        environment_json=view.environment,
        studies=view.studies,
        open_studies=view.open_studies,
        node_count=view.nodes,
        checkpoint_count=view.checkpoints,
        checkpoint_bytes=view.checkpoint_bytes,
    )


def checkpoint_budget(view: BudgetView) -> checkpoint_pb2.CheckpointBudget:
    """How a budget is used."""
    return checkpoint_pb2.CheckpointBudget(
        used_bytes=view.used_bytes, limit_bytes=view.limit_bytes, over=view.over
    )


def _metrics(metrics: Mapping[str, float | None]) -> list[study_pb2.Metric]:
    return [study_pb2.Metric(name=name, value=metrics[name]) for name in sorted(metrics)]
