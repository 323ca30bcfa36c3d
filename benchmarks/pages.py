"""How long the pages of studies of many trials take to open.

A server without workers is given studies of several sizes, as few nodes of which agree as can be; their pages are then
read by a browser's requests over loopback, without the stylesheet and the modules, which browsers keep.
"""

from __future__ import annotations

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

from benchmarks.figures import Curve, Figure
from benchmarks.processes import WORKLOAD
from hippo_client import Client
from hippo_client.cli import calls
from hippo_client.study_file import load
from hippo_core.errors import NotFound
from hippo_wire.secrets import secret_hash
from hippo_wire.v1 import admin_pb2

ROUNDS = 5
SIZES = (1_000, 10_000, 50_000)
PAGES = {
    "the study": "",
    "charts": "/charts",
    "stage tree": "/tree",
    "trials": "/trials",
    "trials by a value": "/trials?state=waiting&sort=-hyperparameter.lr",
    "a trial": "/trials/3",
    "events": "/events",
}
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.05
STUDY = """
import hippo_client as hippo
from hippo_client import samplers, schedules, space

study = hippo.Study(
    "trainer:Clocked",
    {{"lr": schedules.piecewise([space.loguniform(1e-4, 0.1), space.loguniform(1e-5, 0.01)], milestones=[9])}},
    name="{name}",
    minimize="loss",
    max_steps=27,
    max_trials={trials},
    sampler=samplers.random(),
)
"""


def measure() -> Iterator[Figure | Curve]:
    """Seconds a page, by the size of its study; the page of the largest as figures."""
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as name:
        folder = Path(name)
        (folder / "trainer.py").write_text((WORKLOAD / "trainer.py").read_text())
        with server(folder / "home") as said:
            token = (folder / "home" / "server" / "admin.token").read_text().strip()
            with Client(said["grpc"], token) as client:
                submitted = [(size, submit(client, folder, size)) for size in SIZES]
                cookie = log_in(said["http"], client)
            yield Figure(
                f"submitting {SIZES[-1]:,} trials",
                (submitted[-1][1],),
                "s",
                note="of a random search, known at once",
            )
            lines: dict[str, list[tuple[float, float]]] = {page: [] for page in PAGES}
            for size in SIZES:
                for page, path in PAGES.items():
                    found = [opened(said["http"], f"/studies/s{size}{path}", cookie) for _ in range(ROUNDS)]
                    seconds = tuple(each for each, _ in found)
                    lines[page].append((size, statistics.median(seconds)))
                    if size == SIZES[-1]:
                        note = f"{found[-1][1] / 1000:,.0f} KB"
                        yield Figure(f"{page}, {size:,} trials", seconds, "s", note=note)
    points = {page: tuple(line) for page, line in lines.items()}
    yield Curve("opening a page", "trials of the study", "s", points, logarithmic=True)


def submit(client: Client, folder: Path, trials: int) -> float:
    """Submits a study of so many trials; gives the seconds until they are there."""
    file = folder / "study.py"
    file.write_text(STUDY.format(name=f"s{trials}", trials=trials))
    study = load(str(file))
    began = time.perf_counter()
    handle = client.submit(study)
    while not _is_there(client, handle.name, trials - 1):
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - began


def _is_there(client: Client, name: str, trial: int) -> bool:
    try:
        calls.get_trial(client, name, trial)
    except NotFound:
        return False
    return True


@contextmanager
def server(home: Path) -> Iterator[dict[str, str]]:
    """A server in a process of its own; gives where it listens."""
    command = [sys.executable, "-m", "hippo_server.main", "--home", str(home)]
    log = home.parent / "server.log"
    with log.open("wb") as to:
        process = subprocess.Popen([*command, "--grpc-port", "0", "--http-port", "0"], stdout=to, stderr=to)
    said = home / "server" / "server.json"
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not said.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not start: {log.read_text()}")
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
        raise RuntimeError(f"{path}: {answer.status}")
    return time.perf_counter() - began, size
