"""Small processes that stand in for the supervisor's real children, and tell in a file what happens to them.

``python stand_in.py supervisor HOME`` supervises stand-ins; ``server`` and ``worker`` are those.
"""

import http.server
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from hippo_client.local.commands import Commands
from hippo_client.local.home import Home
from hippo_client.local.supervisor import supervise


def note(home: Path, *words: object) -> None:
    """One line a happening, appended whole."""
    with (home / "happenings").open("a") as file:
        file.write(" ".join(map(str, (*words, os.getpid()))) + "\n")


def option(name: str) -> str:
    return next(arg.partition("=")[2] for arg in sys.argv if arg.startswith(f"--{name}="))


def listen_for_term() -> list[int]:
    """Fills when SIGTERM comes. To be called before anybody is told that this process is there."""
    # No Event: the handler runs in the thread that waits, which may hold the Event's lock just then.
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    return asked


def wait_for_term(asked: list[int]) -> None:
    while not asked:
        time.sleep(0.02)


class Metrics(http.server.BaseHTTPRequestHandler):
    home: Path

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "Bearer admin-secret"
        steps = (self.home / "steps").read_text() if (self.home / "steps").exists() else "0"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(
            f"# TYPE hippo_steps_trained_total counter\nhippo_steps_trained_total {steps}\n".encode()
        )

    def log_message(self, *_: object) -> None:
        return


def server() -> None:
    home = Path(option("home"))
    if (home / "server-fails").exists():
        sys.stdout.write((home / "server-fails").read_text())
        sys.exit(1)
    asked = listen_for_term()
    if stubborn := (home / "server-is-stubborn").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (home / "server").mkdir(exist_ok=True)
    (home / "server" / "admin.token").write_text("admin-secret\n")
    (home / "server" / "worker.token").write_text("worker-secret\n")
    # A port that a test holds for it, so that nobody else is given it meanwhile, is shared.
    listener = socket.create_server(("127.0.0.1", int(option("grpc-port"))), reuse_port=True)
    grpc = f"127.0.0.1:{listener.getsockname()[1]}"
    Metrics.home = home
    page = http.server.ThreadingHTTPServer(("127.0.0.1", int(option("http-port"))), Metrics)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    draft = home / "server" / "draft"
    draft.write_text(json.dumps({"grpc": grpc, "http": f"127.0.0.1:{page.server_port}", "pid": os.getpid()}))
    note(home, "server", "up", grpc)
    draft.replace(home / "server" / "server.json")
    if stubborn:
        time.sleep(3600)
    wait_for_term(asked)
    note(home, "server", "down")


def worker() -> None:
    home = Path(option("home"))
    if (home / "worker-fails").exists():
        sys.stdout.write("no such device\n")
        sys.exit(1)
    asked = listen_for_term()
    slots = [arg for arg in sys.argv if arg.startswith("--slots=")]
    note(home, "worker", "up", *slots)
    wait_for_term(asked)
    while (home / "worker-saves").exists():
        time.sleep(0.02)
    note(home, "worker", "down")


def supervisor() -> None:
    program = [sys.executable, __file__]
    commands = Commands(
        server=lambda home, grpc, http: [
            *program,
            "server",
            f"--home={home.path}",
            f"--grpc-port={grpc}",
            f"--http-port={http}",
        ],
        worker=lambda home, slots: [
            *program,
            "worker",
            f"--home={home.path}",
            *([] if slots is None else [f"--slots={slots}"]),
        ],
    )
    sys.exit(supervise(Home.at(sys.argv[2]), commands, linger_seconds=float(os.environ["LINGER_SECONDS"])))


if __name__ == "__main__":
    {"server": server, "worker": worker, "supervisor": supervisor}[sys.argv[1]]()
