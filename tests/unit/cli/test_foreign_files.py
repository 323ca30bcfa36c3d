"""`hippo study import` of W&B sweeps and Determined experiments: what is taken, and that nothing is passed over."""

import json
from pathlib import Path

import pytest

from hippo_client import study_file
from hippo_client.cli.main import call

SWEEP = """
program: train.py
name: my sweep
method: bayes
metric: {name: val_loss, goal: minimize, target: 0.1}
run_cap: 20
early_terminate: {type: hyperband, min_iter: 3, eta: 3}
parameters:
  lr: {distribution: log_uniform_values, min: 1e-4, max: 1e-1}
  old: {distribution: log_uniform, min: 0, max: 1}
  wd: {min: 0.0, max: 0.1}
  layers: {min: 1, max: 5}
  opt: {values: [adam, sgd]}
  q: {distribution: q_uniform, min: 0, max: 1, q: 0.25}
  net: {parameters: {width: {value: 64}, betas: {value: [0.9, 0.99]}}}
"""
EXPERIMENT = """
name: mnist
entrypoint: model_def:Trial
hyperparameters:
  global_batch_size: 64
  opt:
    lr: {type: log, base: 10, minval: -4, maxval: -1}
    name: {type: categorical, vals: [a, b]}
  layers: {type: int, minval: 1, maxval: 5}
  drop: {type: double, minval: 0.1, maxval: 0.5}
searcher: {name: adaptive_asha, metric: acc, smaller_is_better: false, max_trials: 64, max_length: {batches: 640}}
min_validation_period: {batches: 10}
resources: {slots_per_trial: 1}
reproducibility: {experiment_seed: 7}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIPPO_HOME", "/dev/null/home")


def taken(text, capsys, *options, code=0):
    Path("theirs.yaml").write_text(text)
    assert call(["study", "import", "theirs.yaml", "--json", *options]) == code
    return json.loads(capsys.readouterr().out)


def test_a_sweep_becomes_a_study(capsys):
    found = taken(SWEEP, capsys, "--trainer", "a:A", "--max-steps", "27")
    assert (found["study_file"], found["unsupported"]) == ("theirs-study.yaml", [])
    spec = study_file.load("theirs-study.yaml")._spec
    assert spec.to_json()["objectives"] == [{"metric": "val_loss", "maximize": False}]
    assert (spec.name, spec.max_trials, spec.max_steps) == ("my-sweep", 20, 27)
    assert spec.sampler.to_json()["sampler"] == "gp"
    policy = spec.policy.to_json()
    assert [policy[each] for each in ("policy", "min_steps", "reduction_factor", "stopping")] == [
        "asha",
        3,
        3,
        True,
    ]
    assert [each.to_json() for each in spec.endings] == [{"ending": "target", "value": 0.1}]
    entries = spec.space.to_json()
    words = {name: each["domain"] for name, each in entries.items() if isinstance(each, dict)}
    assert words == {
        "lr": "loguniform", "old": "loguniform", "wd": "uniform", "layers": "integer", "opt": "choice",
        "q": "quniform",
    }  # fmt: skip
    assert (entries["lr"]["low"], entries["old"]["low"], entries["old"]["high"]) == (
        1e-4,
        1.0,
        2.718281828459045,
    )
    assert (entries["net.width"], entries["net.betas"]) == (64, [0.9, 0.99])
    assert call(["plan", "theirs-study.yaml"]) == 0


def test_an_experiment_becomes_a_study(capsys):
    found = taken(EXPERIMENT, capsys, "--trainer", "a:A")
    assert found["unsupported"] == []
    spec = study_file.load("theirs-study.yaml")._spec
    assert spec.to_json()["objectives"] == [{"metric": "acc", "maximize": True}]
    program = spec.program
    assert (program.unit, program.evaluate_every, program.seed, program.resources.gpus) == ("batch", 10, 7, 1)
    policy = spec.policy.to_json()
    # Their rungs of 640 batches by 4: 4 of them, as 64 trials are 4**3; those brackets that have 2, 3 and 4.
    assert [policy[each] for each in ("min_steps", "reduction_factor", "brackets")] == [10, 4, 3]
    entries = spec.space.to_json()
    assert (entries["opt.lr"]["low"], entries["opt.lr"]["high"]) == (1e-4, 0.1)
    assert [entries[each]["domain"] for each in ("opt.name", "layers", "drop")] == [
        "choice",
        "integer",
        "uniform",
    ]
    assert call(["plan", "theirs-study.yaml"]) == 0


def test_a_grid_of_an_experiment_has_the_points_that_it_counts(capsys):
    text = """
