"""What commands print with ``--json`` is what their schemas say: all of it, and nothing else.

The other tests of commands are held to the schemas, too: by a fixture, for all that they print.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hippo_client.cli.main import call
from hippo_client.cli.output_schema import ERROR, all_schemas, schema_of
from hippo_client.cli.outputs import OUTPUTS
from hippo_core.errors import InvalidStudy, NotFound
from hippo_wire.v1 import study_pb2
from tests.unit.cli.answers import STUDY
from tests.unit.cli.every_command import ARGUMENTS, Around
from tests.unit.cli.pictures import snapshot, trial
from tests.unit.cli.schemas import validator
from tests.unit.cli.test_help import TREE

ROOT = Path(__file__).resolve().parents[3]


def leaves() -> dict[str, set[str]]:
    """By command: its options."""
    return {
        context.command_path.partition(" ")[2]: {name for each in command.params for name in each.opts}
        for command, context in TREE
        if command.callback is not None and not hasattr(command, "commands")
    }


def test_every_command_with_json_has_a_schema() -> None:
    assert {name for name, options in leaves().items() if "--json" in options} == set(OUTPUTS)
    assert set(leaves()) == set(ARGUMENTS)


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_a_command_prints_is_as_its_schema_says(name: str, around: Around) -> None:
    outcome = around.call(*name.split(), *ARGUMENTS[name], "--json")
    assert outcome.code in (0, 1), outcome.err
    found = json.loads(outcome.out)
    validator(name).validate(found)
    for changed in with_a_field_more_or_less(found):
        assert not validator(name).is_valid(changed)


def with_a_field_more_or_less(found: Any) -> list[Any]:
    """The same with a field that nobody knows of at the top, and without one that there is."""
    if isinstance(found, list):
        return [[changed] for changed in with_a_field_more_or_less(found[0])]
    return [{**found, "surprise": 1}, {key: found[key] for key in list(found)[1:]}]


@pytest.mark.parametrize(
    "line",
    [
        "simulate study.py --slots 2 --trial-based",
        "simulate --slots 2 --recorded recorded.json --beyond power-law",
        "study import sweep.yaml --trainer trainer:T --max-steps 3 --max-trials 2",
        "study plot digits",
        "usage --by study",
        "usage --by project",
    ],
)
def test_what_an_option_adds_is_in_the_schema(line: str, around: Around) -> None:
    outcome = around.call(*line.split(), "--json")  # which is held to the schema as it is printed
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)


def test_a_front_and_horizons_are_in_the_schema(around: Around) -> None:
    trials = [trial(0, "completed", 27, 0.9), trial(1, "completed", 27, 0.8)]
    front = snapshot(trials, front=[0, 1]).study
    around.server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=front)
    assert list(json.loads(around.call("trial", "best", "digits", "--json").out)) == ["best_trials"]
    horizons = study_pb2.Study()
    horizons.CopyFrom(STUDY)
    horizons.spec_json = json.dumps({**json.loads(STUDY.spec_json), "horizons": [9, 27]})
    for each in trials:
        each.horizon = 9
        each.spread.add(name="accuracy", value=0.1)
        each.violation = float(each.number)
    horizons.best_by_horizon.extend(trials)
    around.server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=horizons)
    assert list(json.loads(around.call("trial", "best", "digits", "--json").out)) == ["best_by_horizon"]
    shown = json.loads(around.call("study", "show", "digits", "--json").out)
    assert [each["violation"] for each in shown["best_by_horizon"]] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (NotFound("there is no study 'digits'.", "Did you mean digit?"), ["study", "show", "digits"]),
        (InvalidStudy("lr", "is text.", ""), ["study", "show", "digits"]),
        (None, ["study", "shwo"]),
        (None, ["study", "show"]),
        (None, ["study", "show", "digits", "--jsno"]),
        (None, ["run", "nowhere.py"]),
    ],
)
def test_an_error_is_as_its_schema_says(
    error: Exception | None, arguments: list[str], around: Around
) -> None:
    if error is not None:
        around.server.answers["GetStudy"] = error
    outcome = around.call(*arguments, "--json")
    assert outcome.code > 1
    assert outcome.out == ""
    found = json.loads(outcome.err)
    validator(ERROR).validate(found)
    assert not validator(ERROR).is_valid({"error": {**found["error"], "surprise": 1}})


def test_the_docs_have_what_the_code_gives() -> None:
    written = (ROOT / "docs/reference/output.schema.json").read_text()
    assert written == json.dumps(all_schemas(), indent=2) + "\n", "run: python docs/write_schema.py"


def test_schemas_are_printed_by_command(text: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    everything = json.loads(text("schema"))
    Draft202012Validator.check_schema(everything)
    assert everything == all_schemas()
    assert json.loads(text("schema", "study", "show")) == schema_of("study show")
    assert json.loads(text("schema", "error")) == schema_of(ERROR)
    assert json.loads(text("schema", "study-file"))["title"] == "A study of Hippo"
    assert call(["schema", "study", "shwo"]) == 2
    assert "Did you mean 'study show'?" in capsys.readouterr().err
