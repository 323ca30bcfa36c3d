"""From a study file to what the server gets."""

import json

import pytest

from hippo_client.errors import Conflict, InvalidStudy, Unavailable
from hippo_client.study_file import load
from hippo_client.submission import prepare
from hippo_core.study import StudySpec


def edit(folder, old, new, name="study.py"):
    file = folder / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    return load(folder / "study.py")


def test_the_code_is_uploaded_once(client, service, folder):
    study = load(folder / "study.py")
    client.submit(study)
    client.submit(study)
    assert list(service.bundles) == [prepare(study).bundle.digest]


def test_what_is_sent_reads_back_as_the_study(folder):
    submission = prepare(load(folder / "study.py"))
    spec = StudySpec.from_json(json.loads(submission.spec_json()))
    assert spec == submission.spec
    assert spec.bundle == submission.bundle.digest
    assert len(spec.program.code_digest) == 64


def test_submitting_again_finds_the_same_study(client, folder):
    study = load(folder / "study.py")
    assert client.submit(study).outcome == "created"
    again = client.submit(study)
    assert (again.outcome, again.name) == ("unchanged", "study")


def test_an_edit_of_the_study_file_that_leaves_the_study_equal_is_no_change(client, folder):
    client.submit(load(folder / "study.py"))
    edited = edit(folder, "import hippo_client", "# a remark\nimport hippo_client")
    assert client.submit(edited).outcome == "unchanged"


def test_larger_limits_extend(client, folder):
    client.submit(load(folder / "study.py"))
    assert client.submit(edit(folder, "max_steps=3", "max_steps=9")).outcome == "extended"


def test_a_changed_trainer_is_another_content(client, folder):
    client.submit(load(folder / "study.py"))
    edited = edit(folder, "1.0", "2.0", "trainer.py")
    with pytest.raises(Conflict, match="code_digest"):
        client.submit(edited)


def test_warnings_reach_the_handle(client, folder):
    handle = client.submit(edit(folder, "max_steps=3", "max_steps=3, evaluate_every=2"))
    assert "rounded up to 4" in handle.warnings[0]


def test_a_lost_reply_is_asked_for_again_with_the_same_request_id(client, service, folder):
    service.lose = 2
    assert client.submit(load(folder / "study.py")).outcome == "created"
    assert len(service.changes) == 1


def test_two_submissions_have_two_request_ids(client, service, folder):
    study = load(folder / "study.py")
    client.submit(study)
    client.submit(study)
    first, second = service.changes
    assert first.request_id != second.request_id


def test_nothing_is_sent_of_a_study_whose_trainer_cannot_work(client, service, folder):
    study = edit(folder, "def evaluate", "def measure", "trainer.py")
    with pytest.raises(InvalidStudy, match="Small lacks evaluate"):
        client.submit(study)
    assert not service.bundles
    assert not service.changes


def test_a_trainer_that_does_not_exist_is_refused_but_can_be_planned(client, folder):
    study = edit(folder, "trainer:Small", "trainers:Small")
    assert study.spec().program.code_digest == f"missing:{folder}"
    with pytest.raises(InvalidStudy, match=r'Did you mean "trainer:\.\.\."'):
        client.submit(study)


def test_code_elsewhere_travels_along(client, service, tmp_path, folder):
    library = tmp_path.parent / f"{tmp_path.name}-library"
    library.mkdir()
    (library / "network.py").write_text("WIDTH = 8\n")
    edit(folder, "import hippo_client as hippo", "import network\nimport hippo_client as hippo", "trainer.py")
    study = edit(folder, "max_steps=3", f"max_steps=3, code=[{str(library)!r}]")
    before = study.spec().program.code_digest
    assert "network.py" in prepare(study).bundle.files
    (library / "network.py").write_text("WIDTH = 16\n")
    assert study.spec().program.code_digest != before


def test_a_home_within_the_folder_does_not_travel(monkeypatch, folder):
    monkeypatch.setenv("HIPPO_HOME", str(folder / "home"))
    (folder / "home").mkdir()
    (folder / "home" / "anything").write_text("secret")
    assert prepare(load(folder / "study.py")).bundle.files == ("study.py", "trainer.py")


def test_a_server_that_is_gone_is_unavailable(client, server, folder):
    study = load(folder / "study.py")
    server.__exit__()
    with pytest.raises(Unavailable, match=rf"cannot reach .*{server.address}"):
        client.submit(study)
