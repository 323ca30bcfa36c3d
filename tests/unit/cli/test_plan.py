"""What hippo plan prints."""

import gc
import sys

import pytest
from click.testing import CliRunner

from hippo_client.cli import plan as the_plan
from hippo_client.cli.plan import plan

STUDY = """
import hippo_client as hippo
from hippo_client import policies, schedules, space

def parts():
    return schedules.piecewise([space.uniform(0.1, 0.9), space.uniform(0.1, 0.9)], milestones=[9])

study = hippo.Study(
    "trainer:Trainer", {"learning_rate": parts(), "momentum": parts(), "weight_decay": parts(), "x.y": parts()},
    minimize="loss", max_trials=8, max_steps=27, policy=policies.asha(),
)
"""


@pytest.fixture
def study_file(tmp_path):
    (tmp_path / "trainer.py").write_text("class Trainer: pass\n")
    path = tmp_path / "study.py"
    path.write_text(STUDY)
    return str(path)


def test_the_phases_stand_below_the_counts_and_then_what_to_do(study_file):
    printed = CliRunner().invoke(plan, [study_file])
    assert printed.exit_code == 0
    lines = printed.stdout.splitlines()
    assert lines[2] == ""
    assert lines[3:5] == [
        f"free from step {start}: "
        + ", ".join(f"{name}/values/{part}" for name in ("learning_rate", "momentum", "weight_decay", "x.y"))
        for part, start in enumerate((0, 9))
    ]
    assert lines[-2] == (
        "no two trials share a step: each draws 'learning_rate/values/0', 'momentum/values/0', "
        "'weight_decay/values/0' and 1 more anew for step 0"
    )
    assert lines[-1].startswith("to share, take a search that forks where a later phase begins")


def test_all_of_it_fits_a_terminal(study_file, monkeypatch):
    monkeypatch.setattr(the_plan, "is_read_by_a_person", lambda: True)
    monkeypatch.setattr(the_plan, "width", lambda: 80)
    narrow = CliRunner().invoke(plan, [study_file]).stdout
    monkeypatch.setattr(the_plan, "width", lambda: sys.maxsize)
    monkeypatch.setattr(the_plan, "WIDEST_PROSE", sys.maxsize)
    wide = CliRunner().invoke(plan, [study_file]).stdout
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.split() == wide.split()


def test_garbage_is_looked_for_again_after_a_plan(study_file, monkeypatch):
    """1. A study is planned without: of a large plan nothing is garbage. 2. Another cannot be read. 3. In a process
    that lives on, garbage is looked for after both."""
    found = []
    monkeypatch.setattr(
        "hippo_core.static_plan.outlook.warnings", lambda spec: found.append(gc.isenabled()) or []
    )
    assert CliRunner().invoke(plan, [study_file]).exit_code == 0
    assert set(found) == {False}
    assert gc.isenabled()
    assert CliRunner().invoke(plan, ["missing.py"]).exit_code != 0
    assert gc.isenabled()
