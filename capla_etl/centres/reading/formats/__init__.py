"""Read files exactly as sent, one module a family of formats: every cell as text, every row with its number.

What does not belong here: which file is meant and which columns it must have (read.py), and what a text means
(harmonising/values.py).
"""

from capla_etl.centres.reading.formats.file_table import Decimals, FileTable, Unreadable
from capla_etl.centres.spec.grammar import Delimited, Format, JsonLines, Parquet, Workbook

__all__ = ["Decimals", "FileTable", "Unreadable", "read", "sheets"]


def read(
    content: bytes,
    declared: Format,
    decimals: Decimals | None = None,
    known_sheets: list[str] | None = None,
    missing: dict[str, list[str]] | None = None,
) -> FileTable:
    """Read one file in a declared format; of JSON lines, the objects' own values or one list, without the owner's key.

    Args:
        content: the file.
        declared: its format.
        decimals: decimal marks with which numbers of typed cells become text.
        known_sheets: every sheet that the spec knows; None: any sheet is allowed.
        missing: column -> codes declared as missing; typed files may hold ranges of them.

    Raises:
        Unreadable: the file is empty, corrupt, or not what is declared.
    """
    decimals = decimals or Decimals()
    if isinstance(declared, Delimited):
        from capla_etl.centres.reading.formats.delimited import read_delimited

        return read_delimited(content, declared)
    if isinstance(declared, Workbook):
        from capla_etl.centres.reading.formats.workbook import read_workbook

        return read_workbook(content, declared, decimals, known_sheets)
    if isinstance(declared, Parquet):
        from capla_etl.centres.reading.formats.parquet import read_parquet

        return read_parquet(content, decimals)
    if isinstance(declared, JsonLines):
        from capla_etl.centres.reading.formats.json_lines import JsonFile

        return JsonFile(content).read_alone(declared)
    from capla_etl.centres.reading.formats.statistical import read_statistical

    return read_statistical(content, declared, decimals, missing)


def sheets(content: bytes) -> list[str]:
    """The sheets of a workbook (XLSX or ODS).

    Raises:
        Unreadable: the file is no workbook.
    """
    from capla_etl.centres.reading.formats.workbook import sheet_names

    return sheet_names(content)
