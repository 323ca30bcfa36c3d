"""Bad study files and command lines: one clear error each, in the SDK and from the command, and no server is reached.

The numbers are those of the list of forty bad inputs; `ELSEWHERE` says where those are tried that need a server or a
worker. In a study file in Python a key given twice is an argument given twice (B03), a number read as text cannot arise
(B04), nor can an alias bomb (B13): these are tried in YAML, too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hippo_client import study_file
from hippo_client.cli.main import call
from hippo_core.errors import InvalidStudy

HEAD = "import hippo_client as hippo\nfrom hippo_client import policies, samplers, schedules, space\n"
REST = 'minimize="loss", max_steps=3'
COLUMNS, LINES = 80, 3

STUDIES = {
    "B02 an argument misspelt": (
        f'{{"lr": 0.1}}, metrc="a", {REST}',
        "metrc",
        ["Did you mean 'metric'", "minimize="],
    ),
    "B02 an argument nearly right": (
        f'{{"lr": 0.1}}, max_trial=3, {REST}',
        "max_trial",
        ["Did you mean 'max_trials'"],
    ),
    "B04 text for a number": (
        f'{{"lr": space.uniform("abc", 1)}}, {REST}',
        "space.uniform.low",
        ["number", "'abc'"],
    ),
    "B05 no objective": ('{"lr": 0.1}, max_steps=3', "maximize", ['maximize="accuracy"', 'minimize="loss"']),
    "B06 maximise": ('{"lr": 0.1}, maximise="a", max_steps=3', "maximise", ["Use maximize."]),
    "B06 metric": ('{"lr": 0.1}, metric="a", max_steps=3', "metric", ["maximize=", "minimize="]),
    "B06 mode": ('{"lr": 0.1}, mode="max", max_steps=3', "mode", ["maximize", "minimize"]),
    "B06 direction": ('{"lr": 0.1}, direction="a", max_steps=3', "direction", ["maximize", "minimize"]),
    "B07 low above high": (
        f'{{"lr": space.uniform(0.5, 0.1)}}, {REST}',
        "space.uniform.high",
        ["0.5", "(0.1, 0.5)"],
    ),
    "B07 low is high": (
        f'{{"lr": space.uniform(0.3, 0.3)}}, {REST}',
        "space.uniform.high",
        ["above low", "0.3"],
    ),
    "B07 ints": (
        f'{{"n": space.integer(5, 1)}}, {REST}',
        "space.integer.high",
        ["at least low, 5", "(1, 5)"],
    ),
    "B07 log of zero": (f'{{"lr": space.loguniform(0, 1)}}, {REST}', "space.loguniform.low", ["above 0"]),
    "B07 a step above the span": (
        f'{{"lr": space.quniform(0, 0.1, 0.5)}}, {REST}',
        "space.quniform.q",
        ["0.5", "0.1", "span"],
    ),
    "B08 no options": (f'{{"lr": space.choice([])}}, {REST}', "space.choice.options", ["empty"]),
    "B08 an object": (
        f'{{"lr": space.choice([object])}}, {REST}',
        "space['lr']",
        ["is a type", "Values are"],
    ),
    "B08 partly dicts": (f'{{"lr": space.choice([1, {{}}])}}, {REST}', "space['lr']", ["partly dicts", "{}"]),
    "B09 a continuous grid": (
        f'{{"lr": space.uniform(0, 1)}}, sampler=samplers.grid(), {REST}',
        "sampler",
        ["'lr'", "space.choice"],
    ),
    "B09 a huge grid": (
        f'{{f"a{{i}}": space.integer(1, 10) for i in range(9)}}, {REST}',
        "space",
        ["grid has 1,000,000,000 points (limit 1,000,000)", "max_trials="],
    ),
    "B09 a huge grid with branches": (
        f'{{**{{f"a{{i}}": space.integer(1, 10) for i in range(9)}}, "b": space.choice([{{}}, {{"c": '
        f"space.integer(1, 2)}}])}}, {REST}",
        "space",
        ["grid has more than 1,000,000 points", "max_trials="],
    ),
    "B10 a milestone below the one before": (
        f'{{"lr": schedules.multistep(0.1, gamma=0.1, milestones=[9, 3])}}, {REST}',
        "schedules.multistep.milestones",
        ["[9, >3<]", "Write [3, 9]."],
    ),
    "B10 milestone 0": (
        f'{{"lr": schedules.piecewise([1, 2, 3], milestones=[0, 3])}}, {REST}',
        "schedules.piecewise.milestones",
        ["[>0<, 3]", "Leave it out"],
    ),
    "B10 one of many milestones": (
        f'{{"lr": schedules.multistep(1.0, gamma=0.5, milestones=[*range(1, 99), 7])}}, {REST}',
        "schedules.multistep.milestones",
        ["[..., 95, 96, 97, 98, >7<]", "in order"],
    ),
    "B10 values and milestones": (
        f'{{"lr": schedules.piecewise([1, 2, 3], milestones=[1])}}, {REST}',
        "schedules.piecewise.values",
        ["2, not 3"],
    ),
    "B12 a secret in the environment": (
        f'{{"lr": 0.1}}, env={{"WANDB_API_KEY": "{"a1" * 20}"}}, {REST}',
        "env['WANDB_API_KEY']",
        ["looks like a secret", "secrets="],
    ),
    "B12 a secret among the options": (
        f'{{"lr": 0.1}}, options={{"wandb_key": "{"a1" * 20}"}}, {REST}',
        "options['wandb_key']",
        ["looks like a secret", "secrets="],
    ),
    "B13 a deep space": (
        f'__import__("functools").reduce(lambda inner, _: {{"a": inner}}, range(1000), {{"b": 1}}), {REST}',
        "space",
        ["64 deep"],
    ),
    "B13 deep options": (
        f'{{"lr": 0.1}}, options=__import__("functools").reduce(lambda inner, _: {{"a": inner}}, range(20000), {{}}), '
        f"{REST}",
        "options",
        ["too deep"],
    ),
    "B16 a path": (
        f'{{"lr": 0.1}}, name="../x", {REST}',
        "name",
        ["[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "'../x'"],
    ),
    "B16 a NUL": (f'{{"lr": 0.1}}, name="a\\0b", {REST}', "name", ["[A-Za-z0-9._-]{0,127}", "\\x00"]),
    "B16 300 characters": (
        f'{{"lr": 0.1}}, name="a" * 300, {REST}',
        "name",
        ["[A-Za-z0-9._-]{0,127}", "aaa..."],
    ),
    "B16 an emoji": (
        f'{{"lr": 0.1}}, name="\N{GRINNING FACE}", {REST}',
        "name",
        ["[A-Za-z0-9._-]{0,127}", "\\U0001f600"],
    ),
    "B16 a newline at the end": (
        f'{{"lr": 0.1}}, name="a\\n", {REST}',
        "name",
        ["[A-Za-z0-9._-]{0,127}", "\\n"],
    ),
    "B21 a function": (f'{{"lr": len}}, {REST}', "space['lr']", ["builtin_function", "Values are"]),
    "B21 a list": (f'{{"lr": [0.1, 0.2]}}, {REST}', "space['lr']", ["list", "space.choice"]),
    "B21 an option of the trainer": (
        f'{{"lr": 0.1}}, options={{"f": print}}, {REST}',
        "options",
        ["plain data"],
    ),
    "a value that is not finite": (
        f'{{"lr": schedules.exponential(1e300, 1e9)}}, {REST}',
        "space['lr']",
        ["step 1"],
    ),
    "no steps": ('{"lr": 0.1}, minimize="loss", max_steps=0', "max_steps", ["0"]),
    "an argument that asha does not have": (
        f'{{"lr": 0.1}}, policy=policies.asha(grace_period=1), {REST}',
        "policies.asha",
        ["grace_period", "min_steps"],
    ),
    "an argument that grid does not have": (
        f'{{"lr": 0.1}}, sampler=samplers.grid(seed=1), {REST}',
        "samplers.grid",
        ["seed"],
    ),
    "a continuous space without max_trials": (
        f'{{"lr": space.uniform(0.1, 0.2)}}, {REST}',
        "max_trials",
        ["'lr'"],
    ),
    "no repeat": (f'{{"lr": 0.1}}, repeats=0, {REST}', "repeats", ["at least 1"]),
    "more than one GPU": (
        f'{{"lr": 0.1}}, resources=hippo.Resources(gpus=2), {REST}',
        "resources.gpus",
        ["2 GPUs a trial"],
    ),
}


def write(folder: Path, arguments: str, name: str = "study.py") -> str:
    (folder / name).write_text(f'{HEAD}study = hippo.Study("trainers:Any", {arguments})\n')
    return str(folder / name)


def lines(text: str) -> int:
    return sum(-(-len(line) // COLUMNS) for line in text.splitlines())


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a server fails: there is none, and none can be started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIPPO_HOME", "/dev/null/home")
    monkeypatch.delenv("HIPPO_SERVER", raising=False)


@pytest.mark.parametrize("case", STUDIES)
def test_a_bad_study_names_the_field_and_the_remedy(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1. In the SDK: field, words, file and line. 2. From the command: the same, code and exit code. 3. It is short."""
    arguments, field, words = STUDIES[case]
    file = write(tmp_path, arguments)
    with pytest.raises(InvalidStudy) as refused:
        study_file.load(file)
    assert refused.value.field == field
    assert refused.value.hint
    for word in [*words, f"{file}:3"]:
        assert word in str(refused.value)
    for command in ("plan", "run", "submit"):
        assert call([command, "study.py", "--json"]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        error = json.loads(told.err)["error"]
        assert (error["code"], error["hint"]) == ("INVALID", refused.value.hint)
        assert error["message"] == refused.value.message.replace(file, "study.py")
    assert call(["plan", "study.py"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    message, hint = said.splitlines()
    assert lines(message) <= LINES
    assert lines(hint) <= LINES


FILES = {
    "B01 a syntax error": (b"study = (\n1 2)\n", ["study.py:2", "syntax"]),
    "B03 an argument given twice": (
        b"import hippo_client as h\nh.Study(seed=1, seed=2)\n",
        ["study.py:2", "repeated"],
    ),
    "B01 a NUL": (b"study = 1\0\n", ["study.py", "null byte"]),
    "B13 a huge file": (b"#" * 50_000_000, ["study.py", "file over 1 MiB"]),
    "no study": (b"x = 1\n", ["study.py", "defines no Study"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = FILES[case]
    (tmp_path / "study.py").write_bytes(content)
    assert call(["plan", "study.py", "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["hint"]
    for word in words:
        assert word in error["message"]


#: What nobody writes in a study file.
PYTHON = re.compile(r"\b(None|True|False)\b|\b\w+=(?!=)|\b(space|schedules|policies|samplers)\.\w+\(")
YAML_REST = "minimize: loss\nmax_steps: 3\n"
YAML = {
    "B02 an argument misspelt": (
        f"max_trial: 3\nspace: {{lr: 0.1}}\n{YAML_REST}",
        "max_trial",
        "2:1",
        "Did you mean 'max_trials'",
    ),
    "B03 a key given twice": (
        f"space:\n  lr: 0.1\n  lr: 0.2\n{YAML_REST}",
        "study.yaml:4:3",
        "4:3",
        "Remove one",
    ),
    "B04 text for a number": (
        f'space:\n  lr: {{uniform: ["0.1", 1]}}\n{YAML_REST}',
        "space.lr.uniform[0]",
        "3:18",
        "Write a number",
    ),
    "B04 a number for text": (
        f"space: {{lr: 0.1}}\nenv: {{PORT: 8080}}\n{YAML_REST}",
        "env.PORT",
        "3:13",
        "Write '8080'",
    ),
    "B04 text for an int": (
        'space: {lr: 0.1}\nminimize: loss\nmax_steps: "3"\n',
        "max_steps",
        "4:12",
        "how far",
    ),
    "B05 no objective": ("space: {lr: 0.1}\nmax_steps: 3\n", "maximize", "1:1", "minimize: "),
    "B06 metric": (f"space: {{lr: 0.1}}\nmetric: loss\n{YAML_REST}", "metric", "3:1", "minimize: "),
    "B07 low above high": (
        f"space:\n  lr:\n    uniform: [0.5, 0.1]\n{YAML_REST}",
        "space.lr.uniform[1]",
        "4:20",
        "{uniform: [0.1, 0.5]}",
    ),
    "B08 no options": (f"space:\n  lr: {{choice: []}}\n{YAML_REST}", "space.lr", "3:7", "choice"),
    "B10 a milestone below the one before": (
        "space:\n  lr: {schedule: multistep, initial: 1, gamma: 0.5, milestones: [9, 3]}\n" + YAML_REST,
        "space.lr.milestones",
        "3:65",
        "Write [3, 9].",
    ),
    "B13 an alias bomb": (
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
        ),
        "study.yaml:7:12",
        "7:12",
        "Data belong into files",
    ),
    "B13 deep lists": (f"space: {'[' * 5000}", "study.yaml:2:71", "2:71", "flatter"),
    "a tab": (f"space:\n\tlr: 0.1\n{YAML_REST}", "study.yaml:3:1", "3:1", "spaces"),
    "a tag": (
        f"space: !!python/object/apply:os.system [ls]\n{YAML_REST}",
        "study.yaml:2:8",
        "2:8",
        "Remove the tag",
    ),
    "a list": (f"space:\n  lr: [0.1, 0.2]\n{YAML_REST}", "space.lr", "3:7", "{choice: [...]}"),
    "a schedule misspelt": (
        f"space:\n  lr: {{schedule: cosin}}\n{YAML_REST}",
        "space.lr.schedule",
        "3:18",
        "Did you mean 'cosine'",
    ),
    "an argument of other systems": (
        f"space: {{lr: 0.1}}\npolicy: {{policy: asha, grace_period: 1}}\n{YAML_REST}",
        "policy.grace_period",
        "3:24",
        "Use min_steps",
    ),
    "an argument that lacks": (
        "space:\n  lr: {schedule: cosine, initial: 1, final: 0}\n" + YAML_REST,
        "space.lr",
        "3:7",
        "It takes initial, final, period.",
    ),
    "arguments of a domain by name": (
        "space:\n  lr: {uniform: {low: 0, high: 1}}\n" + YAML_REST,
        "space.lr.uniform",
        "3:17",
        "{uniform: [low, high]}",
    ),
    "a call": (
        f"space: {{lr: {{uniform: [0, 1]}}}}\nsampler: grid\n{YAML_REST}",
        "sampler",
        "3:10",
        "List values for 'lr' with {choice: [...]}, or use sampler: random.",
    ),
    "a list that does not end": ("space: [a\n", "study.yaml:3:1", "3:1", "Write ] or a comma"),
    "a quote that does not end": (
        f"space: {{lr: 'a}}\n{YAML_REST}",
        "study.yaml:5:1",
        "5:1",
        "Close the quote",
    ),
    "an entry that is too far out": (
        f"space:\n  lr: 0.1\n bs: 3\n{YAML_REST}",
        "study.yaml:4:2",
        "4:2",
        "alike",
    ),
    "two names on a line": (f"space: lr: 0.1\n{YAML_REST}", "study.yaml:2:10", "2:10", "a line of its own"),
    "not YAML": (f"space: {{lr: &}}\n{YAML_REST}", "study.yaml:2:14", "2:14", "Correct the file"),
}


@pytest.mark.parametrize("case", YAML)
def test_a_bad_study_in_yaml_names_the_place_the_field_and_the_remedy(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, field, place, hint = YAML[case]
    (tmp_path / "study.yaml").write_text(f"trainer: trainers:Any\n{text}")
    with pytest.raises(InvalidStudy) as refused:
        study_file.load("study.yaml")
    assert refused.value.field == field
    assert not PYTHON.search(str(refused.value))
    for command in (["plan"], ["run"], ["submit"], ["check"], ["simulate", "--slots=1"]):
        assert call([*command, "study.yaml", "--json"]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        error = json.loads(told.err)["error"]
        assert (error["code"], error["hint"]) == ("INVALID", refused.value.hint)
        assert f"study.yaml:{place}" in error["message"]
        assert hint in error["hint"]
    assert call(["plan", "study.yaml"]) == 2
    message, remedy = capsys.readouterr().err.splitlines()
    assert lines(message) <= LINES
    assert lines(remedy) <= LINES


def test_a_file_whose_name_cannot_be_a_studys_asks_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, f'{{"lr": 0.1}}, {REST}', "_my study.py")
    assert call(["plan", "_my study.py"]) == 2
    assert 'Give name="my-study".' in capsys.readouterr().err
    write(tmp_path, f'{{"lr": 0.1}}, name="my-study", {REST}', "_my study.py")
    assert call(["plan", "_my study.py"]) == 0


@pytest.mark.parametrize(
    ("options", "left", "merged"),
    [
        ("[0.1, 0.1, 0.2]", 2, ["0.1"]),
        ("[1, 1.0, True, '1', None]", 5, []),
        ("[1, True, 1, True, 'a', 'a']", 3, ["1", "True", "a"]),
        ("[{'a': 1, 'b': 2}, {'b': 2, 'a': 1}, {'a': 2}]", 2, ["{'b': 2, 'a': 1}"]),
        ("[schedules.exponential(1.0, 0.5), schedules.exponential(1.0, 0.5)]", 1, ["exponential"]),
        ("[(1, 2), (1, 2), (1, 2.0)]", 2, ["[1, 2]"]),
    ],
)
def test_an_option_that_is_written_twice_is_merged_with_a_warning(
    tmp_path: Path, options: str, left: int, merged: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """B08: as it is written: 1, 1.0 and True are three."""
    file = write(tmp_path, f'{{"lr": space.choice({options})}}, name="s", {REST}')
    study = study_file.load(file)
    assert len(study.spec().space.domains["lr"].options) == left
    told = [each for each in study.warnings if "written more than once" in each]
    assert len(told) == bool(merged)
    for word in merged:
        assert word in told[0]
    assert call(["plan", file]) == 0
    out = capsys.readouterr()
    assert ("written more than once" in out.out + out.err) is bool(merged)


COMMANDS = {
    "B27 a command misspelt": (["studdy", "ls"], "No such command 'studdy'", "study"),
    "B27 a verb misspelt": (["study", "shwo", "x"], "No such command 'shwo'", "show"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_misspelt_is_answered_with_the_nearest(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, said, near = COMMANDS[case]
    assert call(arguments) == 2
    told = capsys.readouterr().err
    assert said.lower() in told.lower()
    assert f"did you mean '{near}'?" in told.lower()


#: By number, the tests that try what no table here does: files below tests/, and what is defined there.
ELSEWHERE = {
    "B11": ["unit/engine/test_cluster.py::test_study_and_trials_tell_that_no_slot_can_ever_serve_them"],
    "B14": ["integration/server/test_bad_inputs.py::test_the_same_study_again_is_the_same_study"],
    "B15": ["integration/server/test_bad_inputs.py::COMMANDS"],
    "B17": [
        "unit/hosting/test_paths.py::test_metrics_that_are_not_finite_are_told_as_they_are",
        "unit/engine/test_repeats.py::test_a_point_of_which_a_repeat_diverges_has_diverged",
    ],
    "B18": [
        "unit/hosting/test_context.py::test_numbers_of_all_kinds_are_metrics",
        "unit/hosting/test_context.py::test_what_is_no_real_number_is_no_metric",
    ],
    "B19": ["unit/engine/test_cluster.py::test_the_argument_that_names_the_missing_objective_is_told"],
    "B20": ["integration/server/test_work.py::test_a_repeated_report_is_acknowledged_and_changes_nothing"],
    "B22": ["integration/server/test_bad_inputs.py::CALLS"],
    "B23": ["integration/server/test_bad_inputs.py::PAGES"],
    "B24": ["integration/server/test_bad_inputs.py::CALLS"],
    "B25": ["integration/server/test_bad_inputs.py::CALLS"],
    "B26": [
        "security/test_calls.py::test_what_is_too_large_is_refused_by_its_limit_and_the_connection_lives",
        "security/test_http_gate.py::test_a_body_is_read_up_to_the_limit",
    ],
    "B28": ["integration/server/test_bad_inputs.py::SERVERS"],
    "B29": [
        "integration/server/test_bad_inputs.py::COMMANDS",
        "unit/cli/test_study_commands.py::test_a_deletion_where_nobody_can_be_asked_says_what_would_go_and_does_nothing",
    ],
    "B30": [
        "unit/cli/test_doctor_checks.py::test_a_storage_that_is_no_folder_is_a_fault",
        "unit/worker/test_settings.py::test_a_worker_that_cannot_begin_says_so_before_anything_is_started",
        "integration/worker/test_isolation.py::test_a_wrong_token_ends_the_worker_with_words",
    ],
    "B31": ["unit/hosting/test_paths.py::test_a_module_that_cannot_be_imported_is_told_with_file_and_line"],
    "B32": [
        "unit/client/test_class_source.py::test_a_method_that_cannot_be_called_as_it_has_to_be_is_refused"
    ],
    "B33": ["integration/worker/test_deaths.py::test_a_runner_that_dies_is_told_with_whose_fault_it_is"],
    "B34": [
        "integration/worker/test_deaths.py::test_a_runner_that_dies_is_told_with_whose_fault_it_is",
        "unit/worker/test_logs.py::test_beyond_the_limit_a_notice_stands_and_the_file_is_kept_short",
    ],
    # What an optimizer holds shows in no evaluation, so that `hippo check` trains on and compares.
    "B35": ["unit/hosting/test_check.py::test_a_broken_trainer_fails_and_the_cause_is_named"],
    "B36": [
        "unit/storage/test_storage.py::test_a_file_of_another_length_or_content_is_corrupt",
        "acceptance/test_faults.py::test_a_flipped_bit_is_found_before_it_is_loaded",
    ],
    "B37": [
        "unit/storage/test_unpickled.py::test_a_pickle_in_a_files_place_is_refused_and_not_run",
        "security/test_malicious_states.py::test_what_is_pickled_stays_so",
    ],
    "B38": [
        "unit/storage/test_storage.py::test_a_manifest_that_names_an_unsafe_path_opens_nothing",
        "unit/storage/test_storage.py::test_a_link_in_a_checkpoint_is_not_followed",
        "unit/storage/test_storage.py::test_a_manifest_that_tells_of_too_many_bytes_opens_nothing",
        "unit/storage/test_storage.py::test_a_manifest_of_a_newer_format_asks_for_an_upgrade",
    ],
    "B39": [
        "integration/server/test_bad_inputs.py::CALLS",
        "integration/server/test_bad_inputs.py::"
        "test_a_request_id_that_is_used_again_for_something_else_is_a_conflict",
        "security/test_workers.py::test_a_lease_that_no_longer_stands_changes_nothing",
    ],
    "B40": [
        "integration/server/test_bad_inputs.py::test_a_version_that_does_not_fit_is_told_which_to_install",
        "unit/wire/test_versions.py::test_others_do_not_and_hear_which_version_to_install",
        "integration/server/test_tls.py::test_a_caller_without_tls_is_told_so",
    ],
}


def test_each_of_the_forty_is_tried() -> None:
    """And what is said to be tried elsewhere is there."""
    here = {row[:3] for table in (STUDIES, FILES, COMMANDS) for row in table if row.startswith("B")}
    assert here | set(ELSEWHERE) == {f"B{number:02}" for number in range(1, 41)}
    tests = Path(__file__).resolve().parents[2]
    for number, places in ELSEWHERE.items():
        for place in places:
            file, _, name = place.partition("::")
            text = (tests / file).read_text()
            assert re.search(rf"^(async def {name}\(|def {name}\(|{name}\b.* = )", text, re.MULTILINE), place
            if name.isupper():
                assert f'"{number} ' in text, place
