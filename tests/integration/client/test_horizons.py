"""The language model of the examples, small: one trunk for each rate, a cool-down for each length, for real."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hippo_client as hippo
from hippo_client.local import Home
from hippo_client.study_file import load
from hippo_core.static_plan import plan_studies

EXAMPLE = Path(__file__).parents[3] / "examples" / "language_model"


def test_a_family_of_cool_downs_shares_its_trunk_bit_for_bit(one_slot_home: Home, tmp_path: Path) -> None:
    """1. The example, shorter. 2. What is trained is what was planned. 3. There is a best trial for each horizon.
    4. One is trained alone again, bit for bit the same. 5. A longer horizon goes on where the longest began to decay.
    """
    pytest.importorskip("torch")
    folder = shutil.copytree(EXAMPLE, tmp_path / "language_model")
    text = (folder / "study.py").read_text()
    for old, new in (
        ("[200, 400, 800]", "[20, 40, 60]"),
        ("[0.001, 0.003, 0.01, 0.03]", "[0.003, 0.03]"),
        ("warmup=20", "warmup=4"),
        ("evaluate_every=20", "evaluate_every=10"),
        ('["argparse", "ast", "inspect", "tarfile", "typing"]', '["ast", "typing"]'),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "study.py").write_text(text)
    study = load(folder / "study.py")
    run = hippo.run(study, slots=1, progress=False)
    assert run.state == "completed", run.reason
    planned = plan_studies([study.spec()]).studies[0].counts
    savings = run.savings()
    assert (savings["steps_trained"], savings["steps_retrained"]) == (2 * (60 + 4 + 8), 0)
    assert savings["steps_trained"] == planned.steps_with_sharing
    assert savings["merge_rate"] == planned.merge_rate == 120 / 72
    trials = run.trials()
    assert [(trial.horizon, trial.step) for trial in trials] == [(20, 20), (40, 40), (60, 60)] * 2
    best = run.best_by_horizon
    assert list(best) == [20, 40, 60]
    for horizon, trial in best.items():
        losses = [each.metrics["loss"] for each in trials if each.horizon == horizon]
        assert trial.metrics["loss"] == min(loss for loss in losses if loss is not None)
    assert run.best_trial is not None
    assert run.best_trial.number == best[60].number
    assert best[20].checkpoint().step == 20
    for arguments, expected in (
        (["study", "show", run.name], "Best at horizon 40: trial"),
        (["trial", "ls", run.name], "HORIZON"),
        (["verify", run.name, "--trial", "1"], ""),
    ):
        done = _hippo(*arguments)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    listed = json.loads(_hippo("study", "show", run.name, "--json").stdout)["best_by_horizon"]
    assert [(each["horizon"], each["trial"]) for each in listed] == [(h, best[h].number) for h in best]

    extended = _hippo("study", "extend", run.name, "--horizon", "80")
    assert extended.returncode == 0, extended.stderr
    run.wait(progress=False, timeout=240)
    after = run.savings()
    assert after["steps_retrained"] == 0
    assert after["steps_trained"] - savings["steps_trained"] == 2 * (80 - 48)
    assert list(run.best_by_horizon) == [20, 40, 60, 80]
    assert set(run.dataframe(style="plain")["horizon"]) == {20, 40, 60, 80}
    assert len(run.to_optuna().trials) == 8


def _hippo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hippo_client.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
    )
