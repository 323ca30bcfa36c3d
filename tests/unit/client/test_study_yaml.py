"""Study files in YAML: what they read as, and that they say what a study file in Python says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hippo_client as hippo
from hippo_client import endings, policies, samplers, schedules, space, study_file, study_yaml
from hippo_client.study_yaml_writing import write
from hippo_client.yaml_text import DEEPEST, MOST_NODES, dump, parse
from hippo_core.errors import InvalidStudy
from hippo_core.space import Space
from tests import strategies

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
HEAD = "trainer: trainers:Any\nminimize: loss\nmax_steps: 30\n"


def read(text, path="/folder/study.yaml"):
    return study_yaml.read(text, Path("study.yaml"), Path(path))


def in_python(**arguments):
    study = hippo.Study("trainers:Any", minimize="loss", name="study", **{"max_steps": 30} | arguments)
    return study._spec.to_json()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1.", 1.0), (".5", 0.5), ("-2", -2), ("010", 10), ("+7", 7), ("0x1F", 31), ("0o17", 15),
        ("1_000", "1_000"), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"), ("0b1", "0b1"), ("1e", "1e"),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"), ("y", "y"), ("=", "="),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("nil", "nil"),
        ("'1'", "1"), ('"true"', "true"), ("-.inf", float("-inf")),
    ],
)  # fmt: skip
def test_plain_values_are_those_of_the_core_schema(text, value):
    found = parse(f"a: {text}\n", "f").value["a"]
    assert (found, type(found)) == (value, type(value))


def test_each_key_and_value_has_its_place():
    document = parse("a: 1\nb:\n  - {c: 2}\n  - x\n", "f.yaml")
    assert str(document.place(("b", 0, "c"))) == "3:9"
    assert str(document.place(("b", 0, "c"), key=True)) == "3:6"
    assert str(document.place(("b", 1))) == "4:5"
    assert str(document.place(("b", 7))) == "3:3"


def test_an_alias_is_a_copy_and_the_bounds_count_what_it_unfolds_to():
    assert parse("a: &x [1, 2]\nb: *x\n", "f").value == {"a": [1, 2], "b": [1, 2]}
    deep = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    assert parse(f"a: {deep}", "f").value
    with pytest.raises(InvalidStudy, match="deep"):
        parse(f"a: [{deep}]", "f")
    with pytest.raises(InvalidStudy, match="deep"):
        parse(f"a: &x {deep[1:-1]}\nb: [[*x]]", "f")
    many = ", ".join(["1"] * 300)
    copies = ", ".join(["*x"] * (MOST_NODES // 301 - 2))
    assert len(parse(f"a: &x [{many}]\nb: [{copies}]", "f").value["b"]) == MOST_NODES // 301 - 2
    with pytest.raises(InvalidStudy, match=r"f:2:\d+: unfolds to more than 100,000"):
        parse(f"a: &x [{many}]\nb: [{copies}, *x, *x]", "f")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
    | st.from_regex(r"\A[-+0-9.eExo_:~ynaft]{1,6}\Z"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.from_regex(r"\A[a-z0-9.]{1,4}\Z"), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(PLAIN)
def test_what_is_written_is_read_back(value):
    assert repr(parse(dump({"a": value}), "f").value) == repr({"a": value})


@pytest.mark.parametrize("example", ["digits", "language_model"])
def test_the_examples_are_the_same_in_yaml(example):
    given_one = study_file.load(EXAMPLES / example / "study.py")
    again = read(write(given_one.spec()), str(EXAMPLES / example / "study.yaml"))
    assert again.spec().to_json() == given_one.spec().to_json()


def test_the_example_in_yaml_is_the_one_in_python():
    yaml, python = (study_file.load(EXAMPLES / "digits" / f"study.{end}") for end in ("yaml", "py"))
    assert yaml.spec().to_json() == python.spec().to_json()


@given(strategies.grids(), st.integers(0, 9))
def test_a_study_in_yaml_is_the_one_in_python(grid, seed):
    entries = Space.from_json(
        {name: {"domain": "choice", "options": options} for name, options in grid.items()}
    ).to_json()
    try:
        spec = hippo.Study(
            "trainers:Any", entries, minimize="loss", max_steps=30, name="study", seed=seed, code_version="1"
        )._spec
    except InvalidStudy:  # a schedule that is not finite
        return
    assert read(write(spec))._spec.to_json() == spec.to_json()


ALL = {
    "domains": (
        {
            "a": space.uniform(0, 1), "b": space.loguniform(1e-4, 0.1), "c": space.quniform(0, 1, 0.25),
            "d": space.integer(1, 9), "e": space.logint(1, 99, name="width"),
            "f": space.choice([1, 2.0], type=float),
            "g": space.choice([{"x": 1, "y": space.uniform(0, 1)}, {}]),
            "h": {"i": (0.9, 0.999), "j": 1e22},
            "k": space.choice([(0.9, 0.99), (0.9, 0.999)]), "fits": space.constraint("a + c <= 1.5"),
        },
        {"max_trials": 9},
        """
space:
  a: {uniform: [0, 1]}
  b: {loguniform: [1e-4, 0.1]}
  c: {quniform: [0, 1, 0.25]}
  d: {domain: integer, low: 1, high: 9}
  e: {logint: [1, 99], name: width}
  f: {choice: [1, 2.0], type: float}
  g: {choice: [{x: 1, y: {uniform: [0, 1]}}, {}]}
  h: {i: {schedule: constant, value: [0.9, 0.999]}, j: 1e22}
  k: {choice: [[0.9, 0.99], [0.9, 0.999]]}
  fits: {constraint: a + c <= 1.5}
