"""Every option of every command changes what comes of it: what is asked, printed or written, or the exit code."""

from __future__ import annotations

import click
import pytest

from tests.unit.cli.every_command import ARGUMENTS, Around
from tests.unit.cli.test_help import TREE

Lines = tuple[str, str]

#: By command and option: the command's arguments without it, and with it, where they are not those of
#: `ARGUMENTS` and the same with a value that `value_of` finds. One that must be given has another value instead.
LINES: dict[tuple[str, str], Lines] = {
    ("check", "--secrets-file"): ("study.py", "study.py --secrets-file x.env"),
    ("check", "--set"): ("study.py", "study.py --set lr=0.1"),
    ("checkpoint gc", "--to"): ("", "--to 20GiB"),
    ("checkpoint pin", "--step"): ("digits", "digits --step 9"),
    ("checkpoint pull", "--step"): ("digits", "digits --step 9"),
    ("project edit", "--weight"): ("vision --weight 2", "vision --weight 3"),
    ("user edit", "--weight"): ("ada --weight 2", "ada --weight 3"),
    ("login", "--token-file"): ("127.0.0.1:7440", "127.0.0.1:7440 --token-file ada.token"),
    ("program forget", "--yes"): ("ab12", "ab12 --yes"),
    ("simulate", "--slots"): ("study.py --slots 1", "study.py --slots 2"),
    ("simulate", "--recorded"): (
        "study.py --slots 1",
        "study.py --slots 1 --recorded recorded.json --beyond power-law",
    ),
    ("simulate", "--beyond"): (
        "--slots 1 --recorded recorded.json",
        "--slots 1 --recorded recorded.json --beyond power-law",
    ),
    ("simulate", "--seed"): ("study.py --slots 1 --json", "study.py --slots 1 --json --seed 7"),
    ("simulate", "--load-seconds"): ("rungs.py --slots 2", "rungs.py --slots 2 --load-seconds 0.5"),
    ("simulate", "--checkpoint-bytes"): ("rungs.py --slots 2", "rungs.py --slots 2 --checkpoint-bytes 4GiB"),
    ("simulate", "--gantt"): ("study.py --slots 1", "study.py --slots 1 --gantt x.svg"),
    ("study delete", "--yes"): ("digits", "digits --yes"),
    ("study edit", "--priority"): ("digits --priority 3", "digits --priority 4"),
    ("study edit", "--yes"): ("digits study.py", "digits study.py --yes"),
    ("study enqueue", "--set"): ("digits", "digits --set lr=0.1"),
    ("study export", "--format"): ("digits", "digits --format csv"),
    ("study export", "--table"): ("digits --format csv", "digits --format csv --table history"),
    ("study export", "--style"): ("digits --format csv", "digits --format csv --style mlflow"),
    ("study export", "--output"): ("digits", "digits --output x.json"),
    ("study export", "--checkpoints"): (
        "digits --format archive -o x.hippo",
        "digits --format archive -o x.hippo --checkpoints",
    ),
    ("study fork", "--trial"): (
        "digits --trial 3 --at 1 --set lr=0.1",
        "digits --trial 4 --at 1 --set lr=0.1",
    ),
    ("study fork", "--at"): ("digits --trial 3 --at 1 --set lr=0.1", "digits --trial 3 --at 2 --set lr=0.1"),
    ("study fork", "--set"): ("digits --trial 3 --at 1 --set lr=0.1", "digits --trial 3 --at 1 --set lr=0.2"),
    ("study import", "--name"): ("digits.hippo", "digits.hippo --name other"),
    ("study import", "--trainer"): (
        "sweep.yaml --max-steps 3 --max-trials 2",
        "sweep.yaml --max-steps 3 --max-trials 2 --trainer trainer:T",
    ),
    **{
        ("study import", option.split()[0]): (
            "sweep.yaml --trainer trainer:T --max-steps 3 --max-trials 2",
            f"sweep.yaml --trainer trainer:T --max-steps 3 --max-trials 2 {option}",
        )
        for option in ("--max-steps 4", "--max-trials 4", "--output x.yaml")
    },
    ("study import", "--skip-unsupported"): (
        "command.yaml --trainer trainer:T --max-steps 3 --max-trials 2",
        "command.yaml --trainer trainer:T --max-steps 3 --max-trials 2 --skip-unsupported",
    ),
    ("study plot", "--output"): ("digits curves", "digits curves --output x.png"),
    ("study plot", "--metric"): ("digits curves -o x.png", "digits curves -o x.png --metric loss"),
    ("token create", "--role"): ("ada --role editor", "ada --role viewer"),
    ("token create", "--expires"): ("ada --role editor", "ada --role editor --expires 30m"),
    ("trial extend", "--to"): ("digits 3 --to 81", "digits 3 --to 82"),
    ("usage", "--since"): ("", "--since 2026-01-31"),
    ("verify", "--secrets-file"): ("digits --trial 3", "digits --trial 3 --secrets-file x.env"),
    ("verify", "--trial"): ("digits --trial 3", "digits --trial 4"),
    ("certs init", "--dir"): ("", "--dir x"),
    ("checkpoint pull", "--to"): ("digits", "digits --to x"),
}

OPTIONS = [
    (context.command_path.partition(" ")[2], each)
    for command, context in TREE
    if not isinstance(command, click.Group)
    for each in command.params
    if isinstance(each, click.Option)
]


def value_of(option: click.Option) -> list[str]:
    """Arguments that give the option, by its type, another value than it has by default."""
    name = max(option.opts, key=len)
    if option.is_flag:
        return [name]
    if isinstance(option.type, click.Choice):
        return [name, next(each for each in option.type.choices if each != option.default)]
    return [name, "x" if option.type is click.STRING and option.callback is None else "7"]


@pytest.mark.parametrize(
    ("command", "option"), OPTIONS, ids=[f"{command} {max(each.opts, key=len)}" for command, each in OPTIONS]
)
def test_an_option_changes_what_comes_of_the_command(
    command: str, option: click.Option, around: Around
) -> None:
    name = max(option.opts, key=len)
    if (command, name) in LINES:
        without, given = (line.split() for line in LINES[command, name])
    else:
        without = ARGUMENTS[command]
        given = [*without, *value_of(option)]
    assert name in given
    before = around.call(*command.split(), *without)
    after = around.call(*command.split(), *given)
    assert after.code in (0, 1) or before.code == 2, after.err
    assert after.code != 2 or name == "--yes", after.err
    assert after != before


def test_a_line_is_of_an_option_that_there_is() -> None:
    assert set(LINES) <= {(command, max(each.opts, key=len)) for command, each in OPTIONS}


def test_a_call_comes_to_the_same_when_it_is_made_again(around: Around) -> None:
    """Else the test above could not fail."""
    for name, arguments in ARGUMENTS.items():
        assert around.call(*name.split(), *arguments) == around.call(*name.split(), *arguments), name
