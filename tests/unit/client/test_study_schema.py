"""The JSON Schema of study files: it is the one in the docs, takes what is a study and tells what is none."""

import json
from pathlib import Path

import jsonschema
import pytest

from hippo_client.study_schema import schema
from hippo_client.yaml_text import parse
from tests.unit.client.test_study_yaml import ALL

ROOT = Path(__file__).resolve().parents[3]
HEAD = "trainer: a:A\nminimize: loss\nmax_steps: 3\n"


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_the_docs_have_what_the_code_gives():
    written = (ROOT / "docs/reference/study.schema.json").read_text()
    assert written == json.dumps(schema(), indent=2) + "\n", "run: python docs/write_schema.py"


@pytest.mark.parametrize("case", ALL)
def test_every_argument_is_taken(case, validator):
    validator.validate(parse(f"trainer: a:A\n{ALL[case][2]}", "f").value)


def test_the_example_is_taken_and_names_the_schema(validator):
    text = (ROOT / "examples/digits/study.yaml").read_text()
    validator.validate(parse(text, "f").value)
    named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (ROOT / "examples/digits" / named).resolve() == ROOT / "docs/reference/study.schema.json"


@pytest.mark.parametrize(
    "text",
    [
        "space: {lr: 0.1}\nmax_trial: 3",
        "space: {lr: [0.1, 0.2]}",
        "space: {lr: {schedule: cosin, initial: 1, final: 0, period: 3}}",
        "space: {lr: {schedule: cosine, initial: 1, eta_min: 0, period: 3}}",
        "space: {lr: {schedule: cosine, initial: 1, period: 3}}",
        "space: {lr: {uniform: [0]}}",
        'space: {lr: {uniform: ["0.1", 1]}}',
        "space: {lr: {choice: []}}",
        "space: {lr: {choice: [1], other: 2}}",
        "space: {lr: 0.1}\npolicy: ahsa",
        "space: {lr: 0.1}\npolicy: pbt",
        "space: {lr: 0.1}\npolicy: {policy: asha, grace_period: 1}",
        "space: {lr: 0.1}\nendings: [{ending: target}]",
        "space: {lr: 0.1}\nresources: {gpu: 1}",
        "space: {lr: 0.1}\nseed: x",
        "space: {lr: 0.1}\nenv: {PORT: 8080}",
        "seed: 1",
    ],
)
def test_what_is_no_study_is_told(text, validator):
    assert not validator.is_valid(parse(f"{HEAD}{text}\n", "f").value)
