"""The JSON shapes of workers, tokens, accounts and the audit log, made of the server's messages.

What the commands print with ``--json``, and what ``/api`` answers.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING

from hippo_core.billing import MICROSECONDS
from hippo_wire import json_types as types

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from hippo_wire.v1 import account_pb2, admin_pb2

HOUR = 3600.0


def worker_json(message: admin_pb2.Worker) -> types.Worker:
    """The worker as ``hippo worker ls --json`` prints it."""
    from hippo_wire.enums import worker_state

    return {
        "worker": message.name,
        "host": message.host,
        "state": worker_state(message.state).value,
        "slots": [
            {
                "index": slot.index,
                "device": slot.device,
                "model": slot.model,
                "study": slot.study or None,
                "user": slot.user or None,
                "step": slot.step,
                "probe_of": slot.probe_of if slot.HasField("probe_of") else None,
                "cordoned": slot.cordoned or None,
                "fence": slot.fence if slot.HasField("fence") else None,
            }
            for slot in message.slots
        ],
        "environment": json.loads(message.environment_json or "{}"),
        "labels": dict(sorted(message.labels.items())),
        "blocked": message.blocked or None,
    }


def token_json(message: admin_pb2.Token) -> types.Token:
    """The token as ``hippo token ls --json`` prints it."""

    def moment(field: str) -> str | None:
        found: Timestamp = getattr(message, field)
        return found.ToDatetime(UTC).isoformat() if message.HasField(field) else None  # type: ignore[arg-type]

    return {
        "token": message.name,
        "role": message.role,
        "project": message.project,
        "created_at": moment("create_time"),
        "expires_at": moment("expire_time"),
        "revoked_at": moment("revoke_time"),
        "uses_left": message.uses_left if message.HasField("uses_left") else None,
    }


def call_json(message: admin_pb2.AuditedCall) -> types.AuditedCall:
    """The call as ``hippo audit --json`` prints it."""
    return {
        "id": message.id,
        "at": message.answer_time.ToDatetime(UTC).isoformat(),
        "token": message.actor,
        "role": message.role,
        "project": message.project,
        "peer": message.peer,
        "method": message.method,
        "subject": message.subject,
        "request_id": message.request_id,
        "digest": message.digest,
        "result": message.result,
    }


def account_json(message: account_pb2.Account) -> types.Account:
    """The account as ``hippo project ls --json`` and ``hippo user ls --json`` print it."""
    allowance = json.loads(message.allowance_json)
    seconds = allowance["max_slot_seconds"]
    return {
        "project": message.project,
        "user": message.user or None,
        "weight": allowance["weight"],
        "max_studies": allowance["max_studies"],
        "max_open_trials": allowance["max_open_trials"],
        "max_slots": allowance["max_slots"],
        "max_slot_hours": None if seconds is None else seconds / HOUR,
        "max_priority": allowance["max_priority"],
        "max_checkpoint_bytes": allowance["max_checkpoint_bytes"],
        "slots": message.slot_count,
        "studies": message.study_count,
        "open_trials": message.open_trial_count,
        "slot_hours": message.slot_microseconds / MICROSECONDS / HOUR,
        "gpu_hours": message.gpu_microseconds / MICROSECONDS / HOUR,
        "checkpoint_bytes": None if message.user else message.checkpoint_bytes,
        "waits": message.waits,
    }


def doing_in_words(slot: types.Slot, blocked: str | None = None) -> str:
    """What a slot does, in words, and why it is granted nothing more."""
    words = [
        _training(slot) if slot["fence"] is not None else "",
        f"cordoned: {slot['cordoned']}" if slot["cordoned"] else "",
        f"blocked: storage: {blocked}" if blocked else "",
    ]
    return "; ".join(filter(None, words)) or "idle"


def _training(slot: types.Slot) -> str:
    if not slot["study"]:
        return "trains for another project"
    probed = slot["probe_of"]
    what = slot["study"] if probed is None else f"{slot['study']}, a probe of trial {probed},"
    whose = f", for {slot['user']}" if slot["user"] else ""
    return f"{what} at step {slot['step']}{whose}"
