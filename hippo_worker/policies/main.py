"""What the process of a user's own policy does: makes the policy, is told rounds, and says what it decides.

Frames in: a list of rounds, each as JSON text. Frames out: ``["told"]`` after each of them, then ``["decided",
verdicts]``, those of the last one as JSON text; or ``["failed", words]``, after which the process ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import random
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hippo_core.own_policy import Decided, PolicyContext
from hippo_core.policies import OwnSpec, from_json
from hippo_core.policies.hosting import BadVerdict, PolicyHost, round_from_json, verdict_to_json
from hippo_worker.hosting.failures import explain
from hippo_worker.hosting.loading import Code
from hippo_worker.runner.capture import Capture
from hippo_worker.runner.finishing import finish
from hippo_worker.runner.messages import FrameReader, frame
from hippo_worker.runner.settings import PolicySettings
from hippo_worker.titles import set_title

LOG = "policy.log"
_RECEIVE_BYTES = 1 << 18


def start(connection: socket.socket, settings: dict[str, Any]) -> int:
    """Runs with plain settings."""
    return run(connection, PolicySettings.from_plain(settings))


def run(connection: socket.socket, settings: PolicySettings) -> int:
    """Answers until the daemon has closed its end, or the policy has failed. Returns the exit status."""
    Capture(settings.folder / LOG)
    faulthandler.enable()
    set_title(f"hippo-runner policy of study {settings.study}")
    _limit_memory(settings.memory_bytes)
    # A study's files lie beside its code, as they do where it was written.
    os.chdir(settings.code)
    host: PolicyHost | None = None
    try:
        for texts in _frames(connection):
            if host is None:
                host = _make(settings)
            verdicts: list[Decided] = []
            for text in texts:
                verdicts = host.answer(round_from_json(json.loads(text)))
                connection.sendall(frame(["told"]))
            decided = json.dumps([verdict_to_json(each) for each in verdicts])
            connection.sendall(frame(["decided", decided]))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever user code raises
        traceback.print_exc()
        connection.sendall(frame(["failed", _in_words(error, host, settings.code.resolve())]))
        return 1
    return 0


def _frames(connection: socket.socket) -> Iterator[list[str]]:
    reader = FrameReader()
    while data := connection.recv(_RECEIVE_BYTES):
        yield from reader.feed(data)


def _make(settings: PolicySettings) -> PolicyHost:
    spec = from_json(json.loads(settings.policy_json))
    assert isinstance(spec, OwnSpec)
    known = json.loads(settings.context_json)
    context = PolicyContext(
        objectives=tuple(known["objectives"]),
        maximize=tuple(known["maximize"]),
        evaluate_every=known["evaluate_every"],
        seed=known["seed"],
    )
    _seed(context.seed)
    code = Code(settings.code)
    policy = code.policy_class(spec.reference)()
    code.require_accounted()
    return PolicyHost(policy, context, spec.arguments)


def _seed(seed: int) -> None:
    """What a policy draws is the same whenever it is made again."""
    random.seed(seed)
    import numpy

    numpy.random.seed(seed)


def _in_words(error: BaseException, host: PolicyHost | None, code: Path) -> str:
    if isinstance(error, BadVerdict):
        return f"{error}{'' if host is None else _where(host, code)}"
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return explain(error, code).message


def _where(host: PolicyHost, code: Path) -> str:
    """The method that decided, in file and line."""
    asked = getattr(host.question, "__code__", None)
    file = None if asked is None else Path(asked.co_filename)
    if asked is None or file is None or not file.is_relative_to(code):
        return ""
    return f"; it is decided in {file.relative_to(code)}:{asked.co_firstlineno}"


def _limit_memory(memory_bytes: int) -> None:
    import resource

    with contextlib.suppress(ValueError, OSError):  # a lower limit is in force, or there is none here
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def main() -> None:
    """In an interpreter of its own: the socket comes as a descriptor's number, the settings as JSON."""
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        finish(start(connection, json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
