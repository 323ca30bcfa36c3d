"""Writes the JSON Schemas of study files in YAML and of what commands print: ``python docs/write_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from hippo_client import study_schema
from hippo_client.cli import output_schema

FOLDER = Path(__file__).parent / "reference"

if __name__ == "__main__":
    for name, schema in (("study", study_schema.schema()), ("output", output_schema.all_schemas())):
        (FOLDER / f"{name}.schema.json").write_text(json.dumps(schema, indent=2) + "\n")
