"""A table as a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippo_client.result_tables import Column, ColumnType, Table
from hippo_core.errors import HippoError

if TYPE_CHECKING:
    import pyarrow


def write_parquet(table: Table, file: Path) -> None:
    """Writes it. A column of values of several types is one of texts.

    Raises:
        HippoError: pyarrow is not installed.
        OSError: It cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise HippoError("Parquet needs pyarrow.", "pip install 'hippo-hpo[parquet]'") from error
    types: dict[ColumnType, Any] = {
        ColumnType.INT: pyarrow.int64(),
        ColumnType.FLOAT: pyarrow.float64(),
        ColumnType.BOOL: pyarrow.bool_(),
        ColumnType.TEXT: pyarrow.string(),
        ColumnType.MIXED: pyarrow.string(),
        ColumnType.TIME: pyarrow.timestamp("us", tz="UTC"),
        ColumnType.LOCAL_TIME: pyarrow.timestamp("us"),
        ColumnType.DURATION: pyarrow.duration("us"),
    }
    arrays: list[pyarrow.Array] = [pyarrow.array(_values(each), types[each.type]) for each in table]
    with file.open("wb") as sink:
        pyarrow.parquet.write_table(pyarrow.table(arrays, names=[each.name for each in table]), sink)


def _values(column: Column) -> list[Any]:
    if column.type is not ColumnType.MIXED:
        return list(column.values)
    return [None if value is None else str(value) for value in column.values]
