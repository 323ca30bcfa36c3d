from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hippo_client.cli import worker_command
from hippo_client.cli.check import outcome_in_words, problems_in_words
from hippo_client.cli.verify import result_in_words
from hippo_core.errors import HippoError, InvalidStudy, NotFound


@pytest.fixture
def prints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """What `run` yields of a process that prints these lines, whatever program was asked for."""
    popen = subprocess.Popen

    def run(*lines: dict[str, Any]) -> list[dict[str, Any]]:
        program = f"print({chr(10).join(map(json.dumps, lines))!r})"

        def start(_: Any, **options: Any) -> subprocess.Popen[str]:
            return popen([sys.executable, "-c", program], **options)

        monkeypatch.setattr(worker_command.subprocess, "Popen", start)  # type: ignore[attr-defined]
        return list(worker_command.run("check", []))

    return run


def test_lines_are_handed_on(prints: Callable[..., list[dict[str, Any]]]) -> None:
    lines = [{"check": "save", "ok": True, "problems": []}, {"passed": True, "steps": 4, "problems": []}]
    assert prints(*lines) == lines


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            {"code": "INVALID", "message": "trainer: lacks evaluate.", "hint": "Add it."},
            InvalidStudy,
            "trainer: lacks",
        ),
        ({"code": "NOT_FOUND", "message": "no trial 7.", "hint": ""}, NotFound, "no trial 7"),
        ({"code": "STATE", "message": "cannot be saved.", "hint": ""}, HippoError, "cannot be saved"),
    ],
)
def test_what_the_worker_refuses_is_raised_here(
    error: dict[str, str], kind: type[HippoError], message: str, prints: Callable[..., list[dict[str, Any]]]
) -> None:
    with pytest.raises(kind, match=message):
        prints({"error": error})


def test_a_worker_that_ends_without_a_result_is_an_error(
    prints: Callable[..., list[dict[str, Any]]],
) -> None:
    with pytest.raises(HippoError, match="before it had a result"):
        prints({"check": "save", "ok": True, "problems": []})


def test_what_a_verification_came_to() -> None:
    result: dict[str, Any] = {"passed": True, "steps": 9, "compared": {"metrics": 18, "tensors": 27}}
    result |= {"differences": [], "failure": ""}
    assert (
        result_in_words(3, result) == "Equal, bit for bit: trial 3 over 9 steps, 18 metrics and 27 tensors."
    )
    different = {"step": 2, "name": "loss", "shared": 0.5, "alone": 0.25}
    assert result_in_words(3, {**result, "passed": False, "differences": [different]}).splitlines() == [
        "Trial 3, trained alone, is not what was trained shared (18 metrics and 27 tensors compared):",
        "  step 2, loss: shared 0.5, alone 0.25",
    ]


def test_a_trial_that_failed_alone_is_not_told_as_one_that_differs() -> None:
    result: dict[str, Any] = {"passed": False, "steps": 9, "compared": {"metrics": 0, "tensors": 0}}
    result |= {"differences": [], "failure": "KeyError: 'data'"}
    assert (
        result_in_words(3, result)
        == "Trial 3 failed when it was trained alone, so nothing was compared: KeyError: 'data'"
    )


def test_problems_are_told_with_their_remedies() -> None:
    problem = {"check": "save", "step": 2, "message": "self.rng differs.", "remedy": "Make it an attribute."}
    assert problems_in_words([problem]) == "saving, step 2: self.rng differs.\n    Make it an attribute."


def test_a_check_is_called_the_same_where_it_ends_and_where_it_is_explained() -> None:
    """Saving seemed to change the training, but the training does not repeat itself anyway."""
    problem = {"check": "repeat", "step": 2, "message": "Two equal runs differ.", "remedy": ""}
    assert outcome_in_words({"check": "save", "ok": True, "problems": []}) == "ok      saving"
    failed = outcome_in_words({"check": "save", "ok": False, "problems": [problem, problem]})
    assert failed == "FAILED  training again"
    assert problems_in_words([problem]) == "training again, step 2: Two equal runs differ."
