"""What a notebook shows: escaped HTML, one table that is updated, plain text beside it."""

import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

import hippo_client as hippo
from hippo_client import schedules, space
from hippo_client.explanation import Explanation
from hippo_client.notebook import NotebookProgress, display_of_notebook, handle_html, trial_html
from hippo_client.showing import choose_progress
from hippo_client.watching import SilentProgress, fold
from hippo_wire.v1 import study_pb2
from tests.unit.client import messages

EVIL = "<img src=x onerror=alert(1)>\"'&"


class Cells(HTMLParser):
    """The tags of a piece of HTML and the texts of its cells."""

    def __init__(self, html):
        super().__init__()
        self.tags = set()
        self.texts = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


class Recorder:
    def __init__(self):
        self.shown = []

    def __call__(self, html, text):
        self.shown.append((html, text))


def plain(html):
    """Only tables and lines, and never a script."""
    cells = Cells(html)
    assert cells.tags <= {"table", "thead", "tbody", "tr", "th", "td", "div"}
    return cells.texts


def test_a_study_shows_what_it_searches():
    study = hippo.Study(
        "trainer:Small",
        {"lr": space.choice([schedules.cosine(0.1, 0.0, period=9), 0.1]), EVIL: EVIL, "momentum": 0.9},
        maximize=EVIL,
        max_steps=9,
        name="plain",
    )
    texts = plain(study._repr_html_())
    assert EVIL in texts
    assert "9 (epoch)" in texts
    assert "full()" in texts
    assert "choice([cosine(0.1, 0, period=9), 0.1])" in texts
    assert "0.9" in texts


def test_a_handle_escapes_what_the_server_tells():
    study = messages.study(
        EVIL, reason=EVIL, best_trial=messages.trial(3, metrics=messages.metrics(**{EVIL: 1.0}))
    )
    texts = plain(handle_html(study))
    assert EVIL in texts
    assert f"running: {EVIL}" in texts
    assert "40 trained, 100 without sharing, merge rate 2.500" in texts
    assert any(text.startswith("trial 3 at step 3") for text in texts)


def test_of_several_objectives_the_front_is_shown():
    front = [messages.trial(number, metrics=messages.metrics(accuracy=0.5, loss=1.0)) for number in (3, 5)]
    texts = plain(handle_html(messages.study(best_trial=front[0], best_trials=front)))
    assert [text for text in texts if text.startswith("trial ")] == [
        "trial 3 at step 3: accuracy 0.5, loss 1",
        "trial 5 at step 3: accuracy 0.5, loss 1",
    ]


def test_a_failed_study_tells_no_savings():
    shown = handle_html(messages.study(state=study_pb2.STUDY_STATE_FAILED))
    assert "40 trained" in shown
    assert "without sharing" not in shown


def test_a_trial_escapes_what_the_server_tells():
    trial = messages.trial(
        1, hyperparameters={EVIL: EVIL}, reason=EVIL, metrics=messages.metrics(**{EVIL: None})
    )
    texts = plain(trial_html(trial))
    assert texts.count(EVIL) == 3
    assert f"completed: {EVIL}" in texts


def test_what_is_shown_in_a_line_is_escaped_in_a_notebook(client, service):
    """Studies, trials and spaces: text of at most six lines, and HTML without a script or anything from elsewhere."""
    searched = {f"{EVIL}{number}": space.choice([EVIL, schedules.table([0.1] * 99)]) for number in range(20)}
    service.add(messages.study(), [messages.trial(0, hyperparameters={EVIL: EVIL})])
    run = client.study("digits")
    study = hippo.Study("trainer:T", searched, maximize=EVIL, max_trials=3, max_steps=9)
    for shown in (study, run, run.trials()[0], study._spec.space):
        assert len(repr(shown).splitlines()) <= 6
        assert "<img" not in shown._repr_html_()
        assert not Cells(shown._repr_html_()).tags & {"script", "img", "link", "style", "iframe"}
    assert repr(study._spec.space).endswith(" and 14 more; 20 domains>")


