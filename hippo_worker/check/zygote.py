"""A process that has imported torch and done nothing with it; experiments are forks of it, in some tens of ms.

Requests come over a socket, one at a time: the name of a file with the experiment, the name of a file for the result,
and the end of a pipe. Each is answered by one byte once its process runs; how that process ended comes as text over
the pipe. A process stands between the zygote and each experiment, to wait for it; so the zygote has to watch nothing.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from hippo_worker.check.addresses import scatter
from hippo_worker.check.experiment import carry_out
from hippo_worker.hosting import preload

__all__ = ["preload", "serve"]

MESSAGE_BYTES = 1 << 14


def serve(channel: socket.socket, addresses: int) -> None:
    """Works until the other side has gone.

    Args:
        channel: Where requests come from.
        addresses: Another number gives what the experiments make other addresses; 0: as a fresh process gives them.
    """
    _apart = scatter(addresses) if addresses else []
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this, and who then goes
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps who stands between
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 1)
        if not message:
            return
        if os.fork() == 0:
            channel.close()
            request, answer = message.decode().split("\n")
            _stand_between(request, answer, descriptors[0])
        os.close(descriptors[0])
        channel.send(b"!")


def _stand_between(request: str, answer: str, pipe: int) -> NoReturn:
    """Forks the experiment, waits for it and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    experiment = os.fork()
    if experiment == 0:
        os.close(pipe)
        _experiment(request, answer)
    status = os.waitstatus_to_exitcode(os.waitpid(experiment, 0)[1])
    os.write(pipe, str(status).encode())
    os._exit(0)


def _experiment(request: str, answer: str) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        carry_out(json.loads(Path(request).read_text()), answer)
        status = 0
    except BaseException:  # noqa: BLE001  it is shown, and the status tells the rest
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
