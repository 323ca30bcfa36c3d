"""``hippo verify``: a trial is trained alone again by the worker's program, and compared with what was shared."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.failures import ExitCode
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.options import json_option, name_argument
from hippo_client.cli.terminal import print_json, say
from hippo_client.cli.worker_command import secrets_option
from hippo_core.errors import Conflict
from hippo_core.words import plural

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_wire.v1 import study_pb2


#: How often it is told how far the training is.
TELL_SECONDS = 2.0


@click.command()
@name_argument
@click.option("--trial", "number", metavar="N", type=WholeNumber(0), required=True, help="The trial.")
@secrets_option
@json_option
def verify(name: str, number: int, secrets_file: Path | None, as_json: bool) -> int:
    """Train one trial alone again, on this machine, and compare its metrics and weights bit by bit.

    Example: hippo verify digits --trial 3
    """
    from hippo_client.cli.worker_command import require_worker

    require_worker()
    with tempfile.TemporaryDirectory(prefix="hippo-verify-") as folder:
        with connect() as client:
            request = _request(client, name, number, Path(folder))
        result = _retrain(request, Path(folder), secrets_file)
    if as_json:
        print_json(result)
    else:
        click.echo(result_in_words(number, result))
    return ExitCode.DONE if result["passed"] else ExitCode.FAILED


def _request(client: Client, name: str, number: int, folder: Path) -> dict[str, Any]:
    """What the worker's program needs to know, with code and checkpoint fetched into the folder."""
    from hippo_client.cli import calls
    from hippo_storage.bundle import unpack
    from hippo_wire.json_shapes import history_json

    spec = json.loads(calls.get_study(client, name).spec_json)
    detail = calls.get_trial(client, name, number)
    if not detail.trial.step:
        raise Conflict(
            f"Trial {number} of {name} has not been trained yet.",
            f"`hippo trial ls {name}` shows how far each is.",
        )
    _warn_of_other_environment(detail)
    code = folder / "code"
    unpack(calls.download_bundle(client, spec["bundle"]), code, spec["bundle"])
    return {
        "spec": spec,
        "hyperparameters": json.loads(detail.trial.hyperparameters_json),
        "step": detail.trial.step,
        "code": str(code),
        "history": history_json(detail.repeats[0].history if detail.repeats else detail.history),
        "checkpoint": _fetch_checkpoint(client, name, detail, folder / "checkpoint"),
    }


def _fetch_checkpoint(
    client: Client, name: str, detail: study_pb2.GetTrialResponse, folder: Path
) -> dict[str, Any] | None:
    from hippo_client.checkpoint import Checkpoint

    reached = [kept for kept in detail.checkpoints if kept.step <= detail.trial.step]
    if not reached:
        say("No checkpoint of the trial is kept: only its metrics are compared.")
        return None
    last = max(reached, key=lambda kept: kept.step)
    Checkpoint(client, name, detail.trial.number, last.step, last.size_bytes).download(folder)
    return {"step": last.step, "folder": str(folder)}


def _warn_of_other_environment(detail: study_pb2.GetTrialResponse) -> None:
    then = json.loads(detail.environment_json or "{}")
    major, minor, _ = platform.python_version_tuple()
    now = {"python": f"{major}.{minor}", "torch": version("torch")}
    for name, here in now.items():
        # torch says its build behind a plus sign, its installed distribution often does not.
        if then.get(name, here).partition("+")[0] != here.partition("+")[0]:
            say(f"Warning: trained with {name} {then[name]}, but here is {here}; bits may differ.")


def _retrain(request: dict[str, Any], folder: Path, secrets_file: Path | None) -> dict[str, Any]:
    from hippo_client.cli.worker_command import run, secrets_arguments

    file = folder / "request.json"
    file.write_text(json.dumps(request))
    result: dict[str, Any] = {}
    told = time.monotonic()
    for line in run("verify", [f"--request={file}", *secrets_arguments(secrets_file)]):
        if "passed" in line:
            result = line
        elif time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            say(f"step {line['step']} of {line['steps']}")
    return result


def result_in_words(trial: int, result: dict[str, Any]) -> str:
    """What the comparison came to."""
    compared = result["compared"]
    what = f"{plural(compared['metrics'], 'metric')} and {plural(compared['tensors'], 'tensor')}"
    if result["passed"]:
        return f"Equal, bit for bit: trial {trial} over {plural(result['steps'], 'step')}, {what}."
    if result["failure"]:
        return f"Trial {trial} failed when it was trained alone, so nothing was compared: {result['failure']}"
    lines = [f"Trial {trial}, trained alone, is not what was trained shared ({what} compared):"]
    lines += [
        f"  step {each['step']}, {each['name']}: shared {each['shared']}, alone {each['alone']}"
        for each in result["differences"]
    ]
    return "\n".join(lines)
