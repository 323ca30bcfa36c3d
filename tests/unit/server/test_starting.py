"""What a server's process sets for itself as it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hippo_server import garbage, process

STARTED = """
import gc, json, sys
from hippo_server import garbage, main, process

before = sys.getswitchinterval(), gc.get_threshold()

async def serve(settings):
    print(json.dumps([*before, sys.getswitchinterval(), gc.get_threshold(), garbage._spares]))

process.serve = serve
main.main()
"""


def test_a_server_that_starts_has_its_threads_take_turns_sooner_and_spares_what_lives(tmp_path: Path) -> None:
    """The writer's thread does not wait for the event loop as long as Python would have it."""
    command = [sys.executable, "-c", STARTED, "--home", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    turns_before, young_before, turns, young, spares = json.loads(found.stdout)
    assert turns == pytest.approx(process.SWITCH_SECONDS)
    assert turns < turns_before
    assert young[0] == garbage.YOUNG_OBJECTS > young_before[0]
    assert young[1:] == young_before[1:]
    assert spares
