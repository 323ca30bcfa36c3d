"""Bad input gets one clear error that names the field and the remedy, and nothing is half-done: what needs processes.

Studies that are refused as they are written, and calls that a server refuses, are in the two test_bad_inputs.py.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hippo_client.cli.main import call
from tests.acceptance.conftest import COMMAND, LocalHome, Pool, environment, until
from tests.acceptance.oracle import study_file

HEAD = "import hippo_client as hippo\nfrom hippo_client import policies, samplers, schedules, space\n\n"


def write_trainer(local: LocalHome, name: str, body: str) -> str:
    """A module of that name with a trainer whose class body ends with these methods, and a study of it."""
    (local.folder / f"{name}.py").write_text(
        "import torch\nimport hippo_client as hippo\n\n\nclass Broken(hippo.Trainer):\n"
        "    def setup(self, context):\n        self.model = torch.nn.Linear(2, 1)\n"
        "    def apply(self, hp):\n        self.lr = hp['lr']\n"
        "    def train(self, step):\n        self.model.weight.data += self.lr\n"
        f"{body}\n"
    )
    space = '{"lr": space.choice([0.1, 0.2])}'
    study = f'hippo.Study("{name}:Broken", {space}, name="{name}", minimize="loss", max_steps=3)'
    return local.write(f"{name}_study.py", f"{HEAD}study = {study}\n")


TRAINERS = {
    "an objective that is not reported": (
        "    def evaluate(self):\n        return {'los': 1.0, 'accuracy': 0.5}",
        ["optimises 'loss'", "accuracy", "did you mean 'los'"],
    ),
    "an objective that is no number": (
        "    def evaluate(self):\n        return {'loss': 'low'}",
        ["loss", "number"],
    ),
    "an objective of several numbers": (
        "    def evaluate(self):\n        return {'loss': torch.zeros(3)}",
        ["loss", "number"],
    ),
    "an import that fails": (
        "    def evaluate(self):\n        import timm_is_not_here\n        return {'loss': 1.0}",
        ["timm_is_not_here", "_import_that_fails.py"],
    ),
    "a state that cannot be saved": (
        "    def train(self, step):\n        self.hook = iter([1])\n"
        "    def evaluate(self):\n        return {'loss': 1.0}",
        ["hook"],
    ),
}


@pytest.mark.parametrize("case", TRAINERS)
def test_a_broken_trainer_fails_the_study_with_its_cause(shared_home: LocalHome, case: str) -> None:
    """Exit 1; the reason is shown for the study or its trials."""
    body, words = TRAINERS[case]
    name = case.replace(" ", "_")
    done = shared_home.run("run", write_trainer(shared_home, name, body), exits=1)
    shown = done.stdout + done.stderr + shared_home.run("trial", "show", name, "0").stdout
    for word in words:
        assert word in shown, shown


def test_a_trainer_that_lacks_a_method_or_cannot_be_found_is_refused_before_anything_runs(
    shared_home: LocalHome,
) -> None:
    done = shared_home.run("run", write_trainer(shared_home, "lacking", ""), exits=2)
    assert "evaluate" in done.stderr
    text = study_file("Dropout", "first").replace("trainers:Dropout", "trainers:Droput")
    done = shared_home.run("run", shared_home.write("first.py", text), exits=2)
    assert "Droput" in done.stderr
    assert "Dropout" in done.stderr
    text = study_file("Dropout", "first").replace("trainers:Dropout", "trainer:Dropout")
    done = shared_home.run("run", shared_home.write("first.py", text), exits=2)
    assert "trainer" in done.stderr


def test_tokens_servers_and_names_have_exit_codes_of_their_own(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not allowed: 4. Unreachable: 3. Not found: 5. Conflict with the difference: 6."""
    monkeypatch.chdir(pool.folder)

    def hippo(*arguments: str, exits: int, **variables: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("HIPPO_TOKEN", "HIPPO_TOKEN_FILE"):
                patch.delenv(name, raising=False)
            for name, value in {"HIPPO_HOME": str(pool.path / "elsewhere"), **variables}.items():
                patch.setenv(name, value)
            code = call([*arguments])
        told = capsys.readouterr().err
        assert code == exits, told
        assert "Traceback" not in told
        return told

    token = (pool.path / "server" / "admin.token").read_text().strip()
    worker = (pool.path / "server" / "worker.token").read_text().strip()
    here = {"HIPPO_SERVER": pool.address}
    assert "HIPPO_TOKEN" in hippo("study", "ls", exits=4, **here)
    assert "HIPPO_TOKEN" in hippo("study", "ls", exits=4, HIPPO_TOKEN="hippo_wrong", **here)
    assert "worker" in hippo("study", "ls", exits=4, HIPPO_TOKEN=worker, **here)
    assert "127.0.0.1:1" in hippo("study", "ls", exits=3, HIPPO_SERVER="127.0.0.1:1", HIPPO_TOKEN=token)
    (pool.folder / "first.py").write_text(study_file("Dropout", "first"))
    hippo("submit", "first.py", exits=0, HIPPO_TOKEN=token, **here)
    assert "first" in hippo("study", "show", "frist", exits=5, HIPPO_TOKEN=token, **here)
    (pool.folder / "first.py").write_text(study_file("Dropout", "first", "max_steps=8, seed=3"))
    conflict = hippo("submit", "first.py", exits=6, HIPPO_TOKEN=token, **here)
    assert "seed: 0 -> 3" in conflict


def test_a_home_on_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 80) / ("b" * 80)
    home = LocalHome(deep, tmp_path)
    assert home.json("study", "ls") == []
    home.run("down")


