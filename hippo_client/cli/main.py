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
        "run": (_AT + "run:run", "Train a study on this machine, with live progress."),
        "plan": (_AT + "plan:plan", "Say what sharing will save, before anything is spent."),
        "simulate": (_AT + "simulate:simulate", "Say how long it will take, in virtual time."),
        "open": (_AT + "open:open_page", "Open the dashboard in a browser."),
        "submit": (_AT + "submit:submit", "Hand a study to the server."),
        "study": (_AT + "study:study", "List, show, watch and steer studies."),
        "trial": (_AT + "trial:trial", "List, show, explain and steer trials, the best one, their logs."),
        "checkpoint": (_AT + "checkpoint:checkpoint", "List, fetch and pin checkpoints, and let some go."),
        "program": (_AT + "program:program", "List and forget programs, with all that was trained of them."),
        "worker": (_AT + "worker:worker", "List and drain workers."),
        "login": (_AT + "login:login", "Use a server elsewhere from now on."),
        "logout": (_AT + "login:logout", "Forget it, and the token for it."),
        "token": (_AT + "token:token", "Make, list and revoke tokens: who may do what."),
        "project": (_AT + "account:project", "Make, list and delete projects, and say what each may use."),
        "user": (_AT + "account:user", "List users, and say what each may use."),
        "usage": (_AT + "usage:usage", "Say what was trained for whom, and who paid."),
        "audit": (_AT + "audit:audit", "Show who asked the server for what, and what was refused."),
        "certs": (_AT + "certs:certs", "Make certificates, so that others may reach the server."),
        "check": (_AT + "check:check", "Prove that a trainer can be interrupted and shared."),
        "verify": (_AT + "verify:verify", "Train one trial alone again and compare, bit by bit."),
        "up": (_AT + "local_server:up", "Start a server and a worker on this machine that stay."),
        "down": (_AT + "local_server:down", "End them; what runs is saved first."),
        "doctor": (_AT + "doctor:doctor", "Look for what is wrong with this machine."),
    },
)
@click.version_option(package_name="hippo-hpo", prog_name="hippo")
def app() -> None:
    """Hyper-parameter search that trains every shared prefix once.

    `hippo run STUDY.py` trains a study on this machine; nothing has to be set up. To use a server elsewhere,
    `hippo login HOST:PORT`; or set HIPPO_SERVER, HIPPO_CA and HIPPO_TOKEN or HIPPO_TOKEN_FILE.
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
