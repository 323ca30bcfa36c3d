"""How errors read."""

from __future__ import annotations

import pytest

from hippo_core.errors import InvalidStudy


@pytest.mark.parametrize(
    ("message", "text"),
    [("is missing", "lr: is missing. Give it."), ("is missing.", "lr: is missing. Give it.")],
)
def test_a_message_and_its_hint_are_two_sentences(message: str, text: str) -> None:
    assert str(InvalidStudy("lr", message, "Give it.")) == text
    assert str(InvalidStudy("lr", message)) == f"lr: {message}"
