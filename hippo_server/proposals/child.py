"""A process that makes points and judgements: reads a line, answers with a line, until the server is gone.

It holds no credentials and opens nothing. What samplers print goes to the server's log.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

from hippo_core.endings import Terminator
from hippo_core.errors import HippoError, InvalidStudy
from hippo_core.study import StudySpec
from hippo_server.proposals.known import KnownTrials, Recent
from hippo_server.proposals.messages import Message, encode, judgement_of, point_message, task_of

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serves the process that started it."""
    parent, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    _end_with(parent)
    _limit_memory(memory_bytes)
    _set_title()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is for the server
    respond = _prepare()
    _serve(sys.stdin.buffer, answers, respond)


def _serve(questions: BinaryIO, answers: BinaryIO, respond: Callable[[Message], Message]) -> None:
    answers.write(encode({"ready": True}))
    answers.flush()
    for line in questions:
        answers.write(encode(respond(json.loads(line))))
        answers.flush()


def _prepare() -> Callable[[Message], Message]:
    """What answers; imports Optuna, which takes a second."""
    try:
        import optuna
    except ImportError as error:
        message = f"Optuna cannot be imported where the server runs: {error}"
        refusal = _error(InvalidStudy("sampler", message, "Install hippo-hpo[server] there."))
        return lambda _: refusal
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return partial(_respond, Recent())


def _respond(studies: Recent[str, KnownTrials], message: Message) -> Message:
    from hippo_server.proposals.judging import judge, require_terminator
    from hippo_server.proposals.sampling import make_point, require

    try:
        if "trial" in message:
            name = json.dumps(message["spec"])
            known = studies.of(name, lambda: KnownTrials(StudySpec.from_json(message["spec"])))
            return point_message(make_point(task_of(message, known.spec, known.rows), known))
        spec = StudySpec.from_json(message["spec"])
        if "judge" in message:
            gain, threshold = judge(judgement_of(message, spec))
            return {"gain": gain, "threshold": threshold}
        if spec.sampler.learns and not spec.sampler.outside:
            require(spec.sampler, constrained=bool(spec.constraints))
        terminator = spec.ending(Terminator)
        if terminator is not None:
            require_terminator(terminator)
        return {"ready": True}
    except HippoError as error:
        return _error(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a sampler raises
        return {"error": f"{type(error).__name__}: {error}", "hint": "", "field": "sampler"}
    finally:
        studies.trim()


def _error(error: HippoError) -> dict[str, Any]:
    field = error.field if isinstance(error, InvalidStudy) else "sampler"
    return {"error": error.message, "hint": error.hint, "field": field}


def _end_with(parent: int) -> None:
    """Ends with the server, also in the midst of a proposal; where Linux is not, at the end of the input."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)


def _limit_memory(memory_bytes: int) -> None:
    import resource

    with contextlib.suppress(ValueError, OSError):  # a lower limit is in force, or there is none here
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def _set_title() -> None:
    os.environ["SPT_NOENV"] = "1"
    import setproctitle

    setproctitle.setproctitle("hippo-server proposals")


if __name__ == "__main__":
    main()
