"""The reference of study files in YAML, from their JSON Schema and the docstring of ``Study``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from building.markdown import cell, page, table
from griffe import Docstring, DocstringSectionKind

from hippo_client.study import Study
from hippo_client.study_schema import schema

WORDS = {
    "schedule": ("Schedules", "schedules.md"),
    "sampler": ("Samplers", "samplers.md"),
    "policy": ("Policies", "policies.md"),
    "ending": ("Endings", "endings.md"),
}


def pages() -> dict[str, str]:
    """The page, under its name."""
    whole = schema()
    meanings = _meanings()
    required = set(whole["required"])
    keys = [
        (f"`{name}`", "yes" if name in required else "", cell(meanings.get(name, "")))
        for name in whole["properties"]
    ]
    told = {
        "schedule": whole["$defs"]["schedule"],
        "sampler": whole["properties"]["sampler"],
        "policy": whole["properties"]["policy"],
        "ending": whole["properties"]["endings"]["items"],
    }
    parts = [_words(word, part) for word, part in told.items()]
    return {
        "study-file": page(
            "Study files in YAML",
            "The keys are the arguments of [`hippo.Study`](study.md#Study), and mean the same. "
            "[How to write one](../how-to/yaml.md); [the JSON Schema](study.schema.json), for editors.",
            table(("key", "required", ""), keys),
            *parts,
        )
    }


def _meanings() -> dict[str, str]:
    for section in Docstring(Study.__doc__ or "").parse("google"):
        if section.kind is DocstringSectionKind.parameters:
            return {each.name: each.description for each in section.value}
    raise ValueError("the docstring of Study has no arguments")


def _words(word: str, part: Mapping[str, Any]) -> str:
    """A table of what may be named, with the keys beside the name."""
    title, target = WORDS[word]
    rows = []
    for each in part["anyOf"]:
        names = each.get("properties", {}).get(word)
        if names is None:
            continue
        for name in [names["const"]] if "const" in names else names["enum"]:
            keys = [
                f"**`{key}`**" if key in each["required"] else f"`{key}`"
                for key in each["properties"]
                if key != word
            ]
            rows.append((f"[`{name}`]({target}#{name})", " ".join(keys)))
    return f"## {title}\n\n`{word}:` and, in bold where they must be given:\n\n" + table((word, "keys"), rows)
