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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hippo_core.engine.states import FailureClass
from hippo_core.own_policy import Decided, Policy, PolicyContext
from hippo_core.policies import OwnSpec, from_json
from hippo_core.policies.hosting import BadVerdict, PolicyHost, round_from_json, verdict_to_json
from hippo_worker.hosting.failures import explain, place
from hippo_worker.hosting.loading import Code
from hippo_worker.runner.capture import Capture
from hippo_worker.runner.finishing import finish
from hippo_worker.runner.messages import FrameReader, frame
from hippo_worker.runner.settings import POLICY_LOG, PolicySettings
from hippo_worker.titles import set_title

_RECEIVE_BYTES = 1 << 18


def start(connection: socket.socket, settings: dict[str, Any]) -> int:
    """Runs with plain settings."""
    return run(connection, PolicySettings.from_plain(settings))


def run(connection: socket.socket, settings: PolicySettings) -> int:
    """Answers until the daemon has closed its end, or the policy has failed. Returns the exit status."""
    Capture(settings.folder / POLICY_LOG)
    faulthandler.enable()
    set_title(f"hippo-runner policy of study {settings.study}")
    _limit_memory(settings.memory_bytes)
    # A study's files lie beside its code, as they do where it was written.
    os.chdir(settings.code)
    policy: Policy | None = None
    host: PolicyHost | None = None
    try:
        for texts in _frames(connection):
            if host is None:
                spec = from_json(json.loads(settings.policy_json))
                assert isinstance(spec, OwnSpec)
                context = _context(settings)
                policy = _make(settings, spec, context.seed)
                host = PolicyHost(policy, context, spec.arguments)
            verdicts: list[Decided] = []
            for text in texts:
                verdicts = host.answer(round_from_json(json.loads(text)))
                connection.sendall(frame(["told"]))
            decided = json.dumps([verdict_to_json(each) for each in verdicts])
            connection.sendall(frame(["decided", decided]))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever user code raises
        traceback.print_exc()
        asked = host.question if host is not None else None if policy is None else policy.setup
        connection.sendall(frame(["failed", _in_words(error, asked, settings)]))
        return 1
    return 0


def _frames(connection: socket.socket) -> Iterator[list[str]]:
    reader = FrameReader()
    while data := connection.recv(_RECEIVE_BYTES):
        yield from reader.feed(data)


def _context(settings: PolicySettings) -> PolicyContext:
    known = json.loads(settings.context_json)
    return PolicyContext(
        objectives=tuple(known["objectives"]),
        maximize=tuple(known["maximize"]),
        evaluate_every=known["evaluate_every"],
        seed=known["seed"],
        constraints=tuple(known["constraints"]),
    )


def _make(settings: PolicySettings, spec: OwnSpec, seed: int) -> Policy:
    _seed(seed)
    code = Code(settings.code)
    policy = code.policy_class(spec.reference)()
    code.require_accounted()
    return policy


def _seed(seed: int) -> None:
    """What a policy draws is the same whenever it is made again."""
    random.seed(seed)
    import numpy

    numpy.random.seed(seed)


def _in_words(error: BaseException, asked: Callable[..., Any] | None, settings: PolicySettings) -> str:
    """Why a policy failed; ``asked``: its method that was called last, which no trace shows if it was left before."""
    code = settings.code.resolve()
    method = _where(asked, code)
    if isinstance(error, BadVerdict):
        return f"{error}; it is decided in {method}" if method else str(error)
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    where = place(error, code) or method
    found = explain(error, code)
    if found.failure is FailureClass.MEMORY:
        line = f"{type(error).__name__} in {where}" if where else type(error).__name__
        most = f"{settings.memory_bytes / 2**30:g} GiB"
        return f"{line}. A policy's process has at most {most} of memory: keep less on self, and use smaller arrays"
    if isinstance(error, TypeError) and where and not place(error, code):  # its arguments do not fit
        return f"{found.message} in {where}"
    return found.message


def _where(asked: Callable[..., Any] | None, code: Path) -> str:
    """A method in file and line; empty where it is none of the study's."""
    made = getattr(asked, "__code__", None)
    file = None if made is None else Path(made.co_filename)
    if made is None or file is None or not file.is_relative_to(code):
        return ""
    return f"{file.relative_to(code)}:{made.co_firstlineno}"


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
