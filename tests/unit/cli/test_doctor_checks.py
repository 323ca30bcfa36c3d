from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from hippo_client.cli import doctor_checks
from hippo_client.cli.main import call
from hippo_client.local import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path / "home"))
    for name in ("HIPPO_SERVER", "HIPPO_STORAGE", "HIPPO_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Home.at()


def test_a_machine_that_can_train_has_no_fault(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "FAULT" not in out
    for check in ("python", "torch", "devices", "home", "socket", "database", "storage", "server"):
        assert f" {check} " in out


def test_how_slots_share_a_gpu_is_told_where_there_is_one() -> None:
    assert doctor_checks.devices("2 cores", [], None).found == "2 cores; no GPU"
    turns = doctor_checks.devices("2 cores", ["H100", "H100"], None).found
    assert turns == "2 cores; H100, H100; no MPS: slots that share a GPU take turns"
    assert doctor_checks.devices("2 cores", ["H100"], "/run/mps").found == "2 cores; H100; MPS in /run/mps"


def test_a_home_that_cannot_be_made_is_a_fault_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path / "file" / "home"))
    assert call(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAULT home" in out
    assert "Set HIPPO_HOME to a folder of yours." in out


def test_a_home_open_to_others_is_noted(home: Home) -> None:
    home.create()
    home.path.chmod(0o755)
    finding = doctor_checks.home_writable(home)
    assert (finding.ok, finding.fix) == (None, f"chmod 700 {home.path}")


@pytest.mark.parametrize(("free_bytes", "code"), [(99_999_999, 1), (100_000_000, 0)])
def test_a_home_without_room_for_the_database_is_a_fault(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    free_bytes: int,
    code: int,
) -> None:
    monkeypatch.setattr(
        "hippo_client.cli.doctor_checks.shutil.disk_usage", lambda _: SimpleNamespace(free=free_bytes)
    )
    assert call(["doctor"]) == code
    out = capsys.readouterr().out
    assert ("FAULT home" in out and "has 100 MB free" in out) == (code == 1)


def test_a_taken_port_is_noted(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = doctor_checks.port_free("gRPC", port, home)
        assert finding.ok is None
        assert "--grpc-port" in finding.fix
    assert doctor_checks.port_free("gRPC", port, home).ok is True


def test_a_storage_that_is_no_folder_is_a_fault(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HIPPO_STORAGE", str(tmp_path / "file"))
    finding = doctor_checks.storage_writable(home)
    assert finding.ok is False
    assert "HIPPO_STORAGE" in finding.fix


def test_a_named_server_that_does_not_answer_is_a_fault(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # by one that takes no connections
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HIPPO_SERVER", f"127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("HIPPO_TOKEN", "secret")
        finding = doctor_checks.server_reachable(home)
    assert finding.ok is False
    assert finding.fix
    assert "secret" not in finding.found + finding.fix
