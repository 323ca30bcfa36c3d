"""``hippo doctor``: look for what is wrong with this machine."""

from __future__ import annotations

from dataclasses import asdict

import click

from hippo_client.cli.failures import ExitCode
from hippo_client.cli.terminal import print_json

_MARKS = {True: "ok", None: "note", False: "FAULT"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> int:
    """Look at Python, torch, devices, the home, ports, the database, storage and the server.

    Example: hippo doctor
    """
    from hippo_client.cli.doctor_checks import examine
    from hippo_client.local import Home

    findings = examine(Home.at())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.ok]:<6}{finding.check:<11}{finding.found}")
            if finding.fix:
                click.echo(f"{'':<17}{finding.fix}")
    return ExitCode.FAILED if any(finding.ok is False for finding in findings) else ExitCode.DONE
