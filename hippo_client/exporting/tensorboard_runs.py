"""A study as runs of TensorBoard: a folder for each trial, with its metrics by step, and what HParams shows.

Written by tensorboardX, which needs neither TensorBoard nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hippo_core.domains import Choice, Horizon, NumericDomain
from hippo_core.engine.states import TrialState
from hippo_core.errors import Conflict, HippoError
from hippo_core.optuna_words import Drawn
from hippo_core.simulation.recorded_parts import RecordedTrial
from hippo_core.simulation.recording import Recording
from hippo_core.simulation.timeline import Timeline
from hippo_core.words import hyperparameter

_STATUS = {
    TrialState.COMPLETED: "STATUS_SUCCESS",
    TrialState.STOPPED: "STATUS_SUCCESS",
    TrialState.DIVERGED: "STATUS_FAILURE",
    TrialState.FAILED: "STATUS_FAILURE",
}


def write_tensorboard(recording: Recording, folder: Path) -> int:
    """Writes a run for each trial that has begun into a folder: ``tensorboard --logdir FOLDER`` shows it.

    A hyper-parameter is what was drawn; of a choice the option as it is written. A metric that was not finite is NaN.
    The time of a point is when it was trained, also where another trial trained it.

    Returns:
        How many runs there are.

    Raises:
        HippoError: tensorboardX is not installed.
        Conflict: The folder is not empty: there would be two of each point.
        OSError: It cannot be written.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise HippoError(
            "--format tensorboard needs tensorboardX.", "pip install 'hippo-hpo[tensorboard]'"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(f"the folder {folder} is not empty.", "Give another one with --output.")
    began = datetime.fromisoformat(recording.created).timestamp()
    timeline, drawn = Timeline(recording), Drawn(recording)
    with SummaryWriter(str(folder)) as writer:
        writer.file_writer.add_summary(_experiment(recording, drawn, began), walltime=began)
    begun = [trial for trial in recording.trials if trial.step]
    digits = len(str(len(recording.trials)))
    for trial in begun:
        first, last = timeline.begun(trial) or 0.0, timeline.ended(trial)
        with SummaryWriter(str(folder / f"trial-{trial.number:0{digits}}")) as writer:
            start = _session_start(f"trial {trial.number}", _values(trial, drawn), began + first)
            writer.file_writer.add_summary(start, walltime=began + first)
            for step, metrics in sorted(trial.means.items()):
                at = timeline.moment(trial, step)
                for name, value in metrics.items():
                    number = math.nan if value is None else value
                    writer.add_scalar(name, number, step, walltime=began + (first if at is None else at))
            if last is not None:
                writer.file_writer.add_summary(
                    _session_end(_STATUS[trial.state], began + last), walltime=began + last
                )
    return len(begun)


def _values(trial: RecordedTrial, drawn: Drawn) -> Mapping[str, Any]:
    """What was drawn; of a trial that a user forked, for which nothing was, what it has under these names."""
    found = drawn.values(trial)
    if trial.assignment is None:
        found = {
            name: hyperparameter(value) if isinstance(value, Mapping | list) else value
            for name, value in trial.hyperparameters.items()
            if name in drawn.names
        }
    return found


def _experiment(recording: Recording, drawn: Drawn, began: float) -> Any:
    from tensorboardX.proto import api_pb2

    experiment = api_pb2.Experiment(name=recording.name, time_created_secs=began)
    for name, domain in recording.spec.space.domains.items():
        info = experiment.hparam_infos.add(name=name)
        if isinstance(domain, Choice | Horizon):
            options = recording.spec.lengths if isinstance(domain, Horizon) else drawn.labels(name)
            values = [each for each in options if each is not None]
            _set_domain(info, values)
        elif isinstance(domain, NumericDomain):
            info.type = api_pb2.DATA_TYPE_FLOAT64
            bounds: Any = domain
            info.domain_interval.min_value, info.domain_interval.max_value = bounds.low, bounds.high
    for name in recording.metric_names():
        experiment.metric_infos.add(name=api_pb2.MetricName(tag=name))
    return _summary("_hparams_/experiment", experiment=experiment)


def _set_domain(info: Any, options: Iterable[Any]) -> None:
    """The type and the values of a choice; of options of several types, texts."""
    from tensorboardX.proto import api_pb2

    found = list(options)
    if all(isinstance(each, bool) for each in found):
        info.type = api_pb2.DATA_TYPE_BOOL
    elif all(isinstance(each, int | float) and not isinstance(each, bool) for each in found):
        info.type = api_pb2.DATA_TYPE_FLOAT64
    else:
        info.type = api_pb2.DATA_TYPE_STRING
        found = list(map(str, found))
    info.domain_discrete.extend(found)


def _session_start(name: str, values: Mapping[str, Any], at: float) -> Any:
    from tensorboardX.proto.plugin_hparams_pb2 import SessionStartInfo

    info = SessionStartInfo(group_name=name, start_time_secs=at)
    for key, value in values.items():
        match value:
            case None:
                continue
            case bool():
                info.hparams[key].bool_value = value
            case int() | float():
                info.hparams[key].number_value = float(value)
            case _:
                info.hparams[key].string_value = str(value)
    return _summary("_hparams_/session_start_info", session_start_info=info)


def _session_end(status: str, at: float) -> Any:
    from tensorboardX.proto import api_pb2
    from tensorboardX.proto.plugin_hparams_pb2 import SessionEndInfo

    info = SessionEndInfo(status=api_pb2.Status.Value(status), end_time_secs=at)
    return _summary("_hparams_/session_end_info", session_end_info=info)


def _summary(tag: str, **content: Any) -> Any:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    data = HParamsPluginData(version=0, **content).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data)
    return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])
