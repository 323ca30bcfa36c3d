"""``hippo project`` and ``hippo user``: who may use how much of the pool."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.numbers import LARGEST, Number, WholeNumber
from hippo_client.cli.options import json_option, quiet_option
from hippo_client.cli.terminal import print_json, print_names, say
from hippo_wire.admin_shapes import account_json

if TYPE_CHECKING:
    from hippo_wire import json_types

HOUR = 3600.0

Kind = Literal["project", "user"]

#: By option: the field of an allowance, and what it takes.
LIMITS: dict[str, WholeNumber | Number] = {
    "max_studies": WholeNumber(0),
    "max_open_trials": WholeNumber(0),
    "max_slots": WholeNumber(0),
    "max_slot_hours": Number(least=0),
    "max_priority": WholeNumber(-LARGEST - 1),
    "max_checkpoint_bytes": WholeNumber(0),
}

Command = TypeVar("Command", bound=Callable[..., None])


@click.group(cls=NounGroup, missing_verb="ls")
def project() -> None:
    """Make, list and delete projects, and say what each may use.

    Example: hippo project ls
    """


@click.group(cls=NounGroup, missing_verb="ls")
def user() -> None:
    """List the users of a project, and say what each may use.

    Example: hippo user ls --project vision
    """


def _limit(name: str) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        if text is None or text == "none":
            return text
        return LIMITS[name].convert(text, parameter, context)

    return read


def _limit_options(*, of_project: bool) -> Callable[[Command], Command]:
    helps = {
        "max_studies": "Studies that run or are paused.",
        "max_open_trials": "Trials of those that wait to be trained, or are.",
        "max_slots": "Slots at once; what is more waits.",
        "max_slot_hours": "Slot hours billed in all; then studies pause.",
        "max_priority": "The highest priority of a study.",
        "max_checkpoint_bytes": "Bytes of checkpoints that are kept; then nothing further begins.",
    }

    def add(command: Command) -> Command:
        for name in reversed(helps):
            if name != "max_checkpoint_bytes" or of_project:
                option = f"--{name.replace('_', '-')}"
                command = click.option(
                    option, name, metavar="NUMBER|none", callback=_limit(name), help=helps[name]
                )(command)
        return click.option(
            "--weight",
            type=Number(above=0),
            help="How much of the pool it gets, against the weights of others.",
        )(command)

    return add


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    """What is to change, as an allowance has it."""
    changes = {name: None if value == "none" else value for name, value in given.items() if value is not None}
    if "max_slot_hours" in changes:
        hours = changes.pop("max_slot_hours")
        changes["max_slot_seconds"] = None if hours is None else hours * HOUR
    if not changes:
        raise click.UsageError("Say what is to change: --weight or one of the limits.")
    return changes


@project.command("ls")
@quiet_option
@json_option
def list_projects(quiet: bool, as_json: bool) -> None:
    """List the projects that you may see.

    Example: hippo project ls
    """
    from hippo_client.cli import calls

    with connect() as client:
        found = [account_json(each) for each in calls.list_projects(client)]
    _print_accounts(found, "project", as_json=as_json, quiet=quiet)


@project.command()
@click.argument("name")
@json_option
def create(name: str, as_json: bool) -> None:
    """Make a project; its tokens are made with `hippo token create --project`.

    Example: hippo project create vision
    """
    from hippo_client.cli import calls

    with connect() as client:
        made = calls.create_project(client, name)
    if as_json:
        print_json(account_json(made.account))
        return
    click.echo(f"The project {name} is there{'.' if made.created else ' already.'}")
    say(f"Somebody who is to use it needs a token: hippo token create NAME --role editor --project {name}")


@project.command("edit")
@click.argument("name")
@_limit_options(of_project=True)
@json_option
def edit_project(name: str, as_json: bool, **given: Any) -> None:
    """Give a project another weight or other limits; what is not named stays, `none` takes a limit away.

    Example: hippo project edit vision --weight 2 --max-slots 8
    """
    _edit(name, "", given, as_json=as_json)


@project.command()
@click.argument("name")
@json_option
def delete(name: str, as_json: bool) -> None:
    """Forget a project that has no studies and no valid tokens. What it was billed is kept.

    Example: hippo project delete vision
    """
    from hippo_client.cli import calls

    with connect() as client:
        calls.delete_project(client, name)
    if as_json:
        print_json({"deleted": name})
    else:
        click.echo(f"The project {name} is deleted.")


@user.command("ls")
@click.option("--project", "project_name", default="", help="Of which project; by default of yours.")
@quiet_option
@json_option
def list_users(project_name: str, quiet: bool, as_json: bool) -> None:
    """List the users of a project: what they have, what they may have, and what they wait for.

    Example: hippo user ls --project vision
    """
    from hippo_client.cli import calls

    with connect() as client:
        found = [account_json(each) for each in calls.list_users(client, project_name)]
    _print_accounts(found, "user", as_json=as_json, quiet=quiet)


@user.command("edit")
@click.argument("name")
@click.option("--project", "project_name", default="", help="Of which project; by default of yours.")
@_limit_options(of_project=False)
@json_option
def edit_user(name: str, project_name: str, as_json: bool, **given: Any) -> None:
    """Give a user another weight or other limits; what is not named stays, `none` takes a limit away.

    Example: hippo user edit ada --max-studies 50 --max-slots 4
    """
    _edit(project_name, name, given, as_json=as_json)


def _edit(project_name: str, user_name: str, given: dict[str, Any], *, as_json: bool) -> None:
    from hippo_client.cli import calls

    changes = _changes(given)
    with connect() as client:
        found = account_json(calls.edit_account(client, project_name, user_name, json.dumps(changes)))
    if as_json:
        print_json(found)
    else:
        _print_table([found], "user" if user_name else "project")


def _print_accounts(found: list[json_types.Account], kind: Kind, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(found)
    elif quiet:
        print_names(str(each[kind]) for each in found)
    else:
        _print_table(found, kind)


def _print_table(found: list[json_types.Account], kind: Kind) -> None:
    from hippo_client.cli.tables import columns_of, print_table

    rows = [
        (
            str(each[kind]),
            f"{each['weight']:g}",
            _of(each["slots"], each["max_slots"]),
            _of(each["studies"], each["max_studies"]),
            _of(each["open_trials"], each["max_open_trials"]),
            _of(round(each["slot_hours"], 2), each["max_slot_hours"]),
            "" if each["max_priority"] is None else str(each["max_priority"]),
            each["waits"],
        )
        for each in found
    ]
    headings = (
        kind.upper(),
        "WEIGHT",
        "SLOTS",
        "STUDIES",
        "OPEN TRIALS",
        "SLOT HOURS",
        "MAX PRIORITY",
        "WAITS",
    )
    right = ("WEIGHT", "SLOTS", "STUDIES", "OPEN TRIALS", "SLOT HOURS", "MAX PRIORITY")
    print_table(
        columns_of(headings, rows, right=right, cuttable=(kind.upper(), "WAITS")), "--json shows them"
    )


def _of(value: float, most: float | None) -> str:
    return f"{value:g}" if most is None else f"{value:g} of {most:g}"
