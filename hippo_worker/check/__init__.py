"""``hippo-worker check``: proves on the user's own trainer that it can be interrupted, saved, resumed and shared.

It trains a short course of the study's values (`course`) in several processes (`experiment`) and compares states and
metrics bit by bit (`judgement`): resumed at every state in fresh processes and in a warm one, without evaluations,
with ``apply`` called twice, on another day and machine.

Standard output has one JSON object a line: ``{"check": ..., "ok": ..., "problems": [...]}`` for each check as it
ends, and last ``{"passed": ..., "steps": ..., "problems": [{"check", "step", "message", "remedy"}, ...]}``. Exit
status: 0 passed, 1 not, 2 usage or invalid study. What the trainer prints goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hippo_core.study import StudySpec
    from hippo_worker.check.processes import Zygotes
    from hippo_worker.secrets import Secrets


def main(argv: Sequence[str], zygotes: Zygotes | None = None) -> int:
    """The command.

    Args:
        argv: Its arguments, without the program's name.
        zygotes: Where processes come from, to be used again by the caller; None: its own.
    """
    parser = argparse.ArgumentParser(prog="hippo-worker check", description="Proves a trainer.")
    parser.add_argument("--spec", type=Path, required=True, help="the study's specification, a JSON file")
    parser.add_argument("--code", type=Path, required=True, help="the folder of its code")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a constant instead")
    parser.add_argument(
        "--secrets-file", type=Path, help="the worker's secrets; by default those of the home"
    )
    arguments = parser.parse_args(argv)
    from hippo_core.errors import HippoError
    from hippo_core.study import StudySpec
    from hippo_worker.check.processes import Zygotes
    from hippo_worker.settings import secrets_of_home

    try:
        spec = StudySpec.from_json(json.loads(arguments.spec.read_text()))
        secrets = secrets_of_home(arguments.secrets_file)
        secrets.chosen(spec.secrets)  # one that lacks is told before anything is trained
        # What a study sets for its libraries, they read when they are loaded.
        own = zygotes or Zygotes(spec.program.env)
        try:
            return _check(spec, secrets, arguments.code, arguments.set, own)
        finally:
            if zygotes is None:
                own.close()
    except HippoError as error:
        _print(error.to_json())
        return 2


def _check(spec: StudySpec, secrets: Secrets, code: Path, overrides: Sequence[str], zygotes: Zygotes) -> int:
    from dataclasses import asdict

    from hippo_worker.check.course import courses, parse_override
    from hippo_worker.check.experiment import Experiment
    from hippo_worker.check.proof import Proof

    chosen = courses(spec, dict(parse_override(spec, text) for text in overrides))
    with tempfile.TemporaryDirectory(prefix="hippo-check-") as made:
        folder = Path(made)
        base = Experiment(
            program=spec.program,
            code=code.resolve(),
            data_dir=folder / "data",
            device=choose_device(spec),
            values=chosen[0],
            saved=folder,
            secrets=spec.secrets,
            secrets_file=secrets.file,
        )
        base.data_dir.mkdir()
        problems: list[dict[str, Any]] = []
        for name, found in Proof(base, chosen, folder, zygotes).run():
            told = [asdict(problem) for problem in found]
            problems += told
            _print({"check": name, "ok": not found, "problems": told})
    _print({"passed": not problems, "steps": len(chosen[0]), "problems": problems})
    return 1 if problems else 0


def choose_device(spec: Any) -> str:
    """Where a worker of this machine would train the study."""
    import torch

    return "cuda" if spec.program.resources.gpus != 0 and torch.cuda.is_available() else "cpu"


def _print(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