def test_two_runs_at_once_train_the_study_once(local: LocalHome) -> None:
    """The second attaches to what the first started."""
    file = local.write("first.py", study_file("Dropout", "first", "max_steps=8, options={'pause': 0.05}"))
    both = [
        subprocess.Popen(
            [*COMMAND, "run", file, "--json"],
            cwd=local.folder,
            env=environment(HIPPO_HOME=str(local.path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    results = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    first, second = (json.loads(out) for out, _ in results)
    assert first["savings"]["steps_trained"] == second["savings"]["steps_trained"]
    assert first["savings"]["steps_retrained"] == 0


def test_importing_the_client_and_planning_import_no_torch(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(
        f'{HEAD}study = hippo.Study("nowhere:Trainer", {{"lr": 0.1}}, minimize="loss", max_steps=3)\n'
    )
    program = (
        "import sys, runpy\n"
        "sys.argv = ['hippo', 'plan', 'study.py']\n"
        "try:\n    runpy.run_module('hippo_client.cli.main', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(sorted(name for name in ('torch', 'sqlalchemy', 'grpc', 'nowhere') if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


HEAVY = """
import torch
import trainers


class Heavy(trainers.Dropout):
    def setup(self, context):
        super().setup(context)
        self.ballast = torch.rand(60_000)

    def train(self, step):
        self.ballast += 1
        return super().train(step)
"""


def test_a_full_disk_is_told_and_nothing_is_taken_for_saved(local: LocalHome, tmp_path: Path) -> None:
    """1. The storage holds no checkpoint. 2. The study says so and goes on trying. 3. With room again it completes,
    and the trial has its last state."""
    storage = tmp_path / "small"
    storage.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", storage], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs the right to")
    local.write("heavy.py", HEAVY)
    text = study_file("Heavy", "first", "max_steps=8, max_trials=1, sampler=samplers.grid()")
    file = local.write("first.py", text.replace("trainers:", "heavy:"))
    run = subprocess.Popen(
        [*COMMAND, "run", file, "--json"],
        cwd=local.folder,
        env=environment(HIPPO_HOME=str(local.path), HIPPO_STORAGE=str(storage)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until((local.path / "server" / "server.json").exists, "a server")
        with local.client() as client:
            until(lambda: client.studies(), "the study")
            told = r"blocked: storage: worker .*: The storage is full \(need [\d.]+ KiB, free [\d.]+ K?i?B\): writing "
            until(
                lambda: re.match(told, client.study("first").reason),
                "a reason that names the full storage",
                90,
            )
            until(lambda: not glob.glob(f"{storage}/*/temporary/*"), "no rest of what did not fit")  # noqa: PTH207
        subprocess.run(["mount", "-o", "remount,size=64m", storage], check=True)
        out, _ = run.communicate(timeout=120)
        assert run.returncode == 0
        assert json.loads(out)["trials"]["completed"] == 1
        with local.client() as client:
            assert client.study("first").trial(0).checkpoint().step == 8
    finally:
        run.kill()
        run.communicate()
        local.run("down")
        subprocess.run(["umount", "-l", storage], check=False)
