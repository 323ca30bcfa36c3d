"""What a program's key covers, and what a program may be."""

import json
import math

import pytest

from hippo_core.errors import InvalidStudy
from hippo_core.program import Program, Resources
from hippo_core.values import Kind


def test_the_key_covers_what_decides_the_training():
    base = {"trainer": "trainer:T", "code_digest": "x", "kinds": {"lr": Kind.FLOAT}}
    changes = [
        {"trainer": "trainer:U"},
        {"code_digest": "y"},
        {"options": {"a": 1}},
        {"env": {"A": "1"}},
        {"data_version": "2"},
        {"seed": 1},
        {"unit": "iteration"},
        {"evaluate_every": 2},
        {"deterministic": False},
        {"resources": Resources(cpus=2)},
        {"resources": Resources(gpus=1)},
        {"kinds": {"lr": Kind.INT}},
        {"kinds": {"lr": Kind.FLOAT, "momentum": Kind.FLOAT}},
    ]
    keys = [Program(**base).key] + [Program(**{**base, **change}).key for change in changes]
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_depend_on_order_or_on_the_accelerator_asked_for():
    one = Program(trainer="t:T", code_digest="x", options={"a": 1, "b": 2}, kinds={"x": "int", "y": "float"})
    other = Program(
        trainer="t:T",
        code_digest="x",
        options={"b": 2, "a": 1},
        kinds={"y": Kind.FLOAT, "x": Kind.INT},
        resources=Resources(accelerator="same"),
    )
    assert one.key == other.key
    assert len(one.key) == 64
    assert Program.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"trainer": "trainer.py"}, "trainer", "module:Class"),
        ({"trainer": "a b:C"}, "trainer", "names no class"),
        ({"seed": -1}, "seed", "from 0 to"),
        ({"seed": 1.5}, "seed", "must be an int"),
        ({"evaluate_every": 0}, "evaluate_every", "at least 1"),
        ({"unit": ""}, "unit", "must not be empty"),
        ({"deterministic": 1}, "deterministic", "True or False"),
        ({"options": {"f": print}}, "options", "plain data"),
        ({"options": {"x": math.nan}}, "options", "cannot be written as JSON"),
        ({"options": []}, "options", "must be a dict"),
        ({"options": {"x": "\0"}}, "options", "NUL"),
        ({"env": {"A": 1}}, "env['A']", "Write '1'"),
        ({"env": {"A=B": "1"}}, "env", "not the name"),
    ],
)
def test_wrong_programs_name_the_field(changes, field, words):
    with pytest.raises(InvalidStudy) as caught:
        Program(**{"trainer": "trainer:T", "code_digest": "x", **changes})
    assert caught.value.field == field
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [
        ({"cpus": 0}, "resources.cpus", "at least 1"),
        ({"gpus": 2}, "resources.gpus", "not supported yet"),
        ({"gpus": -1}, "resources.gpus", "at least 0"),
        ({"accelerator": "A100"}, "resources.accelerator", "'same'"),
    ],
)
def test_wrong_resources_name_the_field(arguments, field, words):
    with pytest.raises(InvalidStudy) as caught:
        Resources(**arguments)
    assert caught.value.field == field
    assert words in str(caught.value)
