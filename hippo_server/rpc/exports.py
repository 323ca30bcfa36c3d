"""A study as one JSON document, a trial a line, made and sent bit by bit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from hippo_core.engine import export
from hippo_server.driver import Driver
from hippo_wire.json_text import dump

TRIALS_AT_ONCE = 10  # while they are gathered, the engine decides nothing


async def export_study(driver: Driver, project: str, name: str) -> AsyncIterator[bytes]:
    """The document of a study. Of one that runs, each part is as it was when it was read.

    Raises:
        NotFound: There is none of that name.
    """
    store = driver.store
    study, count, head = await driver.current().read(
        lambda engine: export.study_record(engine, project, name)
    )
    head["created"] = (await driver.times()).of_study(study).created_at.isoformat()
    yield f'{dump(head)[:-1]},"trials":['.encode()
    nodes: dict[int, None] = {}
    for first in range(0, count, TRIALS_AT_ONCE):
        numbers = range(first, min(first + TRIALS_AT_ONCE, count))
        records = await driver.current().read(
            lambda engine, numbers=numbers: export.trial_records(engine, project, name, numbers)  # type: ignore[misc]
        )
        trained = [each for record in records for each in (record, *record["probes"])]
        nodes.update((node, None) for each in trained for node, _, _ in each["path"])
        yield _lines(records, first=first == 0)
    yield b'],"training":['
    yield _lines(await asyncio.to_thread(store.stretches, list(nodes)), first=True)
    yield b'],"leases":['
    yield _lines(await asyncio.to_thread(store.node_leases, study, list(nodes)), first=True)
    yield b'],"creations":['
    yield _lines(await asyncio.to_thread(store.trial_creations, study), first=True)
    yield b'],"arrivals":['
    yield _lines(await asyncio.to_thread(store.study_arrivals, study), first=True)
    yield b"\n]}\n"


def _lines(records: Sequence[Any], *, first: bool) -> bytes:
    text = ",".join(f"\n{dump(record)}" for record in records)
    return (text if first or not text else f",{text}").encode()
