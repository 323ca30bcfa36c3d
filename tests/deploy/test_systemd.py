"""The units for systemd: they say what it understands, let a service do little, and stop it as its programs need."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click import Command

from hippo_server.main import main as server
from hippo_worker.main import cli as worker

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNITS = {"server": server, "worker": worker}
#: What `systemd-analyze security` may find at most, of 10; a unit that says nothing of it has 9.6.
MOST_EXPOSED = {"server": 2.0, "worker": 3.0}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)


def service_of(name: str) -> dict[str, str]:
    """The settings of a unit's section [Service]; of one that stands several times, all, with blanks between."""
    text = (FOLDER / f"hippo-{name}.service").read_text().partition("[Service]\n")[2].partition("\n[")[0]
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key] = f"{found[key]} {value}" if key in found else value
    return found


def seconds(text: str) -> float:
    """A time as systemd writes it, of one number."""
    number, suffix = re.fullmatch(r"(\d+)(|s|min)", text).groups()  # type: ignore[union-attr]
    return float(number) * (60 if suffix == "min" else 1)


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_every_setting(name: str, tmp_path: Path) -> None:
    """Of a setting that it does not know it only warns, so that it must say nothing at all."""
    file = tmp_path / f"hippo-{name}.service"
    text = (FOLDER / file.name).read_text()
    assert "/opt/hippo/bin/" in text
    file.write_text(re.sub(r"/opt/hippo/bin/\S+", "/bin/true", text))
    done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_a_service_may_do_little(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", FOLDER / f"hippo-{name}.service"],
        capture_output=True,
        text=True,
        check=True,
    )
    exposure = re.search(r"Overall exposure level .*: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stdout
    assert float(exposure[1]) <= MOST_EXPOSED[name]


@pytest.mark.parametrize(("name", "command"), UNITS.items())
def test_the_variables_of_a_unit_are_options_of_its_program(name: str, command: Command) -> None:
    known = {option.envvar for option in command.params if isinstance(option.envvar, str)}
    service = service_of(name)
    given = re.findall(r"(HIPPO_\w+)=", service["Environment"])
    assert given
    assert set(given) <= known
    assert service["ExecStart"] == f"/opt/hippo/bin/hippo-{name}"


@pytest.mark.parametrize("name", UNITS)
def test_a_program_says_itself_that_it_is_ready_and_lives(name: str) -> None:
    service = service_of(name)
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert seconds(service["WatchdogSec"]) >= 30
    assert service["Restart"] == "on-failure"


def test_a_worker_has_the_time_to_save() -> None:
    """Runners are not told beside it: a trainer that ends by SIGTERM could not be told to save."""
    service = service_of("worker")
    drain = re.search(r"HIPPO_DRAIN_SECONDS=(\d+)", service["Environment"])
    assert drain is not None
    assert seconds(service["TimeoutStopSec"]) >= int(drain[1]) + 30
    assert service["KillMode"] == "mixed"


def test_the_workers_token_is_a_credential_that_it_reads_from_where_it_is_put() -> None:
    service = service_of("worker")
    name = service["LoadCredential"].partition(":")[0]
    assert f"HIPPO_JOIN_TOKEN_FILE=%d/{name}" in service["Environment"]


@pytest.mark.parametrize("name", UNITS)
def test_the_user_is_one_that_is_made(name: str) -> None:
    lines = (FOLDER / "hippo.sysusers.conf").read_text().splitlines()
    made = [line.split()[1] for line in lines if line.startswith("u ")]
    service = service_of(name)
    assert {service["User"], service["Group"]} <= set(made)
