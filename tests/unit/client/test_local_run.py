"""hippo.run against a server in memory in the place of the home's."""

import gc

import pytest

import hippo_client as hippo
import hippo_client.local
from hippo_client.errors import Conflict, InvalidStudy
from hippo_client.study_file import load
from hippo_client.watching import SilentProgress
from hippo_wire.v1 import study_pb2
from tests.unit.client import messages
from tests.unit.client.service import TOKEN

DONE = study_pb2.STUDY_STATE_COMPLETED


class Attachment:
    """As ``hippo_client.local.Attachment``: notes what is done with it."""

    def __init__(self, address):
        self.server = address
        self.token = TOKEN
        self.done = []
        self.said = [["the worker was started again"]]

    def notices(self):
        return self.said.pop() if self.said else []

    def drain(self, tell):
        self.done.append("drain")
        tell("saving")
        return True

    def close(self):
        self.done.append("close")


class Recorder(SilentProgress):
    def __init__(self, interrupt=False):
        self.told = []
        self.interrupt = interrupt

    def notice(self, message):
        self.told.append(message)

    def submitted(self, study, outcome, warnings):
        self.told.append((study.name, outcome, warnings))

    def show(self, snapshot):
        self.told.append(snapshot.study.state)
        if self.interrupt:
            raise KeyboardInterrupt


@pytest.fixture
def attachment(server, monkeypatch):
    made = Attachment(server.address)
    made.asked = []

    def attach(home, slots, tell):
        made.asked.append(slots)
        tell("starting the server")
        return made

    monkeypatch.setattr(hippo_client.local, "attach", attach)
    return made


def test_a_study_runs_until_it_has_ended(attachment, service, folder):
    service.watches = [[messages.update(), messages.update(state=DONE)]]
    progress = Recorder()
    handle = hippo.run(load(folder / "study.py"), slots=2, progress=progress)
    assert handle.name == "study"
    assert attachment.asked == [2]
    assert progress.told[:2] == ["starting the server", ("study", "created", ())]
    assert progress.told.index("the worker was started again") < progress.told.index(DONE)


def test_the_server_stays_as_long_as_a_handle_is_held(attachment, service, folder):
    """Also where only a trial of it is left, as in ``hippo.run(study).best_trial``."""
    service.watches = [[messages.update(state=DONE)]]
    handle = hippo.run(load(folder / "study.py"), progress=False)
    service.trials["study"] = [messages.trial(0)]
    trials = handle.trials()
    del handle
    gc.collect()
    assert attachment.done == []
    del trials
    gc.collect()
    assert attachment.done == ["close"]


def test_an_interrupt_saves_and_detaches(attachment, service, folder):
    service.watches = [[messages.update()]]
    progress = Recorder(interrupt=True)
    with pytest.raises(KeyboardInterrupt):
        hippo.run(load(folder / "study.py"), progress=progress)
    assert progress.told[-2:] == ["detaching; run again to resume", "saving"]
    assert attachment.done[0] == "drain"


def test_a_paused_study_goes_on(attachment, service, folder):
    study = load(folder / "study.py")
    service.state_when_submitted = study_pb2.STUDY_STATE_PAUSED
    service.watches = [[messages.update(state=DONE)]]
    hippo.run(study, progress=False)
    assert [type(change).__name__ for change in service.changes] == [
        "SubmitStudyRequest",
        "ResumeStudyRequest",
    ]


def test_a_study_that_is_given_up_is_waited_for_no_longer(attachment, service, folder):
    service.watches = [
        [messages.update(), messages.update(state=study_pb2.STUDY_STATE_PAUSED, given_up=True)]
    ]
    assert hippo.run(load(folder / "study.py"), progress=False).last_heard.given_up


def test_a_server_that_dies_before_it_has_the_study_is_waited_for(attachment, service, folder):
    service.failing_uploads = 2
    service.watches = [[messages.update(state=DONE)]]
    assert hippo.run(load(folder / "study.py"), progress=False).outcome == "created"


def test_a_study_that_is_refused_detaches(attachment, service, folder):
    first = load(folder / "study.py")
    with hippo.Client(attachment.server, TOKEN) as client:
        client.submit(first)
    file = folder / "study.py"
    file.write_text(file.read_text().replace("0.2", "0.3"))
    with pytest.raises(Conflict):
        hippo.run(load(file), progress=False)
    gc.collect()
    assert "close" in attachment.done


def test_what_is_wrong_is_told_before_anything_is_started(attachment, folder):
    (folder / "trainer.py").write_text("class Small: ...")
    with pytest.raises(InvalidStudy, match="Small lacks setup"):
        hippo.run(load(folder / "study.py"))
    assert attachment.asked == []


@pytest.mark.parametrize("slots", [0, -1, 1.5, True, "2"])
def test_slots_are_a_positive_number(attachment, folder, slots):
    with pytest.raises(InvalidStudy, match="slots: must be an int of at least 1"):
        hippo.run(load(folder / "study.py"), slots=slots)
    assert attachment.asked == []
