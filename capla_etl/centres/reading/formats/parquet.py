"""Read Parquet files: columns of plain types as text, no nested ones."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl.centres.reading.formats.file_table import Decimals, FileTable, Unreadable, named, table_of
from capla_etl.centres.reading.formats.typed_cells import cell_texts


def read_parquet(content: bytes, decimals: Decimals) -> FileTable:
    """Read every column as text; timestamps with a zone in UTC ("2020-01-10T23:00:00Z").

    Raises:
        Unreadable: no Parquet file, or a nested or binary column.
    """
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowInvalid, OSError) as error:
        raise Unreadable("the Parquet file is damaged; ask the centre to send it again.") from error
    header = named(table.column_names)
    columns = zip(header, table.columns, strict=True)
    arrays = [cell_texts(_values(column, name), name, decimals) for name, column in columns]
    return table_of(header, arrays, list(range(1, table.num_rows + 1)))


def _values(column: pa.ChunkedArray, name: str) -> list:
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        raise Unreadable(f"column {name!r} is of type {column.type}; expected text, numbers, dates or truth values.")
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        # the shortest text of the number as stored: 0.1, not 0.10000000149
        kind = np.float32 if pa.types.is_float32(column.type) else np.float16
        return [None if value is None else float(str(kind(value))) for value in column.to_pylist()]
    try:
        return column.to_pylist()
    except (OverflowError, ValueError):  # a day or time that Python does not know
        return column.cast(pa.string()).to_pylist()
