"""Read Parquet files: columns of plain types as text, no nested ones."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl.centres.reading.formats.file_table import Decimals, FileTable, Unreadable, check_extent, named, table_of
from capla_etl.centres.reading.formats.typed_cells import cell_texts
from capla_etl.centres.reading.formats.unpack import check_unpacked

#: What the reader raises on damaged files; a lie about sizes shows as one of memory.
_DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)


def read_parquet(content: bytes, decimals: Decimals) -> FileTable:
    """Read every column as text; timestamps with a zone in UTC ("2020-01-10T23:00:00Z").

    Raises:
        Unreadable: no Parquet file, or a nested or binary column.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
        check_extent(file.metadata.num_rows, len(file.schema_arrow.names))
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        unpacked = sum(group.column(i).total_uncompressed_size for group in groups for i in range(group.num_columns))
        check_unpacked(unpacked)
        table = file.read()
        table.validate(full=True)
    except _DAMAGED as error:
        raise Unreadable("the Parquet file is damaged; ask the centre to send it again.") from error
    header = named(table.column_names)
    columns = zip(header, table.columns, strict=True)
    arrays = [cell_texts(_values(column, name), name, decimals) for name, column in columns]
    return table_of(header, arrays, list(range(1, table.num_rows + 1)))


def _values(column: pa.ChunkedArray, name: str) -> list:
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        raise Unreadable(f"is of type {column.type}; expected text, numbers, dates or truth values.", name)
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        # the shortest text of the number as stored: 0.1, not 0.10000000149
        kind = np.float32 if pa.types.is_float32(column.type) else np.float16
        return [None if value is None else float(str(kind(value))) for value in column.to_pylist()]
    try:
        return column.to_pylist()
    except (OverflowError, ValueError):  # a day or time that Python does not know
        return column.cast(pa.string()).to_pylist()
