from __future__ import annotations

import pytest

from hippo_client.local.protocol import (
    Answer,
    Request,
    State,
    Verb,
    decode_answer,
    decode_request,
    encode,
)


def test_lines_come_back_as_they_went() -> None:
    request = Request(verb=Verb.ATTACH, worker=True, slots=2, stay=True, grpc_port=7440, http_port=7441)
    assert decode_request(encode(request)) == request
    answer = Answer(state=State.READY, server="127.0.0.1:1", http="127.0.0.1:2", slots=2)
    assert decode_answer(encode(answer)) == answer


def test_words_of_a_newer_version_are_skipped() -> None:
    assert decode_request(b'{"verb": "attach", "mood": "good"}\n') == Request(verb=Verb.ATTACH)


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b'"attach"\n', b'{"verb": "sing"}\n'])
def test_what_is_no_request_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode_request(line)
