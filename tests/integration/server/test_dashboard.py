"""The dashboard over HTTP: who is logged in, what forms do, what streams tell; ``/api`` says what commands say."""

from __future__ import annotations

import contextlib
import html
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from hippo_core.engine import commands
from hippo_core.engine.states import FailureClass
from hippo_server.auth.sessions import Sessions
from hippo_wire import json_shapes
from hippo_wire.admin_shapes import worker_json
from hippo_wire.connection import Connection
from hippo_wire.secrets import new_secret, secret_hash
from hippo_wire.v1 import admin_pb2, study_pb2, worker_pb2
from tests.integration.server.conftest import RunningServer, submit
from tests.integration.server.test_work import ended
from tests.integration.server.worker import Worker, working
from tests.waiting import until

AS_PAGE = {"Accept": "text/html"}


def offer_link(connection: Connection) -> str:
    secret = new_secret()
    connection.admin.CreateLoginLink(admin_pb2.CreateLoginLinkRequest(secret_hash=secret_hash(secret)))
    return secret


LogIn = Callable[..., httpx.Client]


@pytest.fixture
def log_in() -> Iterator[LogIn]:
    """Makes a browser that is logged in, with a token of a role, or a new one of a name."""
    with contextlib.ExitStack() as browsers:

        def make(server: RunningServer, role: str = "admin", name: str | None = None) -> httpx.Client:
            token = server.token(role) if name is None else server.new_token(name, role)
            http = browsers.enter_context(httpx.Client(base_url=server.url, headers=AS_PAGE, timeout=60))
            answer = http.post("/login", data={"link": offer_link(server.connect(token)), "to": "/queue?x=1"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/queue?x=1")
            return http

        yield make


@pytest.fixture
def http(server: RunningServer, log_in: LogIn) -> httpx.Client:
    return log_in(server)


def hidden_id(page: str, action: str) -> str:
    """The request id of a form on a page."""
    found = re.search(rf'action="{action}"><input type="hidden" name="request_id" value="(\w+)"', page)
    assert found is not None, page
    return found[1]


def test_a_link_logs_in_once_by_a_cookie_that_scripts_and_other_sites_do_not_get(
    server: RunningServer,
) -> None:
    link = offer_link(server.connect())
    with httpx.Client(base_url=server.url, headers=AS_PAGE, timeout=60) as http:
        assert http.get("/").status_code == 401
        page = http.get("/login", params={"link": link, "to": "//evil.test/"})
        assert 'value="/"' in page.text, "it goes on to pages of this server only"
        foreign = {"Origin": "http://evil.test", "Sec-Fetch-Site": "cross-site"}
        assert http.post("/login", data={"link": link}, headers=foreign).status_code == 403
        answer = http.post("/login", data={"link": link, "to": "/\\evil.test"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        port = urlsplit(server.url).port
        assert cookie.startswith(f"hippo-{port}=hippo_")
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert http.get("/").status_code == 200
        assert http.get("/api/studies").json() == []
        again = httpx.post(server.url + "/login", data={"link": link}, headers=AS_PAGE, timeout=60)
        assert again.status_code == 403
        assert "hippo open" in again.text


def test_a_session_ends_with_its_token_with_a_log_out_and_not_with_the_server(
    start_server: Callable[[], RunningServer], log_in: LogIn
) -> None:
    server = start_server()
    ada, bob = log_in(server, "viewer", "ada"), log_in(server, "editor", "bob")
    server.connect().admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="ada"))
    assert ada.get("/").status_code == 401
    port = urlsplit(server.url).port
    cookie = bob.cookies[f"hippo-{port}"]
    server.stop()
    server = start_server()
    port = urlsplit(server.url).port
    with httpx.Client(
        base_url=server.url, headers=AS_PAGE, cookies={f"hippo-{port}": cookie}, timeout=60
    ) as http:
        assert http.get("/").status_code == 200
        driver = server.server.driver
        vars(driver.sessions).update(vars(Sessions()))  # as before a term has begun
        assert [http.get(path).status_code for path in ("/", "/live", "/livez")] == [503, 503, 200]
        driver.sessions.adopt(driver.store.find_sessions())
        answer = http.post("/logout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?out=1")
        assert httpx.get(server.url, cookies={f"hippo-{port}": cookie}, timeout=60).status_code == 401


def test_a_form_does_what_the_command_does_once_and_is_written_down(
    server: RunningServer, client: Connection, log_in: LogIn
) -> None:
    submit(client)
    http = log_in(server, "editor")
    page = http.get("/studies/study").text
    form = {"request_id": hidden_id(page, "/studies/study/pause")}
    answer = http.post("/studies/study/pause", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies/study?done=pause")
    assert "Paused. What runs is saved first." in http.get(answer.headers["location"]).text
    resume = {"request_id": hidden_id(http.get("/studies/study").text, "/studies/study/resume")}
    assert http.post("/studies/study/resume", data=resume).status_code == 303
    assert http.post("/studies/study/pause", data=form).status_code == 303
    state = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study.state
    assert state == study_pb2.STUDY_STATE_RUNNING, "the second one was the first once more"
    assert http.post("/studies/study/pause", data={}).status_code == 400, "without an id nothing is done"

    viewer = log_in(server, "viewer")
    assert "/studies/study/pause" not in viewer.get("/studies/study").text
    assert viewer.post("/studies/study/pause", data=form).status_code == 403
    foreign = {"Origin": "http://evil.test", "Sec-Fetch-Site": "cross-site"}
    assert http.post("/studies/study/pause", data=form, headers=foreign).status_code == 403


def test_what_is_wrong_with_a_form_is_told_beside_its_field(client: Connection, http: httpx.Client) -> None:
    submit(client)
    for given, words in (
        ({"max_steps": "many"}, "is no whole number"),
        ({"max_steps": "1"}, "max_steps"),
        ({"max_steps": str(2**70)}, "is too large"),
        ({}, "nothing is to be changed"),
    ):
        answer = http.post("/studies/study/extend", data={"request_id": "form", **given})
        assert answer.status_code in (400, 409), given
        assert words in answer.text
        assert "alert" in answer.text
    answer = http.post("/studies/study/extend", data={"request_id": "good", "max_steps": "5"})
    assert answer.headers["location"] == "/studies/study?done=extend"
    assert http.post("/studies/study/trials/0/fork", data={"at": "x", "request_id": "f"}).status_code == 400
    for path in ("/studies/none", "/studies/study/trials/x/stop", "/studies/study/trials/99/stop"):
        assert (http.post if "stop" in path else http.get)(path).status_code in (400, 404)


def test_a_trial_is_branched_by_fields_for_its_schedules_and_nothing_written_is_lost(
    client: Connection, http: httpx.Client
) -> None:
    submit(
        client,
        space={"lr": [0.1, {"schedule": "cosine", "initial": 0.2, "final": 0.0, "period": 6}], "a": ["x"]},
    )
    path = "/studies/study/trials/1/fork"
    page = http.get(path, params={"at": "1"}).text
    hidden = {
        html.unescape(name): html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    }
    form = hidden | {
        f"hyperparameter.{name[5:]}": value for name, value in hidden.items() if name[:5] == "held."
    }
    assert json.loads(form["hyperparameter.lr"])["schedule"] == "cosine"
    assert form["hyperparameter.a"] == "x"
    for written, words in (
        ("x", "is of kind categorical"),
        ('{"schedule": "cosin"}', "there is no schedule"),
        ("NaN", "must be finite"),
    ):
        answer = http.post(path, data=form | {"at": "1", "hyperparameter.lr": written})
        assert answer.status_code == 400
        found = re.search(r'id="error-([\w-]+)" role="alert">([^<]*)<', answer.text)
        assert found is not None
        assert words in found[2]
        assert f'id="{found[1]}" name="hyperparameter.lr"' in answer.text
        assert f">{html.escape(written, quote=True).replace('&quot;', '&#34;')}</textarea>" in answer.text
    assert http.post(path, data=form | {"at": "1"}).status_code == 400, "nothing is to be another"
    answer = http.post(path, data=form | {"at": "1", "hyperparameter.lr": " 0.05 "})
    assert answer.headers["location"] == "/studies/study?done=fork-trial"
    made = client.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=2)).trial
    lr = json.loads(made.hyperparameters_json)["lr"]
    assert (lr["milestones"], lr["values"][1], made.parent) == ([1], 0.05, 1)


class Stream:
    """What a stream of changes says."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200
        self.lines = answer.iter_lines()

    def next(self) -> tuple[str, str, object]:
        """The next event: its kind, its id and its data."""
        found: dict[str, str] = {}
        for line in self.lines:
            if not line and "event" in found:
                return found["event"], found["id"], json.loads(found["data"])
            name, _, value = line.partition(": ")
            found[name] = value
        raise AssertionError("the stream has ended")


def test_a_stream_tells_what_changed_and_what_was_missed(
    server: RunningServer, client: Connection, http: httpx.Client
) -> None:
    """Each subject once, however much happened, from where the page was rendered and after a cut; none of others."""
    found = re.search(r'data-mark="([\d.]+)"', http.get("/").text)
    assert found is not None
    submit(client)
    submit(server.connect(server.new_token("other", "editor", project="other")), request_id="theirs")
    with http.stream("GET", "/live", params={"after": found[1]}) as answer:
        assert answer.headers["x-accel-buffering"] == "no"
        kind, mark, subjects = Stream(answer).next()
        assert (kind, subjects) == ("changed", ["studies", "study/1"])
    client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="a", name="study"))
    client.studies.ResumeStudy(study_pb2.ResumeStudyRequest(request_id="b", name="study"))
    with http.stream("GET", "/live", headers={"Last-Event-ID": mark}) as answer:
        stream = Stream(answer)
        assert stream.next()[2] == ["studies", "study/1"]
        client.studies.StopStudy(study_pb2.StopStudyRequest(request_id="c", name="study"))
        assert stream.next()[0::2] == ("changed", ["studies", "study/1"])
    for unknown in ("", "0.1", "nonsense", f"{mark.partition('.')[0]}.999999"):
        with http.stream("GET", "/live", headers={"Last-Event-ID": unknown}) as answer:
            assert Stream(answer).next()[0] == "reset"


def test_a_stream_ends_with_the_session(server: RunningServer, log_in: LogIn) -> None:
    http = log_in(server, "viewer", "ada")
    with http.stream("GET", "/live") as answer:
        stream = Stream(answer)
        assert stream.next()[0] == "reset"
        server.connect().admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="ada"))
        with pytest.raises(AssertionError):  # at its end, not by a connection that breaks
            stream.next()


def test_a_fragment_is_a_part_of_its_page(
    server: RunningServer, client: Connection, http: httpx.Client
) -> None:
    submit(client)
    page = http.get("/studies/study").text
    for name in ("standing", "summary"):
        part = http.get("/studies/study", params={"fragment": name}).text
        assert "<html" not in part
        without_ids = re.compile(r'name="request_id" value="\w+"')
        assert without_ids.sub("", part).strip() in without_ids.sub("", page)
    assert http.get("/studies/study", params={"fragment": "none"}).status_code == 404


def test_api_says_what_commands_say(
    server: RunningServer, client: Connection, http: httpx.Client, request: pytest.FixtureRequest
) -> None:
    """The same shapes, of the same server, to a bearer token and to a browser; long lists in pages."""
    submit(client)
    submit(client, request_id="second", name="second")
    worker = Worker(server.connect(server.token("worker")), slots=2)
    with working(worker) as stream:
        worker.work(lambda: ended(client) and ended(client, "second") and worker.settled(), stream)
    bearer = httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {server.token('viewer')}"}, timeout=60
    )
    request.addfinalizer(bearer.close)
    studies = client.studies.ListStudies(study_pb2.ListStudiesRequest()).studies
    trials = client.studies.ListTrials(study_pb2.ListTrialsRequest(name="study")).trials
    detail = client.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=0))
    tree = client.studies.GetStageTree(study_pb2.GetStageTreeRequest(name="study")).nodes
    workers = client.admin.ListWorkers(admin_pb2.ListWorkersRequest()).workers
    expected = {
        "/api/studies": [json_shapes.study_json(each) for each in studies],
        "/api/studies/study": json_shapes.study_json(studies[1]),
        "/api/studies/study/trials": [json_shapes.trial_json(each) for each in trials],
        "/api/studies/study/trials/0": json_shapes.trial_detail_json(detail),
        "/api/studies/study/tree": json_shapes.stage_tree_json(tree),
        "/api/workers": [worker_json(each) for each in workers],
    }
    for path, shape in expected.items():
        assert http.get(path).json() == bearer.get(path).json() == shape, path
    for path in ("/api/studies", "/api/studies/study/trials", "/api/studies/study/events"):
        whole, pieces, following = bearer.get(path, params={"size": "1000"}).json(), [], f"{path}?size=1"
        while following:
            answer = bearer.get(following)
            pieces += answer.json()
            following = answer.links.get("next", {}).get("url", "")
        assert pieces == whole, path
        assert len(whole) > 1
    events = [(each["event"], each["by"]) for each in bearer.get("/api/studies/study/events").json()]
    assert events[-1] == ("submitted", "admin")
    assert ("completed", "worker") in events
    assert bearer.get("/api/studies/none").json()["error"]["code"] == "NOT_FOUND"
    assert bearer.get("/api/studies/study/trials/99999999999999999999").status_code == 404
    assert bearer.get("/api/studies", params={"size": "0x"}).status_code == 400


def test_a_failed_trial_shows_its_trace_and_log_first_and_what_to_do(
    server: RunningServer, client: Connection, http: httpx.Client
) -> None:
    """What users print and raise is only text; the log is read from any place on; the table and its file tell of it."""
    submit(client, space={"lr": [0.1]})
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = next(order for response in stream for order in worker.note(response))
        node = order.stages[0].node
        data = b"epoch 0 <script>alert(1)</script>\n"
        worker.connection.workers.AppendLog(
            worker_pb2.AppendLogRequest(fence=order.fence, node=node, offset=0, data=data)
        )
        failed = commands.FailedReport(
            failure=FailureClass.INVALID,
            message="ValueError: <b>no</b>",
            traceback='  File "trainer.py", line 12, in <module>',
            node=node,
            step=0,
        )
        worker.report(order.fence, failed)
        trial = study_pb2.GetTrialRequest(name="study", trial=0)
        until(lambda: client.studies.GetTrial(trial).trial.reason != "", "a failed trial")
    page = http.get("/studies/study/trials/0").text
    places = [
        page.index(words)
        for words in (
            "ValueError: &lt;b&gt;no&lt;/b&gt;",
            "Mend the trainer and submit again",
            "line 12, in &lt;module&gt;",
            "epoch 0 &lt;script&gt;",
            "<dt>State</dt>",
        )
    ]
    assert places == sorted(places)
    assert "<b>no" not in page
    assert "<script>alert" not in page
    hidden_id(page, "/studies/study/trials/0/retry")
    for name in ("failure", "trial", "story", "log"):
        part = http.get("/studies/study/trials/0", params={"fragment": name}).text
        assert re.sub(r'value="\w{32}"', "", part).strip() in re.sub(r'value="\w{32}"', "", page)
    log = http.get("/studies/study/trials/0/log", params={"offset": "30"}).text
    shown = re.search(r"<pre[^>]*>(.*)</pre>", log, re.DOTALL)
    assert shown is not None
    assert html.unescape(shown[1]) == f"--- node {node}, lease {order.fence}\n{data.decode()}"[30:]
    table = http.get("/studies/study/trials", params={"state": "failed", "columns": "reason"}).text
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in table
    file = http.get("/studies/study/trials.csv", params={"columns": ["state", "hyperparameter.lr", "reason"]})
    assert file.headers["content-type"].startswith("text/csv")
    assert file.text == "Trial,State,lr,Reason\n0,failed,0.1,ValueError: <b>no</b>\n"
    wrong = http.get("/studies/study/trials", params={"columns": "<i>"})
    assert wrong.status_code == 400
    assert "no column &#39;&lt;i&gt;&#39;" in wrong.text
    assert http.get("/studies/study/trials/1").status_code == 404