def test_lists_and_explanations_are_tables(client, service):
    trials = [messages.trial(number, hyperparameters={EVIL: EVIL}) for number in range(102)]
    trials[1].reason = EVIL
    service.add(messages.study(best_trial=trials[0]), trials)
    texts = plain(client.study("digits").trials()._repr_html_())
    assert texts[:6] == ["trial", "state", "step", "accuracy", "reason", EVIL]
    assert texts.count(EVIL) == 1 + 100 + 1
    assert texts[-1] == "and 2 more"
    texts = plain(client.studies()._repr_html_())
    assert texts[5:9] == ["digits", "running", "2/3", "accuracy 0.5"]
    message = study_pb2.ExplainTrialResponse(trial=trials[0])
    message.events.add(event="requested", step=9, reason=EVIL, by="policy asha")
    texts = plain(Explanation("digits", message)._repr_html_())
    assert texts[:5] == ["at", "event", "step", "reason", "by"]
    assert texts[6:] == ["requested", "9", EVIL, "policy asha"]


def test_the_table_shows_the_best_then_those_that_run():
    trials = [messages.trial(number, study_pb2.TRIAL_STATE_STOPPED, step=1) for number in range(20)]
    trials[7].state = study_pb2.TRIAL_STATE_RUNNING
    trials[9].state = study_pb2.TRIAL_STATE_WAITING
    html = handle_html(messages.study(best_trial=trials[15]), trials)
    rows = [row.split("<td>")[1].split("</td>")[0] for row in html.split("<tr>")[1:] if "<td>" in row]
    assert rows == ["15", "7", "9", "0", "1", "2", "3", "4", "5", "6"]
    assert html.endswith("<div>and 10 more</div>")


def snapshots(*updates):
    return list(fold(iter(updates)))


def test_progress_draws_one_table_and_its_last_state():
    display = Recorder()
    first, last = snapshots(
        messages.update(messages.trial(0)),
        messages.update(messages.trial(0), state=study_pb2.STUDY_STATE_COMPLETED),
    )
    with NotebookProgress(display) as progress:
        progress.notice("starting the server")
        progress.submitted(first.study, "created", ["max_steps is rounded"])
        progress.show(first)
        progress.show(last)  # too soon to be drawn by itself
    html, text = display.shown[-1]
    texts = plain(html)
    assert "completed" in texts
    assert "max_steps is rounded" in texts
    assert "starting the server" not in texts
    assert "state: completed" in text
    assert "<" not in text


def test_a_notice_is_shown_while_it_lasts():
    display = Recorder()
    with NotebookProgress(display) as progress:
        progress.notice(EVIL)
    assert plain(display.shown[0][0]) == [EVIL]
    assert display.shown[0][1] == EVIL


class FakeHandle:
    def __init__(self, log):
        self.log = log

    def update(self, bundle, raw):
        self.log.append(("update", bundle))


@pytest.fixture
def notebook(monkeypatch):
    """An IPython with a kernel, as far as it is used; returns what it displays."""
    log = []

    def display(bundle, raw, display_id):
        log.append(("display", bundle))
        return FakeHandle(log)

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return log


def test_in_a_notebook_one_output_is_replaced(notebook):
    display = display_of_notebook()
    display("<b>1</b>", "1")
    display("<b>2</b>", "2")
    assert notebook == [
        ("display", {"text/html": "<b>1</b>", "text/plain": "1"}),
        ("update", {"text/html": "<b>2</b>", "text/plain": "2"}),
    ]


def test_in_a_notebook_progress_is_a_table(notebook):
    assert isinstance(choose_progress(), NotebookProgress)


def test_in_a_terminal_s_ipython_progress_is_not_a_table(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert display_of_notebook() is None
    assert not isinstance(choose_progress(), NotebookProgress)


def test_no_progress_is_silent():
    assert isinstance(choose_progress(False), SilentProgress)


def test_handles_and_trials_have_html(client, service):
    service.add(messages.study(), [messages.trial(0)])
    handle = client.study("digits")
    assert "digits" in plain(handle._repr_html_())
    assert "0.5" in plain(handle.trials()[0]._repr_html_())