max_trials: 9
""",
    ),
    "all else": (
        {
            "lr": schedules.wsd(space.choice([0.1, 0.2]), warmup=1, decay=0.2),
            "n": schedules.rounded(schedules.exponential(8, 1.1)),
        },
        {
            "horizons": [10, 20], "max_steps": None, "sampler": samplers.tpe(startup_trials=3), "max_trials": 8,
            "policy": policies.asha(), "unit": "iteration", "evaluate_every": 5, "seed": 7, "repeats": 2,
            "options": {"data": ["a", 1e-3]}, "data_version": "v1", "deterministic": False, "checkpoint_every": 5,
            "keep": "best:3", "checkpoint_budget": "2GiB", "resources": hippo.Resources(cpus=2, gpus=0),
            "priority": 1,
            "endings": [endings.timeout(hours=2), endings.target(0.1)], "constraints": ["ms <= 10"],
            "env": {"A": "1"}, "secrets": ["KEY"],
        },
        """
space:
  lr: {schedule: wsd, peak: {choice: [0.1, 0.2]}, warmup: 1, decay: 0.2}
  n: {schedule: rounded, of: {schedule: exponential, initial: 8, gamma: 1.1}}
horizons: [10, 20]
max_steps:
sampler: {sampler: tpe, startup_trials: 3}
max_trials: 8
policy: asha
unit: iteration
evaluate_every: 5
seed: 7
repeats: 2
options: {data: [a, 1e-3]}
data_version: v1
deterministic: false
checkpoint_every: 5
keep: best:3
checkpoint_budget: 2GiB
resources: {cpus: 2, gpus: 0}
priority: 1
endings: [{ending: timeout, hours: 2}, {ending: target, value: 0.1}]
constraints: [ms <= 10]
env: {A: "1"}
secrets: [KEY]
""",
    ),
    "an own policy, and the end of a schedule": (
        {"lr": schedules.cosine(0.1, 0.0, period=20), "opt": space.choice(["sgd", (1, 2)])},
        {
            "max_steps": space.end_of("lr"), "policy": policies.own("mine:Mine", window=3), "max_trials": 4,
            "sampler": samplers.optuna("TPESampler", multivariate=True),
            "initial": [{"opt": (1, 2)}, {"opt": "sgd"}],
        },
        """
space:
  lr: {schedule: cosine, initial: 0.1, final: 0.0, period: 20}
  opt: {choice: [sgd, [1, 2]]}
max_steps: {end_of: lr}
policy: {policy: own, reference: mine:Mine, arguments: {window: 3}}
max_trials: 4
sampler: {sampler: optuna, name: TPESampler, arguments: {multivariate: true}}
initial: [{opt: [1, 2]}, {opt: sgd}]
""",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALL)
def test_every_argument_is_what_it_is_in_python(case):
    entries, arguments, text = ALL[case]
    wanted = in_python(space=entries, **arguments)
    head = HEAD if "max_steps" not in text else HEAD.replace("max_steps: 30\n", "")
    found = read(head + text)._spec
    assert found.to_json() == wanted
    assert read(write(found))._spec.to_json() == wanted


@pytest.mark.parametrize("word", policies.__all__)
def test_every_policy_can_be_named(word):
    needed = {
        "own": {"reference": "mine:Mine"},
        "patience": {"evaluations": 3},
        "threshold_stopping": {"threshold": 0.5},
        "pbt": {"interval": 3},
        "pb2": {"interval": 3},
    }
    start = {"domain": "choice", "options": [0.1, 1.0]}
    values = start if word == "trie_asha" else {"uniform": [0.1, 1]}
    entries = {"lr": {"schedule": "piecewise", "values": [values, values], "milestones": [9]}, "n": start}
    asked = {"policy": word, **needed[word]} if word in needed else word
    arguments = {"minimize": "loss", "max_steps": 27, "max_trials": 9, "policy": asked}
    found = read(dump({"trainer": "a:A", **arguments, "space": entries}))._spec
    assert found.policy.to_json()["policy"] == word
    assert read(write(found))._spec.to_json() == found.to_json()


WRONG = [
    3,
    -1,
    2.5,
    True,
    None,
    "x",
    "",
    [],
    [1],
    ["x"],
    [[1]],
    {},
    {"a": 1},
    {"a": [1]},
    [{"a": {}}],
    {"policy": 3},
]


@pytest.mark.parametrize("name", study_yaml.ARGUMENTS)
def test_a_value_of_another_type_is_told_with_its_place(name):
    good = {"trainer": "a:A", "space": {"lr": 0.1}, "minimize": "loss", "max_steps": 3}
    for wrong in WRONG:
        text = dump({name: wrong, **{key: each for key, each in good.items() if key != name}})
        told = "study.yaml:"
        try:
            read(text)
        except InvalidStudy as error:
            told = str(error)
        assert "study.yaml:" in told, wrong


def test_a_folder_of_code_is_relative_to_the_file(tmp_path):
    (tmp_path / "lib").mkdir()
    study = read(f"{HEAD}space: {{}}\ncode: [lib]\n", str(tmp_path / "study.yaml"))
    assert study.code_paths == (tmp_path / "lib",)
    assert study.name == "study"


def test_a_name_after_the_file_is_refused(tmp_path):
    (tmp_path / "s.yml").write_text(f"{HEAD}space: {{}}\n")
    assert study_file.load(tmp_path / "s.yml").name == "s"
    with pytest.raises(InvalidStudy, match="one study"):
        study_file.load(f"{tmp_path / 's.yml'}:other")
    (tmp_path / "s.yml").write_bytes(b"a: \xff")
    with pytest.raises(InvalidStudy, match="UTF-8"):
        study_file.load(tmp_path / "s.yml")
