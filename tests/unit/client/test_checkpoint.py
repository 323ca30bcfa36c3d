"""Checkpoints as they arrive from the server: whole and verified, or not at all."""

import pytest

from hippo_client.errors import HippoError, NotFound
from hippo_storage import state
from hippo_storage.errors import CheckpointCorrupt
from hippo_storage.files import digest_of
from hippo_storage.manifest import MANIFEST, CheckpointLocation, FileEntry, Manifest
from hippo_wire.v1 import study_pb2
from tests.unit.client import messages

STATE = {"trainer": {"weights": b"\x01" * 100, "epoch": 3}, "modes": [], "random": None}


@pytest.fixture
def files(tmp_path):
    """The saved files of a state in pieces, the manifest first, as the server sends them."""
    folder = tmp_path / "saved"
    state.write(state.capture(STATE), folder)
    saved = {path.name: path for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
    manifest = Manifest(
        location=CheckpointLocation(plan=1, node=2, step=3, fence=4),
        files={
            name: FileEntry(size_bytes=path.stat().st_size, digest=digest_of(path))
            for name, path in saved.items()
            if name == "state.msgpack" or name.endswith(".safetensors")
        },
    )
    sent = [(MANIFEST, [manifest.encode()])]
    for name in manifest.files:
        data = saved[name].read_bytes()
        sent.append((name, [data[:10], data[10:]]))
    return sent


@pytest.fixture
def trial(client, service, files):
    service.add(messages.study(), [messages.trial(0)])
    service.details["digits", 0] = study_pb2.GetTrialResponse(
        trial=messages.trial(0),
        checkpoints=[
            study_pb2.Checkpoint(node=2, step=3, fence=4, size_bytes=2 << 20),
            study_pb2.Checkpoint(node=2, step=1, fence=4),
        ],
    )
    service.checkpoints["digits", 0, 3] = files
    return client.study("digits").trials()[0]


def test_the_last_one_is_loaded_as_the_trainer_s_state(trial):
    checkpoint = trial.checkpoint()
    assert checkpoint.step == 3
    assert checkpoint.load() == STATE["trainer"]
    assert repr(checkpoint) == "<Checkpoint of trial 0 of digits at step 3, 2.0 MiB>"


def test_its_files_can_be_kept(trial, tmp_path):
    assert [path.name for path in trial.checkpoint(3).download(tmp_path / "here")] == ["state.msgpack"]
    assert state.read(tmp_path / "here") == STATE


def test_a_step_without_one_names_those_with_one(trial):
    with pytest.raises(NotFound, match=r"at step 2 is kept. Steps with one: 1, 3"):
        trial.checkpoint(2)


def test_a_trial_without_one_says_so(trial, service):
    del service.details["digits", 0].checkpoints[:]
    with pytest.raises(NotFound, match="no checkpoint of trial 0 of digits is kept"):
        trial.checkpoint()


def test_a_folder_with_something_in_it_is_left_alone(trial, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty"):
        trial.checkpoint().download(tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"


def flip(files):
    name, pieces = files[1]
    files[1] = (name, [pieces[0], bytes([pieces[1][0] ^ 1]) + pieces[1][1:]])


def cut(files):
    name, pieces = files[1]
    files[1] = (name, pieces[:1])


def drop_file(files):
    del files[1:]


def drop_manifest(files):
    del files[0]


def spoil_manifest(files):
    files[0] = (MANIFEST, [b"{}"])


def change_manifest(files):
    files[0] = (MANIFEST, [files[0][1][0].replace(b'"node":2', b'"node":3')])


def climb(files):
    files[1] = ("../state.msgpack", files[1][1])


def forget_name(files):
    files.insert(0, ("", [b"data"]))


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (flip, CheckpointCorrupt, "state.msgpack of checkpoints/1/2/3/4 arrived otherwise than it was saved"),
        (cut, CheckpointCorrupt, "arrived otherwise"),
        (drop_file, HippoError, "did not send state.msgpack"),
        (drop_manifest, HippoError, "sent no manifest"),
        (spoil_manifest, HippoError, "sent a manifest that cannot be read"),
        (change_manifest, CheckpointCorrupt, "the manifest differs from its own digest"),
        (climb, HippoError, r"sent a file named '../state.msgpack'"),
        (forget_name, HippoError, "data before the name of a file"),
    ],
)
def test_what_arrives_damaged_is_refused_and_nothing_of_it_stays(trial, files, tmp_path, damage, kind, words):
    damage(files)
    target = tmp_path / "target"
    with pytest.raises(kind, match=words):
        trial.checkpoint().download(target)
    assert list(target.iterdir()) == []
    assert not (tmp_path / "state.msgpack").exists()
