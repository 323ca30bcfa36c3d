"""Writes the JSON Schema of study files in YAML: ``python docs/write_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from hippo_client.study_schema import schema

FILE = Path(__file__).parent / "reference" / "study.schema.json"

if __name__ == "__main__":
    FILE.write_text(json.dumps(schema(), indent=2) + "\n")
