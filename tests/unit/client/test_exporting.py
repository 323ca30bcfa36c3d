"""A study in Optuna's storages and as TensorBoard's runs, read back by Optuna and by TensorBoard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hippo_client.errors import Conflict, HippoError
from hippo_client.exporting.optuna_storage import write_optuna
from hippo_client.exporting.tensorboard_runs import write_tensorboard
from hippo_core.simulation import Recording
from tests.unit.client import recorded


@pytest.fixture
def study() -> Recording:
    return recorded.recording(recorded.document())


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["studies.db", "studies.log"])
def test_optuna_loads_it_by_the_line_that_is_told(study: Recording, name: str, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    place = str(tmp_path / name)
    line = write_optuna(study, place)
    known = {"optuna": optuna, "JournalStorage": JournalStorage, "JournalFileBackend": JournalFileBackend}
    found = eval(line, known)
    assert [(trial.state.name, trial.value) for trial in found.trials] == [("COMPLETE", 0.4), ("PRUNED", 1.3)]
    assert found.trials[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}
    assert found.trials[1].params == {"lr": "piecewise([0.1, 0.02], milestones=[2])", "width": 16}
    with pytest.raises(Conflict, match="has a study 'shared' already"):
        write_optuna(study, place)
    with pytest.raises(FileNotFoundError):
        write_optuna(study, str(tmp_path / "nowhere" / name))


def test_tensorboard_has_a_run_for_each_trial_with_what_hparams_shows(
    study: Recording, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.plugins.hparams import metadata

    folder = tmp_path / "runs"
    assert write_tensorboard(study, folder) == 3

    def read(place: Path) -> Any:
        found = accumulator.EventAccumulator(str(place))
        found.Reload()
        return found

    def content(events: Any, tag: str) -> bytes:
        plugin = events.SummaryMetadata(tag).plugin_data
        assert plugin.plugin_name == metadata.PLUGIN_NAME
        data: bytes = plugin.content
        return data

    assert sorted(each.name for each in folder.iterdir() if each.is_dir()) == [
        "trial-0",
        "trial-1",
        "trial-2",
    ]
    began = 1767323045.0  # 2026-01-02T03:04:05+00:00
    stopped = read(folder / "trial-1")
    assert [(each.step, each.value) for each in stopped.Scalars("accuracy")] == [
        (step, pytest.approx(1 + step / 10)) for step in (1, 2, 3)
    ]
    assert [each.wall_time - began for each in stopped.Scalars("accuracy")] == [11.5, 12.5, 14.5]
    assert str(stopped.Scalars("loss")[2].value) == "nan"
    start = metadata.parse_session_start_info_plugin_data(content(stopped, metadata.SESSION_START_INFO_TAG))
    assert start.group_name == "trial 1"
    assert start.hparams["lr"].string_value == "piecewise([0.1, 0.02], milestones=[2])"
    assert start.hparams["width"].number_value == 16
    end = metadata.parse_session_end_info_plugin_data(content(stopped, metadata.SESSION_END_INFO_TAG))
    assert end.end_time_secs - began == 15.0
    forked = read(folder / "trial-2")
    start = metadata.parse_session_start_info_plugin_data(content(forked, metadata.SESSION_START_INFO_TAG))
    assert start.hparams["lr"].number_value == 0.5
    assert metadata.SESSION_END_INFO_TAG not in forked.summary_metadata, "it goes on"

    experiment = metadata.parse_experiment_plugin_data(content(read(folder), metadata.EXPERIMENT_TAG))
    assert [each.name.tag for each in experiment.metric_infos] == ["accuracy", "loss"]
    lr, width = experiment.hparam_infos
    assert [each.string_value for each in lr.domain_discrete.values] == [
        "piecewise([0.1, 0.01], milestones=[2])",
        "piecewise([0.1, 0.02], milestones=[2])",
    ]
    assert (width.domain_interval.min_value, width.domain_interval.max_value) == (8, 64)
    with pytest.raises(Conflict, match="is not empty"):
        write_tensorboard(study, folder)


def test_a_study_without_trials_is_written_too(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    optuna = pytest.importorskip("optuna")
    study = recorded.recording(recorded.empty())
    assert write_tensorboard(study, tmp_path / "runs") == 0
    write_optuna(study, str(tmp_path / "empty.db"))
    assert optuna.load_study(study_name="shared", storage=f"sqlite:///{tmp_path / 'empty.db'}").trials == []


@pytest.mark.parametrize(
    ("package", "write", "extra"),
    [("optuna", write_optuna, "plots"), ("tensorboardX", write_tensorboard, "tensorboard")],
)
def test_without_the_package_the_remedy_is_told(
    study: Recording,
    package: str,
    write: Callable[[Recording, Any], object],
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        HippoError, match=f"--format {extra if package != 'optuna' else package} needs"
    ) as caught:
        write(study, tmp_path / "there")
    assert caught.value.hint == f"pip install 'hippo-hpo[{extra}]'"
    assert not (tmp_path / "there").exists()
