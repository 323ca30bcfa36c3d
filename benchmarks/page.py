"""``python -m benchmarks.page``: how long the page of a study of many trials takes to open, and how much it sends.

A server without workers is given a study of so many trials; its pages are then read by a browser's requests, over
loopback, each with its stylesheet and modules left out, which browsers keep. No figure is asserted: machines differ.
"""

from __future__ import annotations

import argparse
import http.client
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import WORKLOAD
from hippo_client import Client
from hippo_client.study_file import load
from hippo_wire.secrets import secret_hash
from hippo_wire.v1 import admin_pb2

PAGES = (
    "/",
    "/studies/many",
    "/studies/many/charts",
    "/studies/many/charts?kind=slots",
    "/studies/many/charts?kind=parallel",
    "/studies/many/tree",
    "/studies/many/tree?nodes=2000",
    "/studies/many/trials",
    "/studies/many/trials?sort=best&page=250",
    "/studies/many/trials?state=waiting&sort=-hyperparameter.lr",
    "/studies/many/trials/3",
    "/studies/many/events",
    "/studies/many/configuration",
    "/queue",
)
WAIT_SECONDS = 60.0
STUDY = """
import hippo_client as hippo
from hippo_client import samplers, schedules, space

study = hippo.Study(
    "trainer:Clocked",
    {{"lr": schedules.piecewise([space.loguniform(1e-4, 0.1), space.loguniform(1e-5, 0.01)], milestones=[9])}},
    name="many",
    minimize="loss",
    max_steps=27,
    max_trials={trials},
    sampler=samplers.random(),
)
"""


@contextmanager
def server(home: Path) -> Iterator[dict[str, str]]:
    """A server in a process of its own; gives where it listens."""
    command = [sys.executable, "-m", "hippo_server.main", "--home", str(home)]
    process = subprocess.Popen([*command, "--grpc-port", "0", "--http-port", "0"])
    said = home / "server" / "server.json"
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not said.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the server does not start")
            time.sleep(0.05)
        yield json.loads(said.read_text())
    finally:
        process.terminate()
        process.wait()


def log_in(address: str, client: Client) -> str:
    """The cookie of a browser that is logged in."""
    link = secrets.token_urlsafe()
    request = admin_pb2.CreateLoginLinkRequest(secret_hash=secret_hash(link))
    client.connection.admin.CreateLoginLink(request)
    connection = http.client.HTTPConnection(address)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", f"link={link}", headers)
    return str(connection.getresponse().headers["Set-Cookie"]).partition(";")[0]


def opened(address: str, path: str, cookie: str) -> tuple[float, int]:
    """How long a page takes, and its bytes."""
    connection = http.client.HTTPConnection(address)
    began = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie, "Accept": "text/html"})
    answer = connection.getresponse()
    size = len(answer.read())
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status}")
    return time.perf_counter() - began, size


def main() -> None:
    """Prints a line for each page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        study = Path(folder) / "study.py"
        study.write_text(STUDY.format(trials=given.trials))
        (Path(folder) / "trainer.py").write_text((WORKLOAD / "trainer.py").read_text())
        home = Path(folder) / "home"
        with server(home) as said:
            token = (home / "server" / "admin.token").read_text().strip()
            with Client(said["grpc"], token) as client:
                began = time.perf_counter()
                client.submit(load(str(study)))
                print(f"{given.trials} trials submitted in {time.perf_counter() - began:.1f} s")
                cookie = log_in(said["http"], client)
                for path in PAGES:
                    found = [opened(said["http"], path, cookie) for _ in range(given.rounds)]
                    seconds = [each for each, _ in found]
                    print(
                        f"{path:<32} {statistics.median(seconds):.3f} s "
                        f"({min(seconds):.3f} to {max(seconds):.3f}), {found[-1][1] / 1e6:.3f} MB"
                    )


if __name__ == "__main__":
    main()
