"""What a call looks like in the audit log."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from hippo_core.errors import NotAllowed
from hippo_server.audit import cut
from hippo_server.auth.roles import AUDITED
from hippo_server.auth.tokens import Identity
from hippo_server.store.audit import UNAUTHENTICATED, Call


def audited(
    method: str, peer: str, who: Identity | None, request: Any, result: str, subject: str = ""
) -> Call | None:
    """A call for the audit log; None: it does not belong there.

    Args:
        method: What was called, with its service.
        peer: Where it came from.
        who: Who asked; None: nobody knows.
        request: The message; or where several are streamed, their iterator, which is not looked at.
        result: ``OK``, or the code of the error.
        subject: What it is about, where several messages are streamed.
    """
    refused = result in (NotAllowed.code, UNAUTHENTICATED)
    if method not in AUDITED and not refused:
        return None
    is_message = isinstance(request, Message)
    content = request.SerializeToString(deterministic=True) if is_message and not refused else None
    return Call(
        at=datetime.now(UTC),
        actor="" if who is None else who.user,
        role="" if who is None else who.role.value,
        project="" if who is None else who.project,
        peer=cut(peer),
        method=method.rpartition("/")[2],
        subject=cut(_subject(request) if is_message else subject),
        request_id=cut(getattr(request, "request_id", "")),
        digest="" if content is None else hashlib.sha256(content).hexdigest(),
        result=result,
    )


def _subject(request: Message) -> str:
    spec = getattr(request, "spec_json", "")
    if spec:
        try:
            return str(json.loads(spec)["name"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""
    fields = request.DESCRIPTOR.fields_by_name
    parts = [str(getattr(request, name)) for name in ("name", "worker") if name in fields]
    if "trial" in fields:
        parts.append(f"trial {getattr(request, 'trial')}")  # noqa: B009
    return " ".join(filter(None, parts))
