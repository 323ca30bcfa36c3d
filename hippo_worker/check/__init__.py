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
    from hippo_worker.check.processes import Zygotes


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
    arguments = parser.parse_args(argv)
    from hippo_core.errors import HippoError
    from hippo_worker.check.processes import Zygotes

    own = zygotes or Zygotes()
    try:
        return _check(arguments.spec, arguments.code, arguments.set, own)
    except HippoError as error:
        _print(error.to_json())
        return 2
    finally:
        if zygotes is None:
            own.close()


def _check(spec_file: Path, code: Path, overrides: Sequence[str], zygotes: Zygotes) -> int:
    from dataclasses import asdict

    from hippo_core.study import StudySpec
    from hippo_worker.check.course import courses, parse_override
    from hippo_worker.check.experiment import Experiment
    from hippo_worker.check.proof import Proof

    spec = StudySpec.from_json(json.loads(spec_file.read_text()))
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
