"""Bad input over gRPC, HTTP, the SDK and the command line: one clear error, and the server is as it was.

The numbers are those of the list of forty bad inputs; tests/unit/cli/test_bad_inputs.py says where each of them is
tried. Every row has one server in common: what a refused call left behind would show in its tables or files.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from hippo_client.cli.main import call
from hippo_client.client import Client
from hippo_client.study_file import load
from hippo_core.errors import HippoError, InvalidStudy
from hippo_wire.connection import Connection
from hippo_wire.errors import to_wire
from hippo_wire.json_text import dump
from hippo_wire.secrets import secret_hash
from hippo_wire.v1 import admin_pb2, checkpoint_pb2, study_pb2, worker_pb2
from hippo_wire.versions import HEADER
from tests.integration.server.conftest import RunningServer, spec

#: What goes on by itself, and what is written of calls that were refused.
NOT_LOOKED_AT = {"audit", "leader", "standbys"}
LINES, COLUMNS = 3, 80

TRAINER = """
import hippo_client as hippo


class Trainer(hippo.Trainer):
    def setup(self, context): ...
    def apply(self, hp): ...
    def train(self, step): ...
    def evaluate(self):
        return {"loss": 1.0}
"""
STUDY = """
import hippo_client as hippo
from hippo_client import space

