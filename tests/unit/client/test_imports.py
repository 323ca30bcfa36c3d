"""What importing the SDK costs, seen in a process of its own."""

import json
import subprocess
import sys

import pytest

import hippo_client as hippo

HEAVY = {"torch", "grpc", "google", "sqlalchemy", "numpy", "pandas", "rich", "blake3", "click"}


def loaded_by(program, *arguments, cwd=None):
    """Top-level modules that a program has loaded at its end."""
    code = f"import json, sys\n{program}\nprint(json.dumps(sorted({{n.partition('.')[0] for n in sys.modules}})))"
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, cwd=cwd
    )
    return set(json.loads(result.stdout))


def test_importing_the_package_loads_nothing_else():
    assert not loaded_by("import hippo_client as hippo") & HEAVY


def test_modules_of_functions_load_neither_torch_nor_grpc():
    program = "from hippo_client import schedules, space, policies, samplers, errors"
    assert not loaded_by(program) & (HEAVY - {"numpy"})


def test_a_trainer_module_loads_neither_torch_nor_grpc(folder):
    assert not loaded_by("import trainer", cwd=folder) & (HEAVY - {"numpy"})


def test_a_study_file_loads_neither_torch_nor_grpc_nor_its_trainer(folder):
    (folder / "trainer.py").write_text("import torch\nraise SystemExit('imported')")
    program = "from hippo_client.study_file import load; load('study.py').spec()"
    loaded = loaded_by(program, cwd=folder)
    assert not loaded & {"torch", "grpc", "google", "sqlalchemy", "trainer"}


@pytest.mark.parametrize("name", hippo.__all__)
def test_every_public_name_is_there(name):
    assert getattr(hippo, name) is not None
    assert name in dir(hippo)


def test_the_public_names_are_these():
    assert hippo.__all__ == [
        "Checkpoint", "Client", "Context", "Extend", "Policy", "Resources", "StageTree", "Stop", "Study",
        "StudyHandle", "Trainer", "Trial", "endings", "errors", "plots", "policies", "run", "samplers", "schedules",
        "simulation", "space",
    ]  # fmt: skip


def test_run_stays_the_function_whatever_is_imported():
    import hippo_client.local_run

    assert hippo.run is hippo_client.local_run.run


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Experiment'"):
        _ = hippo.Experiment


def test_functions_are_the_core_s():
    from hippo_core import policies, samplers, schedules, space

    for module, core in (
        (hippo.schedules, schedules),
        (hippo.space, space),
        (hippo.policies, policies),
        (hippo.samplers, samplers),
    ):
        for name in set(module.__all__) - {"own"}:  # which knows where the study is written
            assert getattr(module, name) is getattr(core, name)
