"""What a server's process sets for itself as it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hippo_server import main

STARTED = """
import json, sys
from hippo_server import garbage, main

before = sys.getswitchinterval()

async def serve(settings):
    print(json.dumps([before, sys.getswitchinterval(), garbage._spares]))

main._serve = serve
main.main()
"""


def test_a_server_that_starts_has_its_threads_take_turns_sooner_and_spares_what_lives(tmp_path: Path) -> None:
    """The writer's thread does not wait for the event loop as long as Python would have it."""
    command = [sys.executable, "-c", STARTED, "--home", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    before, serving, spares = json.loads(found.stdout)
    assert serving == pytest.approx(main.SWITCH_SECONDS)
    assert serving < before
    assert spares
