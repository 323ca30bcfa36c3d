"""The process that runners are forked from: it has imported torch and done nothing else.

Started by the daemon with an environment that holds neither token nor credentials, it never runs a tensor
operation, never starts a thread and never touches a GPU, so that a fork of it is a clean start in some tens of
milliseconds. It is the runners' parent, and so the one who learns at once how each ended, and who may signal them
without the risk of hitting a process that took over the number: it has not reaped what it signals.

What dies with whom: the daemon's end of the socket closes with the daemon, then this process kills every runner's
process group and ends; a runner is killed by the kernel with this process (``PR_SET_PDEATHSIG``, on Linux).

Requests and answers are frames (``hippo_worker.runner.messages``) of one list each; a ``spawn`` brings the
runner's end of its socket as a descriptor.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from hippo_worker.runner import main as runner
from hippo_worker.runner.finishing import finish
from hippo_worker.runner.messages import FrameReader, frame
from hippo_worker.runner.settings import PolicySettings, RunnerSettings
from hippo_worker.runner.stack import DUMP_SIGNAL
from hippo_worker.titles import set_title


def _start_policy(connection: socket.socket, settings: dict[str, Any]) -> int:
    """What few forks need is imported in these."""
    from hippo_worker.policies import main

    return main.start(connection, settings)


#: What runs in a fork.
STARTS: Mapping[str, Callable[[socket.socket, dict[str, Any]], int]] = {
    RunnerSettings.module: runner.start,
    PolicySettings.module: _start_policy,
}
_PR_SET_PDEATHSIG = 1
_OUT_OF_MEMORY_SCORE = Path("/proc/self/oom_score_adj")
_MOST_SCORE = 1000
_RUNNER_SCORE = 500  #: beyond that of the daemon, which may have one of its own in a container
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  #: of a process's resources, in bytes
_RECEIVE_BYTES = 1 << 16


class Forkserver:
    """Forks runners and tells of their ends.

    Args:
        control: The socket to the daemon.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._reader = FrameReader()
        self._descriptors: list[int] = []  # one for each spawn whose frame has yet to be complete
        self._runners: set[int] = set()
        self._signals, self._signals_write = socket.socketpair()
        self._signals.setblocking(False)
        self._signals_write.setblocking(False)

    def serve(self) -> None:
        """Works until the daemon has gone."""
        signal.set_wakeup_fd(self._signals_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # A terminal's Ctrl-C and a service manager's SIGTERM are for the daemon, which drains; this process goes
        # when the daemon has.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, self._receive)
            selector.register(self._signals, selectors.EVENT_READ, self._reap)
            self._answer("ready", describe_torch())
            try:
                while all(key.data() for key, _ in selector.select()):
                    pass
            finally:
                signal.set_wakeup_fd(-1)
                for pid in sorted(self._runners):
                    _kill_group(pid)

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, _RECEIVE_BYTES, 8)
        if not data:
            return False
        self._descriptors += descriptors
        for request in self._reader.feed(data):
            match request:
                case ["spawn", number, plain]:
                    self._spawn(number, plain, self._descriptors.pop(0))
                case ["kill", pid]:
                    if pid in self._runners:
                        _kill_group(pid)
                case ["dump", pid]:
                    if pid in self._runners:
                        with contextlib.suppress(ProcessLookupError, PermissionError):
                            os.kill(pid, DUMP_SIGNAL)
                case ["probe", names]:
                    self._answer("probed", [_in_child(partial(describe_devices, name)) for name in names])
                case _:
                    raise AssertionError(f"no such request: {request!r}")
        return True

    def _spawn(self, number: int, plain: dict[str, Any], connection: int) -> None:
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # one process too many; those that there are go on
            os.close(connection)
            self._answer("refused", number, str(error))
            return
        if pid == 0:
            self._become_runner(server, plain, connection)
        os.close(connection)
        self._runners.add(pid)
        self._answer("spawned", number, pid)

    def _become_runner(self, server: int, plain: dict[str, Any], connection: int) -> NoReturn:
        try:
            os.setsid()
            die_with_parent(server)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            for end in (self._control, self._signals, self._signals_write):
                end.close()
            with contextlib.suppress(OSError):
                die_before_the_daemon()
            os.environ.update(plain["environment"])
            settings = plain["settings"]
            if plain["own_interpreter"]:
                os.set_inheritable(connection, True)
                arguments = [str(connection), json.dumps(settings)]
                os.execv(sys.executable, [sys.executable, "-P", "-m", plain["module"], *arguments])
            with socket.socket(fileno=connection) as end:
                finish(STARTS[plain["module"]](end, settings))
        except BaseException:  # noqa: BLE001 - the fork must never return into the server's loop
            traceback.print_exc()
        finally:
            os._exit(1)

    def _reap(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            while self._signals.recv(_RECEIVE_BYTES):
                pass
        for pid in sorted(self._runners):
            # Looked at without reaping: while the number is taken, the group cannot be anybody else's.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            _kill_group(pid)
            _, status, usage = os.wait4(pid, 0)
            self._runners.discard(pid)
            self._answer("ended", pid, os.waitstatus_to_exitcode(status), usage.ru_maxrss * _RSS_UNIT)
        return True

    def _answer(self, *answer: Any) -> None:
        # A daemon that has gone is noticed by the read that follows.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(frame(list(answer)))


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # the process alone, if it has not come to make its group
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def die_with_parent(parent: int) -> None:
    """Lets the kernel kill this process when the thread that forked it ends, where the kernel can."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it ended before the call


def die_before_the_daemon(score: Path = _OUT_OF_MEMORY_SCORE) -> None:
    """Lets the kernel, where it is short of memory, rather kill this process than the daemon, whose score it was given.

    Args:
        score: What is added to a process's use of memory when the kernel chooses one, in thousandths of all.
    """
    # A daemon that is spared above all others spares no trainers.
    raised = max(0, int(score.read_text())) + _RUNNER_SCORE
    score.write_text(str(min(raised, _MOST_SCORE)))


def describe_torch() -> dict[str, Any]:
    """Which torch was imported: the part of the environment that decides bits."""
    import torch

    return {"torch": str(torch.__version__), "cuda": torch.version.cuda}


def describe_devices(visible: str | None) -> list[str]:
    """The models of this host's GPUs, in the order of their indices. Starts CUDA, so only in a child.

    Args:
        visible: What CUDA is to see, as ``CUDA_VISIBLE_DEVICES`` names it; None: what it sees anyway.
    """
    import torch

    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _in_child(function: Callable[[], list[str]]) -> list[str]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            with os.fdopen(write, "w") as pipe:
                json.dump(function(), pipe)
            status = 0
        except BaseException:  # noqa: BLE001 - the fork must never return into the server's loop
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status != 0:
        # A driver that breaks down is a host without usable GPUs; what it said is in the daemon's log.
        return []
    answer: list[str] = json.loads(text)
    return answer


def main() -> None:
    """The server; the daemon's socket is the descriptor whose number is the argument."""
    set_title("hippo-worker forkserver")
    with socket.socket(fileno=int(sys.argv[1])) as control:
        # What is imported stays: looking for garbage among it takes a quarter of the time, and finds 1 MB.
        gc.disable()
        try:
            import hippo_worker.hosting.preload  # noqa: F401 - what all this is for
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; the daemon tells it
            control.sendall(frame(["broken", f"{type(error).__name__}: {error}"]))
            raise SystemExit(1) from None
        # A runner that looks for garbage has no need to look at what it shares, nor to get copies of the pages.
        gc.freeze()
        gc.enable()
        Forkserver(control).serve()


if __name__ == "__main__":
    main()
