"""Trials and evaluations as tables: whose columns they have, of which types, and how they read in files."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hippo_client.errors import HippoError, InvalidStudy
from hippo_client.exporting.csv_file import csv_text
from hippo_client.exporting.frame import frame
from hippo_client.exporting.parquet_file import write_parquet
from hippo_client.optuna_study import convert
from hippo_client.result_tables import Column, ColumnType, Style, Table, history_table, trials_table
from hippo_core.simulation import Recording
from tests.unit.client import recorded

STYLES: tuple[Style, ...] = ("optuna", "plain", "mlflow")


@pytest.fixture
def study() -> Recording:
    return recorded.recording(recorded.document())


def rows(table: Table) -> list[dict[str, object]]:
    count = len(table[0].values)
    assert {len(column.values) for column in table} == {count}
    return [{column.name: column.values[row] for column in table} for row in range(count)]


def test_the_columns_are_optuna_s_with_optuna_s_values(study: Recording) -> None:
    pytest.importorskip("optuna")
    pandas = pytest.importorskip("pandas")
    theirs = convert(study).trials_dataframe()
    ours = frame(trials_table(study), "this")
    common = [name for name in theirs.columns if not name.startswith("user_attrs_")]
    assert common == [
        "number", "value_accuracy", "datetime_start", "datetime_complete", "duration", "params_lr",
        "params_width", "state",
    ]  # fmt: skip
    named = ["value" if name == "value_accuracy" else name for name in common]
    assert [name for name in ours.columns if not name.startswith(("user_attrs_", "hippo_"))] == named
    for name, mine in zip(common, named, strict=True):
        # Optuna has no trial that a user forked.
        pandas.testing.assert_series_equal(theirs[name], ours[mine][:2], check_names=False, check_dtype=False)


def test_what_hippo_knows_besides(study: Recording) -> None:
    found = rows(trials_table(study))
    assert [row["number"] for row in found] == [0, 1, 2]
    assert [row["hippo_steps"] for row in found] == [4, 3, 3]
    assert [row["hippo_stage_path"] for row in found] == ["1:0-2 2:2-4", "1:0-2 3:2-3", "1:0-2 2:2-3"]
    assert [(row["hippo_gpu_seconds"], row["hippo_shared_gpu_seconds"]) for row in found] == [
        (4.0, 3.0), (3.0, 2.0), (3.0, 3.0),
    ]  # fmt: skip
    assert [row["hippo_checkpoint"] for row in found] == [4, 2, 2]
    assert [row["user_attrs_loss"] for row in found] == [1.0, None, None]
    assert (found[2]["hippo_parent"], found[2]["hippo_forked_at"]) == (0, 3)
    assert (found[2]["params_lr"], found[2]["value"], found[2]["state"]) == (None, None, "RUNNING")
    assert json.loads(str(found[2]["hippo_hyperparameters"])) == {"lr": 0.5, "width": 16}


def test_metrics_and_hyperparameters_by_their_names(study: Recording) -> None:
    found = rows(trials_table(study, "plain"))
    assert list(found[0]) == ["trial", "state", "step", "accuracy", "loss", "lr", "width"]
    assert found[1] == {
        "trial": 1, "state": "stopped", "step": 3, "accuracy": 1.3, "loss": None,
        "lr": "piecewise([0.1, 0.02], milestones=[2])", "width": 16,
    }  # fmt: skip


def test_the_columns_of_mlflow(study: Recording) -> None:
    found = rows(trials_table(study, "mlflow"))
    assert [row["status"] for row in found] == ["FINISHED", "KILLED", "SCHEDULED"]
    assert [row["run_id"] for row in found] == ["shared/0", "shared/1", "shared/2"]
    assert found[0]["start_time"] == datetime(2026, 1, 2, 3, 4, 15, 500000, UTC)
    assert found[0]["metrics.accuracy"] == 0.4
    assert found[0]["params.width"] == "16"
    assert found[0]["tags.mlflow.runName"] == "trial 0"


def test_a_style_that_does_not_exist_is_told_with_those_that_do(study: Recording) -> None:
    with pytest.raises(InvalidStudy, match="must be one of 'optuna', 'plain', 'mlflow', not 'wandb'"):
        trials_table(study, "wandb")  # type: ignore[arg-type]


def test_with_constraints_and_repeats_they_have_columns() -> None:
    content = recorded.document()
    content["spec"] = {**content["spec"], "constraints": ["accuracy <= 0.2"], "repeats": 2}
    means = [{"step": 4, "metrics": {"accuracy": 0.5, "loss": 1.0}, "spread": {"accuracy": 0.1, "loss": 0.0}}]
    content["trials"] = [{**content["trials"][0], "over_repeats": means}]
    study = recorded.recording(content)
    (optuna,), (plain,) = rows(trials_table(study)), rows(trials_table(study, "plain"))
    assert (optuna["value"], optuna["hippo_spread_accuracy"]) == (0.5, 0.1)
    assert optuna["hippo_violation"] == plain["violation"] == pytest.approx(1.5)
    assert (plain["feasible"], plain["accuracy"], plain["accuracy_spread"]) == (False, 0.5, 0.1)


def test_the_history_has_a_row_for_each_metric_of_each_evaluation(study: Recording) -> None:
    found = rows(history_table(study))
    assert len(found) == 2 * (4 + 3 + 3)
    assert found[4:6] == [
        {
            "trial": 0,
            "step": 3,
            "metric": name,
            "value": value,
            "time": datetime(2026, 1, 2, 3, 4, 18, 500000, UTC),
        }
        for name, value in (("accuracy", 0.3), ("loss", None))
    ]


@pytest.mark.parametrize("style", STYLES)
def test_an_empty_study_has_typed_empty_columns(style: Style) -> None:
    pytest.importorskip("pandas")
    full, empty = recorded.recording(recorded.document()), recorded.recording(recorded.empty())
    there, none = frame(trials_table(full, style), "this"), frame(trials_table(empty, style), "this")
    assert len(none) == 0
    # What nobody has reported, or was handed out, cannot be known.
    missing = set(there.columns) - set(none.columns)
    assert missing <= {"user_attrs_loss", "loss", "metrics.loss", "lr", "width", "params.lr", "params.width"}
    for name in none.columns:
        gaps = {"Int64": "int64"}
        assert none[name].dtype == gaps.get(str(there[name].dtype), there[name].dtype), name
    history = frame(history_table(empty), "this")
    assert history.dtypes.map(str).to_dict() == {
        "trial": "int64", "step": "int64", "metric": "object", "value": "float64", "time": "datetime64[us, UTC]",
    }  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_files_hold_what_the_table_holds(study: Recording, style: Style, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = trials_table(study, style)
    write_parquet(table, tmp_path / "trials.parquet")
    mixed = {column.name for column in table if column.type is ColumnType.MIXED}
    assert parquet.read_table(tmp_path / "trials.parquet").to_pylist() == [
        {name: str(value) if name in mixed else value for name, value in row.items()} for row in rows(table)
    ]
    expected = frame(table, "this")
    text = csv_text(table)
    read = list(csv.DictReader(io.StringIO(text)))
    assert [row[next(iter(row))] for row in read] == [str(expected.iloc[row, 0]) for row in range(3)]
    again = pandas.read_csv(io.StringIO(text))
    assert list(again.columns) == list(expected.columns)
    if style == "optuna":
        assert list(pandas.to_timedelta(again["duration"])[:2]) == list(expected["duration"][:2])
        assert list(pandas.to_datetime(again["datetime_start"])) == list(expected["datetime_start"])
        assert list(again["value"][:2]) == [0.4, 1.3]


def test_text_in_csv_is_no_formula_and_numbers_stay_numbers() -> None:
    column = Column(
        name="@x", type=ColumnType.MIXED, values=["=1+1", "\t1", "a=1", "-x", -0.5, -2, None, True]
    )
    lines = list(csv.reader(io.StringIO(csv_text((column,)))))
    assert [line[0] if line else "" for line in lines] == [
        "'@x", "'=1+1", "'\t1", "a=1", "'-x", "-0.5", "-2", "", "True",
    ]  # fmt: skip


def test_without_pandas_or_pyarrow_the_remedy_is_told(
    study: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(HippoError, match="history\\(\\) needs pandas") as caught:
        frame(history_table(study), "history()")
    assert caught.value.hint == "pip install pandas"
    with pytest.raises(HippoError, match="Parquet needs pyarrow") as caught:
        write_parquet(trials_table(study), tmp_path / "x.parquet")
    assert caught.value.hint == "pip install 'hippo-hpo[parquet]'"
    assert csv_text(trials_table(study)).count("\n") == 4, "CSV needs neither"
