"""Every command with arguments that it takes, where all around it is made by hand, and what came of each call."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hippo_client.cli.main import call
from hippo_client.client import Client
from hippo_client.handles.study import StudyHandle
from hippo_storage.archive_names import JOURNAL
from hippo_wire.v1 import study_pb2
from tests.unit.cli.answers import DETAIL, EDITABLE, KNOWN, STUDY, Server
from tests.unit.cli.records import document
from tests.unit.client import recorded

STUDY_FILE = """
import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainer:T",
    {"lr": space.choice([schedules.piecewise([0.1, 0.01], [2]), schedules.piecewise([0.1, 0.02], [2])]),
     "width": space.choice([16, 32])},
    maximize="accuracy", max_trials=2, max_steps=4,
)
"""
RUNGS_FILE = """
import hippo_client as hippo
from hippo_client import policies, space

study = hippo.Study(
    "trainer:T", {"lr": space.uniform(0.0, 1.0)}, maximize="accuracy", max_trials=27, max_steps=9,
    policy=policies.asha(min_steps=1, reduction_factor=3), checkpoint_budget="10GiB",
)
"""
TRAINER = "class T:\n" + "".join(
    f"    def {name}(self, *_): ...\n" for name in ("setup", "apply", "train", "evaluate")
)
SWEEP = """
method: random
metric: {name: accuracy, goal: maximize}
parameters: {lr: {min: 0.1, max: 0.2}, width: {values: [16, 32]}}
"""

#: By command below `hippo`: its arguments; all that it cannot do without.
ARGUMENTS = {
    "run": ["study.py"],
    "submit": ["study.py"],
    "plan": ["study.py"],
    "simulate": ["study.py", "--slots", "2"],
    "check": ["study.py"],
    "verify": ["digits", "--trial", "3"],
    "study ls": [],
    "study show": ["digits"],
    "study savings": ["digits"],
    "study watch": ["digits"],
    "study tree": ["digits"],
    "study export": ["digits"],
    "study plot": ["digits", "curves", "-o", "x.png"],
    "study import": ["digits.hippo"],
    "study pause": ["digits"],
    "study resume": ["digits"],
    "study stop": ["digits"],
    "study extend": ["digits", "--max-trials", "9"],
    "study edit": ["digits", "--priority", "3"],
    "study fork": ["digits", "--trial", "3", "--at", "1", "--set", "lr=0.1"],
    "study enqueue": ["digits"],
    "study retry": ["digits"],
    "study delete": ["digits", "--yes"],
    "trial ls": ["digits"],
    "trial show": ["digits", "3"],
    "trial best": ["digits"],
    "trial explain": ["digits", "3"],
    "trial logs": ["digits", "3"],
    "trial retry": ["digits", "3"],
    "trial extend": ["digits", "3", "--to", "81"],
    "trial stop": ["digits", "3"],
    "checkpoint ls": ["digits"],
    "checkpoint pull": ["digits"],
    "checkpoint pin": ["digits"],
    "checkpoint unpin": ["digits"],
    "checkpoint gc": [],
    "program ls": [],
    "program forget": ["ab12", "--yes"],
    "worker ls": [],
    "worker show": ["w"],
    "worker drain": ["w"],
    "worker cordon": ["w"],
    "worker uncordon": ["w"],
    "open": [],
    "up": [],
    "down": [],
    "login": ["127.0.0.1:7440"],
    "logout": [],
    "token create": ["ada", "--role", "editor"],
    "token ls": [],
    "token revoke": ["ada"],
    "certs init": [],
    "project ls": [],
    "project create": ["vision"],
    "project edit": ["vision", "--weight", "2"],
    "project delete": ["vision"],
    "user ls": [],
    "user edit": ["ada", "--weight", "2"],
    "usage": [],
    "audit": [],
    "doctor": [],
    "completion": ["bash"],
    "schema": [],
}


@dataclass(slots=True)
class Outcome:
    """What a call came to.

    Attributes:
        asked: The server, and whatever else is made by hand, in order: what for.
        files: What lies in the folder then.
    """

    code: int
    out: str
    err: str
    asked: list[str]
    files: dict[str, bytes]


@dataclass(slots=True)
class Around:
    """All that is around the commands, made by hand."""

    folder: Path
    server: Server
    capsys: pytest.CaptureFixture[str]
    asked: list[str] = field(default_factory=list)

    def call(self, *arguments: str) -> Outcome:
        """Calls a command in a folder as it was at first."""
        for file in sorted(self.folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        self.folder.joinpath("study.py").write_text(STUDY_FILE)
        self.folder.joinpath("rungs.py").write_text(RUNGS_FILE)
        self.folder.joinpath("trainer.py").write_text(TRAINER)
        self.folder.joinpath("sweep.yaml").write_text(SWEEP)
        self.folder.joinpath("command.yaml").write_text(SWEEP + "command: [./train.sh]\n")
        self.folder.joinpath("digits.hippo").write_bytes(JOURNAL.encode() + b"\0")
        self.folder.joinpath("recorded.json").write_text(json.dumps(document()))
        self.folder.joinpath("ada.token").write_text("of a file\n")
        before = set(self.folder.rglob("*"))
        self.server.requests.clear()
        self.asked.clear()
        code = call(list(arguments))
        printed = self.capsys.readouterr()
        asked = [_told(each) for each in self.server.requests] + list(self.asked)
        new = (file for file in self.folder.rglob("*") if file not in before and file.is_file())
        files = {file.name: file.read_bytes() for file in new if "__pycache__" not in file.parts}
        return Outcome(code, printed.out, printed.err, asked, files)

    def note(self, what: str, *details: object) -> None:
        """Keeps that something else than the server was asked."""
        self.asked.append(" ".join([what, *map(str, details)]))


def _told(request: Any) -> str:
    """A request, without what is drawn anew each time."""
    if not hasattr(request, "DESCRIPTOR"):
        return type(request).__name__  # pieces of a file
    kept = type(request)()
    kept.CopyFrom(request)
    if "request_id" in kept.DESCRIPTOR.fields_by_name:
        kept.ClearField("request_id")
    return f"{kept.DESCRIPTOR.name} {kept}"


def client_of(server: Server) -> Client:
    """A client whose server is made by hand."""
    made = Client.__new__(Client)
    made._connection = SimpleNamespace(  # type: ignore[assignment]
        studies=server, admin=server, accounts=server, checkpoints=server,
        encrypted=False, address="127.0.0.1:7440",
    )  # fmt: skip
    return made


def arrange(monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]) -> Around:
    """Puts what is made by hand in place of all that commands call."""
    around = Around(folder, Server(), capsys)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HIPPO_HOME", str(folder / "home"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("of a prompt\n" * 100))
    monkeypatch.setattr("hippo_wire.secrets.new_secret", lambda: "hippo_secret")
    _answer(around.server)
    _stand_in_for_connections(monkeypatch, around)
    _stand_in_for_processes(monkeypatch, around)
    _stand_in_for_files(monkeypatch, around)
    return around


def _answer(server: Server) -> None:
    detail = study_pb2.GetTrialResponse()
    detail.CopyFrom(DETAIL)
    detail.checkpoints.add(step=9, size_bytes=12)
    detail.checkpoints.add(step=27, size_bytes=12)
    study = study_pb2.Study()
    study.CopyFrom(STUDY)
    spec = {**json.loads(EDITABLE.spec_json), "objectives": json.loads(STUDY.spec_json)["objectives"]}
    study.spec_json = json.dumps(spec)
    server.answers |= {
        "GetTrial": detail,
        "GetStudy": study_pb2.GetStudyResponse(study=study),
        "ExtendStudy": study_pb2.ExtendStudyResponse(study=study),
        "ExportStudy": [study_pb2.ExportStudyResponse(data=json.dumps(recorded.document()).encode())],
        "ListPrograms": study_pb2.ListProgramsResponse(programs=KNOWN),
        "FindBundle": study_pb2.FindBundleResponse(found=True),
        "SubmitStudy": study_pb2.SubmitStudyResponse(study=study, outcome=study_pb2.SUBMIT_OUTCOME_CREATED),
        "DownloadBundle": [],
    }


def _stand_in_for_connections(monkeypatch: pytest.MonkeyPatch, around: Around) -> None:
    client = client_of(around.server)

    @contextmanager
    def connect(**_: object) -> Iterator[Client]:
        yield client

    def with_server(work: Callable[..., Any], **_: object) -> Any:
        return work(client, tuple)

    class Connection:
        def __init__(self, *given: object) -> None:
            around.note("connect", *given)
            self.admin = SimpleNamespace(
                GetServer=lambda _: SimpleNamespace(user="ada", role="editor", project="default")
            )

        def __enter__(self) -> Connection:
            return self

        def __exit__(self, *_: object) -> None: ...

    modules = (
        "account audit checkpoint edit export open plot points program steering study study_import submit token trial "
        "usage verify worker"
    )
    for name in modules.split():
        monkeypatch.setattr(importlib.import_module(f"hippo_client.cli.{name}"), "connect", connect)
    monkeypatch.setattr("hippo_client.cli.watching.with_server", with_server)
    monkeypatch.setattr("hippo_client.cli.worker.is_elsewhere", lambda _: True)
    monkeypatch.setattr(StudyHandle, "follow", lambda handle, *_, **__: around.note("follow", handle.name))
    monkeypatch.setattr("hippo_wire.connection.Connection", Connection)
    monkeypatch.setattr("hippo_wire.tls.read_trust", lambda *given: given)
    monkeypatch.setattr("hippo_client.login.write_login", lambda _, login: around.note("log in", login))
    monkeypatch.setattr("hippo_client.login.forget_login", lambda _: SimpleNamespace(server="h:1"))
    monkeypatch.setattr("webbrowser.open", lambda url: around.note("browse", url) or True)
    monkeypatch.setattr("hippo_client.cli.open._has_desktop", lambda: True)


def _stand_in_for_processes(monkeypatch: pytest.MonkeyPatch, around: Around) -> None:
    def run(study: Any, slots: int | None) -> StudyHandle:
        around.note("run", study.name, slots)
        return StudyHandle(client_of(around.server), STUDY)

    @contextmanager
    def attach(_: object, slots: int | None, **given: Any) -> Iterator[Any]:
        around.note("attach", slots, given["ports"])
        yield SimpleNamespace(server="127.0.0.1:7440", http="http://127.0.0.1:7441", slots=2)

    def ask_worker(name: str, arguments: list[str]) -> Iterator[dict[str, Any]]:
        around.note("hippo-worker", name, *(each for each in arguments if "hippo-" not in each))
        if name == "check":
            problem = {"check": "save", "step": 2, "message": "self.rng differs.", "remedy": "Keep it."}
            yield {"check": "save", "ok": False, "problems": [problem]}
            yield {"passed": False, "steps": 3, "problems": [problem]}
        else:
            around.note("request", _request(arguments))
            compared = {"metrics": 18, "tensors": 27}
            different = {"step": 2, "name": "loss", "shared": 0.5, "alone": 0.25}
            yield {
                "passed": False,
                "steps": 9,
                "compared": compared,
                "differences": [different],
                "failure": "",
            }

    from hippo_client.cli.doctor_checks import Finding

    monkeypatch.setattr("hippo_client.local_run.run", run)
    monkeypatch.setattr("hippo_client.local.attach", attach)
    monkeypatch.setattr("hippo_client.local.shut_down", lambda **_: True)
    monkeypatch.setattr("hippo_client.cli.worker_command.run", ask_worker)
    monkeypatch.setattr("hippo_client.cli.worker_command.require_worker", lambda: None)
    monkeypatch.setattr(
        "hippo_client.cli.doctor_checks.examine", lambda _: [Finding(check="python", ok=True, found="3.13")]
    )


def _request(arguments: list[str]) -> dict[str, Any]:
    """What hippo-worker verify is told, without the folders that are made anew each time."""
    file = next(each for each in arguments if each.startswith("--request=")).removeprefix("--request=")
    content: dict[str, Any] = json.loads(Path(file).read_text())
    return {**content, "code": "", "checkpoint": ""}


def _stand_in_for_files(monkeypatch: pytest.MonkeyPatch, around: Around) -> None:
    def make_certificates(folder: Path, hosts: Any, days: int) -> Any:
        around.note("certificates", folder, *hosts, days)
        until = datetime(2027, 1, 1, tzinfo=UTC)
        return SimpleNamespace(folder=folder, hosts=tuple(hosts), until=until, new_authority=True)

    def write_archive(_: object, name: str, path: Path, *, checkpoints: bool) -> Any:
        around.note("archive", name, path, checkpoints)
        return SimpleNamespace(size_bytes=1, checkpoints=2 * checkpoints)

    def send_archive(_: object, file: Path, name: str | None) -> Any:
        around.note("import", file, name)
        return SimpleNamespace(study=STUDY, outcome=0, steps_brought=3, checkpoints_brought=0)

    def named(kind: str) -> Callable[..., Any]:
        def draw(_: object, **options: Any) -> Any:
            around.note("draw", kind, options)
            return SimpleNamespace(savefig=lambda path, dpi: Path(path).touch())

        return draw

    def download(_: object, target: Path) -> list[Path]:
        around.note("download", target.name)
        return [target / "state"]

    monkeypatch.setattr("hippo_client.certificates.make_certificates", make_certificates)
    monkeypatch.setattr("hippo_client.archives.write_archive", write_archive)
    monkeypatch.setattr("hippo_client.archives.send_archive", send_archive)
    monkeypatch.setattr("hippo_client.plots.named", named)
    monkeypatch.setattr("hippo_client.plots.options", lambda _: ("metric", "trials", "stopped"))
    monkeypatch.setattr("hippo_client.checkpoint.Checkpoint.download", download)
    monkeypatch.setattr("hippo_storage.bundle.unpack", lambda *_: None)