hyperparameters:
  lr: {type: log, minval: -3, maxval: -1, count: 3}
  n: {type: int, minval: 1, maxval: 9, count: 3}
searcher: {name: grid, metric: loss, max_length: {epochs: 3}}
"""
    taken(text, capsys, "--trainer", "a:A")
    entries = study_file.load("theirs-study.yaml")._spec.space.to_json()
    assert [entries[each]["options"] for each in ("lr", "n")] == [[0.001, 0.01, 0.1], [1, 5, 9]]


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (f"{SWEEP}project: p\n", 16, "project"),
        (f"{SWEEP}command: [a]\n", 16, "command"),
        (f"{SWEEP}  n: {{distribution: normal, mu: 0}}\n", 16, "parameters.n"),
        (f"{SWEEP}  n: {{values: [1, 2], probabilities: [0.1, 0.9]}}\n", 16, "parameters.n"),
        (f"{SWEEP}  n: {{values: [1, 2], other: 3}}\n", 16, "parameters.n.other"),
        (SWEEP.replace("min_iter: 3,", "min_iter: 3, strict: true,"), 7, "early_terminate.strict"),
        (f"{EXPERIMENT}max_restarts: 2\n", 15, "max_restarts"),
        (f"{EXPERIMENT}bind_mounts: [{{host_path: a}}]\n", 15, "bind_mounts"),
        (EXPERIMENT.replace("metric: acc,", "metric: acc, source_trial_id: 3,"), 11, "searcher.source_trial_id"),
        (EXPERIMENT.replace("slots_per_trial: 1", "slots_per_trial: 1, weight: 2"), 13, "resources.weight"),
        (EXPERIMENT.replace("slots_per_trial: 1", "slots_per_trial: 4"), 13, "resources.slots_per_trial"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_named_with_its_line_and_left_out_only_when_asked(text, line, key, capsys):
    options = ["--trainer", "a:A", "--max-steps", "640"]
    refused = taken(text, capsys, *options, code=2)
    assert refused["study_file"] is None
    assert [(each["key"], each["line"]) for each in refused["unsupported"]] == [(key, line)]
    left_out = taken(text, capsys, *options, "--skip-unsupported")
    assert left_out["unsupported"] == refused["unsupported"]
    assert study_file.load(left_out["study_file"])


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (SWEEP, ["--max-steps=27"], "--trainer"),
        (SWEEP, ["--trainer=a:A"], "--max-steps N"),
        (SWEEP.replace("run_cap: 20\n", ""), ["--trainer=a:A", "--max-steps=27"], "--max-trials N"),
        ("a: 1\n", [], "neither a W&B sweep nor"),
        ("trainer: a:A\n", [], "hippo submit"),
        ("method: grid\nmethod: random\n", [], "theirs.yaml:2:1"),
        ("method: grid\nparameters: 3\n", ["--skip-unsupported"], "--trainer"),
    ],
)
def test_what_makes_no_study_is_refused_and_nothing_is_written(text, options, said, tmp_path, capsys):
    (tmp_path / "theirs.yaml").write_text(text)
    assert call(["study", "import", "theirs.yaml", *options]) == 2
    assert said in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["theirs.yaml"]


def test_a_file_that_is_there_is_not_written_over(capsys):
    options = ["--trainer", "a:A", "--max-steps", "27"]
    taken(SWEEP, capsys, *options)
    assert call(["study", "import", "theirs.yaml", *options]) == 2
    assert "--output" in capsys.readouterr().err
    assert taken(SWEEP, capsys, *options, "-o", "other.yaml")["study_file"] == "other.yaml"


def test_an_archive_takes_none_of_their_options(tmp_path, capsys):
    (tmp_path / "a.hippo").write_bytes(b"")
    assert call(["study", "import", "a.hippo", "--trainer", "a:A"]) == 2
    assert "no YAML file" in capsys.readouterr().err
