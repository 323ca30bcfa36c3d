"""The worker's secrets: their file, who gets which, and that nothing that is told holds one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core.errors import InvalidStudy
from hippo_worker import logs
from hippo_worker.logs import LogShipper
from hippo_worker.secrets import Redaction, Secrets
from tests.unit.worker.test_logs import Kept


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "secrets.env"
    found.touch(0o600)
    return found


def test_a_study_gets_what_it_names_and_as_the_file_is_now(file: Path) -> None:
    secrets = Secrets(file)
    file.write_text("# ours\n\nA_KEY= a=b \nOTHER=x\n")
    assert secrets.chosen(["A_KEY"]) == {"A_KEY": " a=b "}
    file.write_text("A_KEY=new")
    assert secrets.chosen(["A_KEY"]) == {"A_KEY": "new"}
    assert secrets.chosen([]) == {}


def test_what_is_lacking_or_hippos_own_is_told_with_the_remedy(file: Path) -> None:
    with pytest.raises(InvalidStudy, match=r"LACKING is not among the worker's secrets.*secrets\.env"):
        Secrets(file).chosen(["LACKING"])
    with pytest.raises(InvalidStudy, match="LACKING"):
        Secrets(file.with_name("none")).chosen(["LACKING"])
    file.write_text("HIPPO_TOKEN=x")
    with pytest.raises(InvalidStudy, match="HIPPO_TOKEN is Hippo's own"):
        Secrets(file).chosen(["HIPPO_TOKEN"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.write_text("A_KEY=value-of-it")
    file.chmod(mode)
    with pytest.raises(InvalidStudy, match="chmod 600"):
        Secrets(file).chosen(["A_KEY"])


@pytest.mark.parametrize(
    "line",
    ["value-of-it", "=value-of-it", "A KEY=value-of-it", "1A=value-of-it", "A=value-of-it\0"],
)
def test_a_line_that_is_none_is_told_by_its_number_and_not_by_its_words(file: Path, line: str) -> None:
    file.write_text(f"A=1\n{line}\n")
    with pytest.raises(InvalidStudy, match="line 2") as refused:
        Secrets(file).read()
    assert "value-of-it" not in str(refused.value)


def test_secrets_are_hidden_and_short_ones_are_not_looked_for() -> None:
    hide = Redaction({"A": "sesame!", "B": "open sesame!", "C": "1"})
    assert hide.text("1: open sesame! or sesame!") == "1: ************ or *******"
    assert hide.text("größer \ud800") == "größer \ud800"


secrets = st.lists(st.text("ab", min_size=6, max_size=9).map(str.encode), max_size=3)
printed = st.lists(st.tuples(st.text("ab\n", max_size=12).map(str.encode), st.booleans()), max_size=12)


@pytest.mark.parametrize("piece_bytes", [1, 7, 1 << 18])
@given(secrets=secrets, printed=printed)
async def test_however_it_is_printed_no_secret_is_shipped_and_all_else_is(
    piece_bytes: int,
    tmp_path_factory: pytest.TempPathFactory,
    secrets: list[bytes],
    printed: list[tuple[bytes, bool]],
) -> None:
    """In pieces that cut secrets anywhere, and with secrets that overlap."""
    folder, kept = tmp_path_factory.mktemp("lease"), Kept()
    shipper = LogShipper(kept.append)
    shipper.watch(1, folder, Redaction({str(number): each.decode() for number, each in enumerate(secrets)}))
    with pytest.MonkeyPatch.context() as patch, (folder / "1.log").open("ab", buffering=0) as file:
        patch.setattr(logs, "PIECE_BYTES", piece_bytes)
        for piece, shipped in printed:
            file.write(piece)
            if shipped:
                await shipper.ship()
        shipper.finish(1)
        await shipper.ship()
    whole = b"".join(piece for piece, _ in printed)
    hidden = {
        at + index
        for each in secrets
        for at in range(len(whole))
        if whole.startswith(each, at)
        for index in range(len(each))
    }
    expected = bytes(ord("*") if at in hidden else byte for at, byte in enumerate(whole))
    assert bytes(kept.logs.get((1, 1), b"")) == expected


async def test_a_secret_at_the_end_of_a_piece_waits_for_the_rest(tmp_path: Path) -> None:
    kept = Kept()
    shipper = LogShipper(kept.append)
    shipper.watch(1, tmp_path, Redaction({"A": "canary-secret"}))
    with (tmp_path / "1.log").open("ab", buffering=0) as file:
        file.write(b"key canary-")
        await shipper.ship()
        assert bytes(kept.logs[1, 1]) == b"key "
        file.write(b"bird")
        await shipper.ship()
    assert bytes(kept.logs[1, 1]) == b"key canary-bird"
