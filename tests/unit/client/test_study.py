"""What Study accepts, what it makes of it, and what it says of what it does not."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import hippo_client as hippo
from hippo_client import policies, samplers, schedules, space, study_arguments
from hippo_client.errors import InvalidStudy
from hippo_client.missing import UnknownFunction
from hippo_core import samplers as core_samplers
from hippo_core.space import EndOf
from hippo_core.values import Kind

CHOICE = {"lr": space.choice([0.1, 0.2])}


class Good(hippo.Trainer):
    def setup(self, context): ...
    def apply(self, hp): ...
    def train(self, step): ...
    def evaluate(self): ...


class Nest:
    class Inner(Good): ...


class Lacking(hippo.Trainer):
    def setup(self, context): ...
    def train(self, step): ...


class Plain:
    def train(self, step): ...


def study(trainer="trainer:Small", searched=CHOICE, **changes):
    return hippo.Study(trainer, searched, **{"maximize": "accuracy", "max_steps": 3, **changes})


def test_all_else_has_defaults():
    spec = study().spec()
    assert spec.name == "test_study"
    assert spec.sampler == samplers.grid()
    assert spec.max_trials == 2
    assert spec.policy == policies.full()
    program = spec.program
    assert (program.unit, program.evaluate_every, program.seed, program.data_version) == ("epoch", 1, 0, "")
    assert (program.options, program.env, program.deterministic) == ({}, {}, True)
    assert program.resources == hippo.Resources(cpus=1, gpus=None, accelerator=None)
    assert (spec.checkpoint_every, spec.priority, spec.secrets, spec.bundle) == (None, 0, (), "")
    assert (str(spec.keep), spec.checkpoint_budget) == ("best", None)
    # There is no module named trainer beside this file.
    assert program.code_digest == f"missing:{Path(__file__).parent}"


def test_a_finite_space_with_max_trials_is_drawn_at_random():
    assert study(max_trials=10).spec().sampler == samplers.random()


def test_dehb_brings_its_points_and_bohb_is_a_sampler():
    assert study(max_trials=40, max_steps=27, policy=policies.dehb()).spec().sampler == core_samplers.Dehb()
    with pytest.raises(
        UnknownFunction, match=r"sampler=samplers\.bohb\(\), policy=policies\.hyperband\(asynchronous="
    ):
        policies.bohb  # noqa: B018
    with pytest.raises(UnknownFunction, match=r"policy=policies\.dehb\(\), and no sampler"):
        samplers.dehb  # noqa: B018


def test_initial_points_come_before_those_of_the_sampler():
    spec = study(initial=[{"lr": 0.2}]).spec()
    assert spec.max_trials == 3
    assert [spec.point(number) for number in range(3)] == [{"lr": 1}, {"lr": 0}, {"lr": 1}]


def test_kinds_are_computed():
    searched = {"lr": space.choice([1, 0.1]), "batch_size": 32, "nesterov": True}
    assert study(searched=searched).spec().program.kinds == {
        "batch_size": Kind.INT,
        "lr": Kind.FLOAT,
        "nesterov": Kind.CATEGORICAL,
    }


def test_objectives_keep_their_order_and_direction():
    spec = study(maximize=["accuracy", "recall"], minimize="loss").spec()
    assert [(each.metric, each.maximize) for each in spec.objectives] == [
        ("accuracy", True),
        ("recall", True),
        ("loss", False),
    ]


def test_max_steps_may_be_the_end_of_a_schedule():
    searched = {"lr": schedules.wsd(0.1, warmup=5, stable=20, decay=20)}
    spec = study(searched=searched, max_steps=space.end_of("lr")).spec()
    assert spec.max_steps == EndOf(name="lr")
    assert spec.max_steps_of(spec.point(0)) == 45


def test_a_function_is_evaluated_once_when_the_study_is_written():
    asked = []

    def schedule(step):
        asked.append(step)
        return step / 10

    written = study(searched={"lr": schedules.from_function(schedule, period=3)})
    assert asked == [0, 1, 2]
    spec = written.spec()
    assert spec.sequence(spec.point(0)).values(1) == {"lr": 0.1}
    assert asked == [0, 1, 2]


def test_rounded_steps_are_a_warning():
    assert "rounded up to 10" in study(max_steps=9, evaluate_every=5).warnings[0]


def test_code_is_relative_to_the_study_file():
    assert study(code=["../storage", Path("service.py")], trainer="service:Server").code_paths[1] == (
        Path(__file__).with_name("service.py")
    )


def test_a_version_takes_the_place_of_the_code_digest():
    assert study(code_version="v3").spec().program.code_digest == "version:v3"


@pytest.mark.parametrize(
    ("trainer", "reference"),
    [
        ("trainer:Small", "trainer:Small"),
        ("a.b:C", "a.b:C"),
        (Good, "test_study:Good"),
        (Nest.Inner, "test_study:Nest.Inner"),
    ],
)
def test_a_trainer_is_named_or_given(trainer, reference):
    assert study(trainer).trainer == reference


def nested_class():
    class Hidden(Good): ...

    return Hidden


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ("trainer", "trainer: 'trainer' is not of the form module:attribute. Give \"module:Class\""),
        ("trainer.py:Small", "names a file. Write 'trainer:Small'"),
        ("my-trainer:Small", "not of the form"),
        (3, "of type int is given; a class or its name is wanted"),
        (Good(), "an instance Good is given; a class or its name is wanted"),
        (Lacking, "Lacking lacks apply and evaluate"),
        (Plain, r"Plain is no Trainer. Write: class Plain\(hippo.Trainer\)"),
        (nested_class(), "is defined inside a function"),
    ],
)
def test_a_trainer_that_workers_would_not_find_is_refused(trainer, words):
    with pytest.raises(InvalidStudy, match=words) as caught:
        study(trainer)
    assert caught.value.field == "trainer"


UNIFORM = {"lr": space.uniform(0.0, 1.0)}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"maximise": "loss"}, "maximise", "maximize"),
        ({"metric": "loss"}, "metric", "maximize= or minimize= with the metric's name"),
        ({"mode": "min"}, "mode", "maximize, or minimize"),
        ({"direction": "minimize"}, "direction", "maximize, or minimize"),
        ({"n_trials": 3}, "n_trials", "max_trials"),
        ({"timeout": 60}, "timeout", r"endings=\[endings.timeout\(hours=...\)\]"),
        ({"max_time": 60}, "max_time", "endings.timeout"),
        ({"target": 0.9}, "target", "endings.target"),
        ({"stop": {"accuracy": 0.9}}, "stop", "endings.target"),
        ({"early_stopping": 3}, "early_stopping", "endings.plateau"),
        ({"endings": [0.97]}, "endings", r"endings.target\(0.97\)"),
        ({"num_samples": 3}, "num_samples", "max_trials"),
        ({"epochs": 3}, "epochs", "max_steps"),
        ({"scheduler": 3}, "scheduler", "policy"),
        ({"max_trial": 3}, "max_trial", "'max_trials'"),
        ({"xyzzy": 3}, "xyzzy", "Known are: trainer, space, maximize"),
        ({"maximize": None}, "maximize", "no objective is given"),
        ({"maximize": 3}, "maximize", "neither a name nor a list of names"),
        ({"maximize": "loss", "minimize": "loss"}, "objectives", "named twice"),
        ({"max_steps": None}, "max_steps", "must be given"),
        ({"max_steps": 0}, "max_steps", "at least 1, not 0"),
        ({"max_steps": "27"}, "max_steps", "not '27'"),
        ({"max_trials": 0}, "max_trials", "at least 1"),
        ({"searched": UNIFORM}, "max_trials", "'lr' has too many values to list"),
        ({"searched": {"lr": schedules.wsd(0.1, 2, decay=2)}}, "horizons", "its stable part"),
        (
            {"searched": {"lr": schedules.wsd(0.1, 2, decay=2)}, "max_steps": None, "horizons": [9, 9]},
            "horizons",
            "9 is given twice",
        ),
        ({"searched": UNIFORM, "sampler": samplers.grid()}, "sampler", "space.choice"),
        ({"sampler": samplers.random()}, "max_trials", "random has no end"),
        ({"sampler": "random"}, "sampler", r"Write e.g. samplers.grid\(\)"),
        ({"sampler": samplers.random, "max_trials": 1}, "sampler", r"Call it: samplers.random\(\)"),
        ({"policy": "asha"}, "policy", r"Write policies.asha\(\)"),
        ({"policy": policies.full}, "policy", r"Call it: policies.full"),
        ({"policy": policies.asha(min_steps=5, reduction_factor=3)}, "policy.min_steps", "must lie below max_steps"),
        ({"unit": "iteration"}, "evaluate_every", "must be given for unit='iteration'"),
        ({"evaluate_every": 0}, "evaluate_every", "at least 1"),
        ({"seed": -1}, "seed", "from 0"),
        ({"seed": "0"}, "seed", "must be an int"),
        ({"repeats": 0}, "repeats", "must be an int of at least 1, not 0"),
        ({"initial": {"lr": 0.1}}, "initial", "is not a list of points"),
        ({"initial": 3}, "initial", "is not a list of points"),
        ({"initial": [{"lr": 0.3}]}, r"initial[0]['lr']", "0.3 is none of its options"),
        ({"options": {"model": object()}}, "options", "cannot be written as JSON"),
        ({"options": ["a"]}, "options", "must be a dict"),
        ({"env": {"A": 1}}, r"env['A']", "Write '1'"),
        ({"env": {"A-B": "1"}}, "env", "'A-B' is not the name"),
        ({"secrets": "A B"}, "secrets", "'A B' is not the name"),
        ({"secrets": 3}, "secrets", "neither a name nor a list"),
        ({"deterministic": "yes"}, "deterministic", "must be True or False"),
        ({"checkpoint_every": 0}, "checkpoint_every", "at least 1"),
        ({"keep": "last"}, "keep", """'last' is not known. Write "best", "best:3", "ends" or "all"."""),
        ({"keep": 3}, "keep", "3 is not known"),
        ({"checkpoint_budget": "lots"}, "checkpoint_budget", "'lots' is no number of bytes. Write e.g. 4GiB"),
        ({"checkpoint_budget": -1}, "checkpoint_budget", "must be from 0 to"),
        ({"save_top_k": 3}, "save_top_k", "Use keep."),
        ({"resources": {"gpus": 1}}, "resources", r"Write hippo.Resources"),
        ({"priority": 1.5}, "priority", "must be an int"),
        ({"code": "../src"}, "code", r"Write code=\['../src'\]"),
        ({"code": [3]}, "code", "is not a list of folders"),
        ({"code": 3}, "code", "is not a list of folders"),
        ({"code": ["no/such/folder"]}, "code", "'no/such/folder' does not exist"),
        ({"code_version": 3}, "code_version", "must be a word, not 3"),
        ({"code_version": ""}, "code_version", "must be a word"),
        ({"name": "a/b"}, "name", "must match .*, not 'a/b'"),
        ({"name": 3}, "name", "must match .*, not 3"),
        ({"searched": [1]}, "space", "must be a dict"),
        ({"minimize": ["a", "b"], "policy": policies.patience(3)}, "policy", "one objective"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named_with_the_remedy(changes, field, words):
    with pytest.raises(InvalidStudy, match=words) as caught:
        study(**changes)
    assert caught.value.field == field


def test_more_than_one_gpu_is_refused():
    with pytest.raises(InvalidStudy, match="2 GPUs a trial are not supported yet"):
        hippo.Resources(gpus=2)


def test_a_class_from_a_notebook_is_refused_with_the_remedy():
    """A module __main__ without a file is what a notebook and an interactive session have."""
    cell = (
        "import hippo_client as hippo\n"
        "class Small(hippo.Trainer):\n"
        "    def setup(self, context): ...\n"
        "    def apply(self, hp): ...\n"
        "    def train(self, step): ...\n"
        "    def evaluate(self): ...\n"
        "try:\n"
        "    hippo.Study(Small, {'lr': 0.1}, maximize='a', max_steps=1, name='n', max_trials=1)\n"
        "except hippo.errors.InvalidStudy as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", cell], capture_output=True, text=True, check=True).stdout
    assert "`%%writefile trainer.py`" in said
    assert '"trainer:Small"' in said


def test_a_study_without_a_file_needs_a_name(tmp_path):
    cell = (
        "import hippo_client as hippo\n"
        "def study(**name):\n"
        "    return hippo.Study('trainer:T', {'lr': 0.1}, maximize='a', max_steps=1, max_trials=1, **name)\n"
        "print(study(name='n').origin.folder)\n"
        "try:\n"
        "    study()\n"
        "except hippo.errors.InvalidStudy as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", cell], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert said.stdout.splitlines() == [
        str(tmp_path),
        'name: must be given where there is no study file. Give name="...".',
    ]


def test_a_script_that_defines_its_trainer_names_its_own_module(folder):
    script = folder / "mine.py"
    script.write_text(
        (folder / "trainer.py").read_text()
        + "study = hippo.Study(Small, {'lr': 0.1}, maximize='a', max_steps=1, max_trials=1)\n"
        "print(study.trainer, study.name)\n"
    )
    said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert said.stdout == "mine:Small mine\n"


def test_a_script_whose_name_cannot_be_imported_is_refused(folder):
    script = folder / "my-study.py"
    script.write_text(
        (folder / "trainer.py").read_text()
        + "hippo.Study(Small, {'lr': 0.1}, maximize='a', max_steps=1, max_trials=1)\n"
    )
    said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert "my-study.py, which cannot be imported under that name" in said.stderr


def test_every_argument_is_known_to_those_who_misspell_one():
    written = [name for name in inspect.signature(hippo.Study).parameters if name != "unknown"]
    assert sorted(written) == sorted(study_arguments.ARGUMENTS)
