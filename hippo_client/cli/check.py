"""``hippo check``: the proof itself is the worker's, in processes of their own; this shows how it goes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.completion import files
from hippo_client.cli.failures import ExitCode
from hippo_client.cli.terminal import print_json, say
from hippo_client.cli.worker_command import secrets_option

if TYPE_CHECKING:
    from hippo_client.submission import Submission


# What the worker's checks are to a person.
_CHECKS = {
    "train": "training to the end",
    "save": "saving",
    "repeat": "training again",
    "evaluate": "evaluating",
    "apply": "applying twice",
    "fresh": "resuming in a fresh process",
    "warm": "resuming in a warm process",
}


@click.command()
@click.argument("study_file", metavar="STUDY.py[:NAME]|STUDY.yaml", shell_complete=files)
@click.option(
    "--set",
    "constants",
    metavar="NAME=VALUE",
    multiple=True,
    help="Give a hyper-parameter this value instead of one of the space; may be repeated.",
)
@secrets_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(study_file: str, constants: tuple[str, ...], secrets_file: Path | None, as_json: bool) -> int:
    """Prove that a trainer can be interrupted, resumed and shared without changing a bit.

    Trains a few steps several times: straight on, resumed at every step in a fresh and in a warm process, without
    evaluating, with `apply` called twice. Names what does not survive. Needs no server.

    Example: hippo check study.py --set lr=0.1
    """
    from hippo_client.cli.study_files import load
    from hippo_client.submission import prepare

    submission = prepare(load(study_file))
    with tempfile.TemporaryDirectory(prefix="hippo-check-") as folder:
        result = _prove(submission, Path(folder), constants, secrets_file)
    if as_json:
        print_json(result)
    elif result["passed"]:
        click.echo(f"Passed: what was trained over {result['steps']} steps was the same, bit for bit.")
    else:
        click.echo(problems_in_words(result["problems"]))
    return ExitCode.DONE if result["passed"] else ExitCode.FAILED


def _prove(
    submission: Submission, folder: Path, constants: tuple[str, ...], secrets_file: Path | None
) -> dict[str, Any]:
    from hippo_client.cli.worker_command import run, secrets_arguments
    from hippo_storage.bundle import unpack

    # What is proven is what would travel to a worker, not what else lies in the folder.
    unpack(submission.bundle.archive, folder / "code", submission.bundle.digest)
    spec = folder / "study.json"
    spec.write_text(submission.spec_json())
    result: dict[str, Any] = {}
    arguments = [
        f"--spec={spec}",
        f"--code={folder / 'code'}",
        *(f"--set={constant}" for constant in constants),
        *secrets_arguments(secrets_file),
    ]
    for line in run("check", arguments):
        if "check" in line:
            say(outcome_in_words(line))
        else:
            result = line
    return result


def outcome_in_words(line: dict[str, Any]) -> str:
    """What came of a check. A check may find out that it is something else that fails: that is named then."""
    if line["ok"]:
        return f"ok      {_CHECKS.get(line['check'], line['check'])}"
    failed = dict.fromkeys(problem["check"] for problem in line["problems"])
    return "\n".join(f"FAILED  {_CHECKS.get(check, check)}" for check in failed)


def problems_in_words(problems: list[dict[str, Any]]) -> str:
    """What does not survive, and what to do about each."""
    lines = []
    for problem in problems:
        check = _CHECKS.get(problem["check"], problem["check"])
        lines.append(f"{check}, step {problem['step']}: {problem['message']}")
        if problem["remedy"]:
            lines.append(f"    {problem['remedy']}")
    return "\n".join(lines)