study = hippo.Study("trainer:Trainer", {"lr": space.choice([0.1, 0.2])}, minimize="loss", max_steps=3)
"""


@dataclass(frozen=True)
class House:
    """A server with the study ``study``, which no worker trains, and everybody's tokens.

    Attributes:
        server: The server.
        owner: A connection with every right.
        tokens: By role, and "expired", "revoked", "wrong" and "".
        folder: Where ``study.py`` lies, and what differs from it.
    """

    server: RunningServer
    owner: Connection
    tokens: Mapping[str, str]
    folder: Path
    connections: dict[str, Connection] = field(default_factory=dict)

    def connection(self, role: str) -> Connection:
        """A connection with that token."""
        if role not in self.connections:
            self.connections[role] = self.server.connect(self.tokens[role])
        return self.connections[role]

    def state(self) -> dict[str, Any]:
        """Every row of every table, and every file of the storage and the home, but bundles: they are sent before the
        study, and lie under their digest for whoever sends that folder again."""
        found: dict[str, Any] = {}
        with self.server.store._database.transaction() as cursor:
            cursor.execute(
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            )
            for (name,) in sorted(cursor.fetchall()):
                if name not in NOT_LOOKED_AT:
                    cursor.execute(f"SELECT t::text FROM {name} t ORDER BY 1")
                    found[name] = cursor.fetchall()
        home = self.server.settings.home
        files = (file.relative_to(home) for file in home.rglob("*") if file.is_file())
        found["files"] = sorted(str(file) for file in files if "bundles" not in file.parts)
        return found


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[str], str], database_template: str
) -> Iterator[House]:
    server = RunningServer(tmp_path_factory.mktemp("home"), new_database(database_template))
    try:
        yield _furnished(server, tmp_path_factory.mktemp("study"))
    finally:
        server.stop()


def _furnished(server: RunningServer, folder: Path) -> House:
    owner = server.connect()
    tokens = {role: server.token(role) for role in ("admin", "editor", "viewer", "worker")}
    past = datetime.now(UTC) - timedelta(hours=1)
    tokens["expired"] = server.new_token("expired", "editor", expires_at=past)
    tokens["revoked"] = server.new_token("revoked", "editor")
    owner.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="revoked"))
    tokens |= {"wrong": f"hippo_{'x' * 43}", "": ""}
    for place, study in (
        (folder, STUDY),
        (folder / "more", STUDY.replace("=3", "=3, seed=7, options={'a': 1}")),
    ):
        place.mkdir(exist_ok=True)
        (place / "trainer.py").write_text(TRAINER)
        (place / "study.py").write_text(study)
    with Client(server.address, tokens["admin"]) as client:
        client.submit(load(folder / "study.py"))
    owner.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="used", name="study"))
    return House(server, owner, tokens, folder)


@pytest.fixture(autouse=True)
def where(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HIPPO_SERVER", house.server.address)
    monkeypatch.chdir(house.folder)


@pytest.fixture
def unchanged(house: House) -> Iterator[None]:
    """Nothing is half-done: after each row all is as it was before it."""
    before = house.state()
    yield
    after = house.state()
    assert {name for name in before if before[name] != after.get(name)} == set()
    assert house.owner.admin.GetServer(admin_pb2.GetServerRequest()).term == 1


def is_short(text: str) -> bool:
    """Whether a text has at most three lines of a terminal."""
    return sum(max(1, -(-len(line) // COLUMNS)) for line in text.strip().splitlines()) <= LINES


# The command line

COMMANDS: dict[str, tuple[str, list[str], int, str, list[str], str]] = {
    # row: token, arguments, exit code, code, words of the message, words of the hint
    "B22 a study": (
        "admin",
        ["study", "show", "studdy"],
        5,
        "NOT_FOUND",
        ["no study 'studdy'"],
        "Did you mean study?",
    ),
    "B22 no study at all like it": (
        "admin",
        ["study", "stop", "xyz"],
        5,
        "NOT_FOUND",
        ["'xyz'"],
        "hippo study ls",
    ),
    "B22 a trial": (
        "admin",
        ["trial", "show", "study", "77"],
        5,
        "NOT_FOUND",
        ["no trial 77", "2 trials"],
        "hippo trial ls study",
    ),
    "B22 a worker": (
        "admin",
        ["worker", "drain", "w9"],
        5,
        "NOT_FOUND",
        ["no worker 'w9'"],
        "hippo worker ls",
    ),
    "B22 a token": (
        "admin",
        ["token", "revoke", "nobody"],
        5,
        "NOT_FOUND",
        ["no token 'nobody'"],
        "hippo token ls",
    ),
    "B22 checkpoints of a study": (
        "admin",
        ["checkpoint", "ls", "studi"],
        5,
        "NOT_FOUND",
        ["'studi'"],
        "Did you mean study?",
    ),
    "B22 a program": (
        "admin",
        ["program", "forget", "abc", "--yes"],
        5,
        "NOT_FOUND",
        ["'abc'"],
        "hippo program ls",
    ),
    "B23 no token": ("", ["study", "ls"], 4, "NOT_ALLOWED", ["no token"], "HIPPO_TOKEN"),
    "B23 a wrong one": (
        "wrong",
        ["study", "ls"],
        4,
        "NOT_ALLOWED",
        ["a valid token is needed"],
        "hippo login",
    ),
    "B23 an expired one": (
        "expired",
        ["study", "ls"],
        4,
        "NOT_ALLOWED",
        ["a valid token is needed"],
        "HIPPO_TOKEN",
    ),
    "B23 a revoked one": (
        "revoked",
        ["study", "ls"],
        4,
        "NOT_ALLOWED",
        ["a valid token is needed"],
        "HIPPO_TOKEN",
    ),
    "B24 a viewer stops": (
        "viewer",
        ["study", "stop", "study"],
        4,
        "NOT_ALLOWED",
        ["editor", "project default", "is viewer"],
        "administrator",
    ),
    "B24 a viewer deletes": (
        "viewer",
        ["study", "delete", "study", "--yes"],
        4,
        "NOT_ALLOWED",
        ["editor", "is viewer"],
        "administrator",
    ),
    "B24 an editor makes a token": (
        "editor",
        ["token", "create", "x", "--role", "viewer"],
        4,
        "NOT_ALLOWED",
        ["admin", "is editor"],
        "administrator",
    ),
    "B15 another study of that name": (
        "admin",
        ["submit", "more/study.py"],
        6,
        "CONFLICT",
        ["seed: 0 -> 7", "options.a: absent -> 1"],
        "another name",
    ),
    "B29 nobody to ask": (
        "admin",
        ["study", "delete", "study"],
        2,
        "USAGE",
        ["2 trials and 0 B of checkpoints", "--yes"],
        "--help",
    ),
    "B29 nobody to ask of a program": (
        "admin",
        ["program", "forget", ""],
        5,
        "NOT_FOUND",
        ["''"],
        "hippo program ls",
    ),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("row", COMMANDS)
def test_a_command_that_is_refused(
    row: str, house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token, arguments, exits, code, words, hint = COMMANDS[row]
    monkeypatch.setenv("HIPPO_TOKEN", house.tokens[token])
    assert call([*arguments, "--json"]) == exits
    told = capsys.readouterr()
    error = json.loads(told.err.splitlines()[-1])["error"]
    assert (told.out, error["code"], error["docs"]) == ("", code, f"docs/reference/errors.md#{code.lower()}")
    for word in words:
        assert word in error["message"]
    assert hint in error["hint"]
    assert is_short(error["hint"])
    assert code == "CONFLICT" or is_short(error["message"])  # a difference has five lines of its own
    assert call(arguments) == exits
    assert "Traceback" not in capsys.readouterr().err


def test_the_same_study_again_is_the_same_study(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B14. It says so; nothing is written, not even an event, but what the request's repetition would be answered."""
    monkeypatch.setenv("HIPPO_TOKEN", house.tokens["admin"])
    before = house.state()
    with Client() as client:
        assert client.submit(load("study.py")).name == "study"
    assert call(["submit", "study.py"]) == 0
    assert "The study study is unchanged." in capsys.readouterr().err
    assert {**house.state(), "request_answers": before["request_answers"]} == before


