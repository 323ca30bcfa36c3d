"""A table as CSV: numbers with all their digits, times in ISO 8601, durations as pandas reads them, no formulas."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any

from hippo_client.result_tables import Table
from hippo_core.spreadsheets import cell


def csv_text(table: Table) -> str:
    """The table, with its names in the first line; what has no value is empty."""
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\n")
    writer.writerow([cell(column.name) for column in table])
    writer.writerows(zip(*([_text(value) for value in column.values] for column in table), strict=True))
    return found.getvalue()


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return repr(value)
        case datetime():
            return value.isoformat(sep=" ", timespec="microseconds")  # pandas wants one form
        case timedelta():
            minutes, seconds = divmod(value.seconds, 60)
            return (
                f"{value.days} days {minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{value.microseconds:06}"
            )
        case int():
            return str(value)
        case _:
            return cell(str(value))
