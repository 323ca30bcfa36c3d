"""The entry of the ``hippo`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from hippo_client.cli.failures import ExitCode, is_about_output, report, report_unwritable, report_usage
from hippo_client.cli.lazy import LazyGroup
from hippo_core.errors import HippoError

_AT = "hippo_client.cli."


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    commands_at={
        "Train a study on this machine; hand it to a server.": {
            "run": _AT + "run:run",
            "submit": _AT + "submit:submit",
        },
        "What sharing will save; how long it will take.": {
            "plan": _AT + "plan:plan",
            "simulate": _AT + "simulate:simulate",
        },
        "Prove that a trainer can be shared; that a trial was.": {
            "check": _AT + "check:check",
            "verify": _AT + "verify:verify",
        },
        "List, show, watch and steer studies.": {"study": _AT + "study:study"},
        "List, show, explain and steer trials; their logs.": {"trial": _AT + "trial:trial"},
        "What is kept of training, and of which programs.": {
            "checkpoint": _AT + "checkpoint:checkpoint",
            "program": _AT + "program:program",
        },
        "List, cordon and drain workers.": {"worker": _AT + "worker:worker"},
        "Open the dashboard in a browser.": {"open": _AT + "open:open_page"},
        "A server and worker here that stay; end them.": {
            "up": _AT + "local_server:up",
            "down": _AT + "local_server:down",
        },
        "Use a server elsewhere from now on; forget it.": {
            "login": _AT + "login:login",
            "logout": _AT + "login:logout",
        },
        "Let others in: who may do what, and encrypted.": {
            "token": _AT + "token:token",
            "certs": _AT + "certs:certs",
        },
        "What each may use, and has used.": {
            "project": _AT + "account:project",
            "user": _AT + "account:user",
            "usage": _AT + "usage:usage",
        },
        "Who asked for what; what is wrong with this machine.": {
            "audit": _AT + "audit:audit",
            "doctor": _AT + "doctor:doctor",
        },
        "Complete commands in a shell; what --json prints.": {
            "completion": _AT + "completion:completion",
            "schema": _AT + "schema:schema",
        },
    },
)
@click.version_option(package_name="hippo-hpo", prog_name="hippo")
def app() -> None:
    """Hyper-parameter search that trains every shared prefix once.

    Example: hippo run study.py
    """


def call(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        The exit code.
    """
    as_json = "--json" in arguments
    try:
        code = app.main(args=list(arguments), prog_name="hippo", standalone_mode=False)
    except click.Abort:
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        return report_usage(error, as_json)
    except HippoError as error:
        return report(error, as_json)
    except OSError as error:
        if not is_about_output(error):
            raise
        return report_unwritable(error, as_json)
    return code if isinstance(code, int) else ExitCode.DONE


def main() -> None:
    """Entry of the console script."""
    sys.exit(call(sys.argv[1:]))


if __name__ == "__main__":
    main()