SERVERS = {
    "B28 nobody listens": ("127.0.0.1:1", "cannot reach the server 127.0.0.1:1", "HIPPO_SERVER"),
    "B28 the port of HTTP": ("HTTP", "speaks HTTP, not gRPC", "7440"),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("row", SERVERS)
def test_a_server_that_is_not_there(
    row: str, house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, words, hint = SERVERS[row]
    monkeypatch.setenv("HIPPO_TOKEN", house.tokens["admin"])
    monkeypatch.setenv("HIPPO_SERVER", house.server.server.http_address if address == "HTTP" else address)
    assert call(["study", "ls", "--json"]) == 3
    error = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
    assert error["code"] == "UNAVAILABLE"
    assert words in error["message"]
    assert hint in error["hint"]


# gRPC: whoever does not use our client meets the same checks


def study_with(**changes: Any) -> str:
    """The JSON of a good study, with something else at the places ``a__b``; None: nothing there."""
    changed = copy.deepcopy(spec(name="fresh").to_json())
    for place, value in changes.items():
        *before, last = place.split("__")
        at = changed
        for key in before:
            at = at[key]
        at[last] = value
    return dump(changed)


LR = {"domain": "uniform", "low": 0.5, "high": 0.1}
STEPS = {"schedule": "multistep", "initial": 0.1, "gamma": 0.1, "milestones": [9, 3]}
PIECES = {"schedule": "piecewise", "values": [1.0, 2.0, 3.0], "milestones": [4]}
STUDIES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    # row: what is changed in the study's JSON, the field that is named, words
    "B02 an unknown key": ({"metrc": 1}, "metrc", ["metrc"]),
    "B05 no objective": ({"objectives": []}, "objectives", ["maximize", "minimize"]),
    "B07 low above high": ({"space__lr": LR}, "space.uniform.high", ["above low, 0.5", "0.1"]),
    "B07 low is high": ({"space__lr": {**LR, "high": 0.5}}, "space.uniform.high", ["above low, 0.5"]),
    "B07 text for a number": ({"space__lr": {**LR, "low": "abc"}}, "space.uniform.low", ["number", "'abc'"]),
    "B08 no options": ({"space__lr": {"domain": "choice", "options": []}}, "space.choice.options", ["empty"]),
    "B09 a continuous grid": ({"space__lr": {**LR, "high": 0.9}}, "sampler", ["continuous", "space.choice"]),
    "B10 milestones": ({"space__lr": STEPS}, "schedules.multistep.milestones", ["[9, >3<]", "[3, 9]"]),
    "B10 values": ({"space__lr": PIECES}, "schedules.piecewise.values", ["2, not 3"]),
    "B16 a path": ({"name": "../x"}, "name", ["[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "'../x'"]),
    "B16 a NUL": ({"name": "a\0b"}, "name", ["[A-Za-z0-9._-]{0,127}"]),
    "B16 300 characters": ({"name": "a" * 300}, "name", ["[A-Za-z0-9._-]{0,127}", "302 characters"]),
    "B16 an emoji": ({"name": "\N{GRINNING FACE}"}, "name", ["[A-Za-z0-9._-]{0,127}", "\\U0001f600"]),
    "B21 a schedule that there is not": ({"space__lr": {"schedule": "nothing"}}, "space['lr']", ["nothing"]),
}  # fmt: skip


def refused(make: Callable[[], object]) -> HippoError:
    """How a call is refused."""
    with pytest.raises(HippoError) as caught:
        make()
    assert caught.value.message
    return caught.value


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("row", STUDIES)
def test_a_study_over_grpc_that_is_refused(row: str, house: House) -> None:
    changes, where, words = STUDIES[row]
    request = study_pb2.SubmitStudyRequest(request_id=row, spec_json=study_with(**changes))
    error = refused(lambda: house.owner.studies.SubmitStudy(request))
    assert isinstance(error, InvalidStudy)
    assert error.field == where
    for word in words:
        assert word in str(error)
    assert is_short(error.message)
    assert is_short(error.hint)


def _list(**page: Any) -> Callable[[Connection], object]:
    return lambda to: to.studies.ListTrials(study_pb2.ListTrialsRequest(name="study", **page))


def _register(name: str) -> Callable[[Connection], object]:
    request = worker_pb2.RegisterWorkerRequest(
        request_id="register", worker=name, incarnation="1", host="h", environment_json="{}",
        slots=[worker_pb2.Slot(device=worker_pb2.DEVICE_KIND_CPU, model="m", cpu_count=1)],
    )  # fmt: skip
    return lambda to: to.workers.RegisterWorker(request)


def _token(role: str) -> Callable[[Connection], object]:
    request = admin_pb2.CreateTokenRequest(name="x", role=role, secret_hash=secret_hash("x"))
    return lambda to: to.admin.CreateToken(request)


CALLS: dict[str, tuple[str, Callable[[Connection], object], str, list[str], str]] = {
    # row: token, call, code, words of the message, words of the hint
    "B16 a worker": ("worker", _register("../w"), "INVALID", ["worker: must match", "'../w'"], "letters"),
    "B22 a study": (
        "viewer",
        lambda to: to.studies.GetStudy(study_pb2.GetStudyRequest(name="studi")),
        "NOT_FOUND",
        ["'studi'"],
        "study",
    ),
    "B22 a trial": (
        "viewer",
        lambda to: to.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=-5)),
        "NOT_FOUND",
        ["no trial -5"],
        "hippo trial ls",
    ),
    "B22 a checkpoint": (
        "viewer",
        lambda to: list(
            to.studies.DownloadCheckpoint(study_pb2.DownloadCheckpointRequest(name="study", trial=0, step=2))
        ),
        "NOT_FOUND",
        ["step 2"],
        "",
    ),
    "B23 a wrong token": ("wrong", _list(), "NOT_ALLOWED", ["a valid token is needed"], "HIPPO_TOKEN"),
    "B23 an expired token": ("expired", _list(), "NOT_ALLOWED", ["a valid token is needed"], "HIPPO_TOKEN"),
    "B23 a revoked token": ("revoked", _list(), "NOT_ALLOWED", ["a valid token is needed"], "HIPPO_TOKEN"),
    "B24 a viewer": (
        "viewer",
        lambda to: to.studies.StopStudy(study_pb2.StopStudyRequest(request_id="s", name="study")),
        "NOT_ALLOWED",
        ["StopStudy needs the role editor in the project default; 'viewer' is viewer"],
        "administrator",
    ),
    "B24 a worker": ("worker", _list(), "NOT_ALLOWED", ["viewer", "is worker"], ""),
    "B25 a negative page": (
        "viewer",
        _list(page_size=-1),
        "INVALID",
        ["page_size: -1 is not between 0 and"],
        "0 means",
    ),
    "B25 a huge page": (
        "viewer",
        _list(page_size=10**9),
        "INVALID",
        ["page_size: 1000000000 is not between 0 and"],
        "0 means",
    ),
    "B25 a cursor": (
        "viewer",
        _list(page_token="x'; --"),
        "INVALID",
        ["page_token", "not given out here"],
        "Begin without",
    ),
    "B25 checkpoints": (
        "viewer",
        lambda to: to.checkpoints.ListCheckpoints(
            checkpoint_pb2.ListCheckpointsRequest(name="study", page_size=-1)
        ),
        "INVALID",
        ["page_size: -1"],
        "0 means",
    ),
    "B25 the audit": (
        "admin",
        lambda to: to.admin.ListCalls(admin_pb2.ListCallsRequest(page_size=-1)),
        "INVALID",
        ["page_size: -1"],
        "0 means",
    ),
    "B39 an unknown role": ("admin", _token("king"), "INVALID", ["role", "'king'"], ""),
    "B39 a lacking field": (
        "editor",
        lambda to: to.studies.PauseStudy(study_pb2.PauseStudyRequest(name="study")),
        "INVALID",
        ["request_id"],
        "",
    ),
    "B39 an empty study": (
        "editor",
        lambda to: to.studies.SubmitStudy(study_pb2.SubmitStudyRequest(request_id="empty")),
        "INVALID",
        ["spec_json"],
        "",
    ),
    "B39 an unknown enum": (
        "worker",
        lambda to: to.workers.RegisterWorker(
            worker_pb2.RegisterWorkerRequest(
                request_id="e",
                worker="w",
                incarnation="1",
                host="h",
                environment_json="{}",
                slots=[worker_pb2.Slot(device=99, model="m", cpu_count=1)],
            )
        ),
        "INVALID",
        ["device"],
        "",
    ),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("row", CALLS)
def test_a_call_that_is_refused(row: str, house: House) -> None:
    token, make, code, words, hint = CALLS[row]
    error = refused(lambda: make(house.connection(token)))
    assert error.code == code
    for word in words:
        assert word in error.message
    assert hint in error.hint
    assert is_short(error.message)
    assert is_short(error.hint)


@pytest.mark.usefixtures("unchanged")
def test_a_request_id_that_is_used_again_for_something_else_is_a_conflict(house: House) -> None:
    """B39. Who repeats the first call gets its answer again."""
    owner = house.owner.studies
    owner.PauseStudy(study_pb2.PauseStudyRequest(request_id="used", name="study"))
    error = refused(lambda: owner.StopStudy(study_pb2.StopStudyRequest(request_id="used", name="study")))
    assert (error.code, to_wire(error).code) == ("CONFLICT", grpc.StatusCode.ALREADY_EXISTS)
    assert "the request id 'used' was used for another request" in error.message


@pytest.mark.usefixtures("unchanged")
def test_a_version_that_does_not_fit_is_told_which_to_install(house: House) -> None:
    """B40. From a client of any make: the version travels in a header."""
    path = "/hippo.v1.StudyService/ListStudies"
    for version, words in (("99.0.0", "client 99.0.0 needs server"), ("nonsense", "is no version")):
        with grpc.insecure_channel(house.server.address) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(path)(
                b"",
                metadata=[("authorization", f"Bearer {house.tokens['viewer']}"), (HEADER, version)],
                timeout=60,
            )
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert words in caught.value.details()


# HTTP

PAGES: dict[str, tuple[str, str, str, int, str, str]] = {
    # row: token, method, path, status, code, words
    "B22 a page": ("viewer", "GET", "/nothing", 404, "NOT_FOUND", "no such page"),
    "B23 no token": ("", "GET", "/metrics", 401, "NOT_ALLOWED", "a valid token is needed"),
    "B23 a wrong token": ("wrong", "GET", "/metrics", 401, "NOT_ALLOWED", "a valid token is needed"),
    "B23 an expired token": ("expired", "GET", "/metrics", 401, "NOT_ALLOWED", "a valid token is needed"),
    "B23 a revoked token": ("revoked", "GET", "/metrics", 401, "NOT_ALLOWED", "a valid token is needed"),
    "B22 a study": ("viewer", "GET", "/api/studies/studi", 404, "NOT_FOUND", "no study 'studi'"),
    "B22 a trial": ("viewer", "GET", "/api/studies/study/trials/77", 404, "NOT_FOUND", "no trial 77"),
    "B22 no number": ("viewer", "GET", "/api/studies/study/trials/x", 404, "NOT_FOUND", "'x'"),
    "B24 a viewer stops": ("viewer", "POST", "/studies/study/stop", 403, "NOT_ALLOWED", "needs the role editor"),
    "B25 a negative page": ("viewer", "GET", "/api/studies?size=-1", 400, "INVALID", "between 1 and 1000"),
    "B25 a huge page": ("viewer", "GET", "/api/studies?size=1000000000", 400, "INVALID", "between 1 and 1000"),
    "B25 a page with zeros": ("viewer", "GET", f"/api/studies?size={'0' * 20}{'9' * 20}", 400, "INVALID", "size: "),
    "B25 a cursor": ("viewer", "GET", "/api/studies?after=x%27--", 400, "INVALID", "not given out here"),
    "B26 a large head": ("viewer", "HEAVY", "/metrics", 400, "", "no HTTP request that can be answered"),
    "B39 a method": ("viewer", "POST", "/metrics", 405, "ERROR", "no POST"),
}  # fmt: skip


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("row", PAGES)
def test_a_page_that_is_refused(row: str, house: House) -> None:
    token, method, path, status, code, words = PAGES[row]
    headers = {"authorization": f"Bearer {house.tokens[token]}"} if token else {}
    if method == "HEAVY":
        method, headers = "GET", headers | {"x-heavy": "x" * (1 << 20)}
    answer = httpx.request(method, f"{house.server.url}{path}", headers=headers, timeout=60)
    assert answer.status_code == status
    assert words in answer.text
    if code:
        error = answer.json()["error"]
        assert (error["code"], error["docs"]) == (code, f"docs/reference/errors.md#{code.lower()}")


@pytest.mark.usefixtures("unchanged")
def test_grpc_statuses_are_those_of_the_codes(house: House) -> None:
    """What clients in other languages see of a refused call."""
    with grpc.insecure_channel(house.server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/hippo.v1.StudyService/GetStudy")(
            study_pb2.GetStudyRequest(name="none").SerializeToString(),
            metadata=[("authorization", f"Bearer {house.tokens['viewer']}")],
            timeout=60,
        )
    error = refused(lambda: house.owner.studies.GetStudy(study_pb2.GetStudyRequest(name="none")))
    assert caught.value.code() is to_wire(error).code is grpc.StatusCode.NOT_FOUND
