"""Whether a workbook can be opened: well-formed XML, and sheets of bounded size.

The reader makes a place for every cell up to the last one that is filled, and does not end on some damaged files. So
this is looked at before it.

What does not belong here: what the cells mean (workbook.py, workbook_cells.py).
"""

import re
from functools import lru_cache
from xml.parsers import expat

from capla_etl.centres.limits import MOST_CELLS, MOST_COLUMNS
from capla_etl.centres.reading.formats.file_table import Unreadable
from capla_etl.centres.reading.formats.unpack import workbook_parts

#: Rows of a sheet, in both formats.
_MOST_SHEET_ROWS = 1_048_576
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
#: Parts of XLSX, and the one of ODS, that are read; the names of XLSX parts are a convention, so all XML is looked at.
_READ = re.compile(r"content\.xml|.*\.(xml|rels)", re.I)


@lru_cache(maxsize=2)
def check_workbook(content: bytes) -> None:
    """Refuse a workbook that is damaged, or whose sheets would have too many cells.

    Raises:
        Unreadable: too many cells, or it would be too large.
        BadZipFile, ValueError: it is damaged; or another error of ``DAMAGED_ZIP``.
    """
    parts = workbook_parts(content)
    for part in parts.infolist():
        if not _READ.fullmatch(part.filename):
            continue
        if (xml := parts.read(part)).strip():
            _Extent().read(xml)


class _Extent:
    """The last filled row and column of the sheets of one part."""

    def __init__(self):
        self.row = self.column = 0  # of the cell that is being read, its last one if it is repeated
        self.rows = self.columns = 0  # of the sheet up to its last filled cell
        self.repeated, self.width = 1, 0  # how often a row of ODS is repeated, and its last filled cell
        self.is_ods = False
        self.in_cell = False

    def read(self, xml: bytes) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.EntityDeclHandler = self._entity
        try:
            parser.Parse(xml, True)
        except expat.ExpatError as error:
            raise ValueError("no XML") from error

    def _entity(self, *_) -> None:
        raise Unreadable("the workbook declares entities of XML, which no spreadsheet program does. Do not open it.")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if self.in_cell:
            self._filled()
            return
        if name in ("worksheet", "table"):
            self.__init__()
        elif name == "row":
            self.row, self.column = int(attributes.get("r", self.row + 1)), 0
        elif name == "c":
            self._place(attributes.get("r"))
            self.in_cell = True
        elif name == "table-row":
            self.repeated = self._repeated(attributes, "number-rows-repeated", _MOST_SHEET_ROWS)
            self.column = self.width = 0
            self.is_ods = True
        elif name in ("table-cell", "covered-table-cell"):
            self.column += self._repeated(attributes, "number-columns-repeated", MOST_COLUMNS)
            self.in_cell = True
            if any(key.endswith((":value-type", ":formula")) for key in attributes):
                self._filled()

    def _end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        if name in ("c", "table-cell", "covered-table-cell"):
            self.in_cell = False
        elif name == "table-row":
            self.row += self.repeated
            if self.width:
                self._seen(self.row, self.width)

    def _place(self, reference: str | None) -> None:
        if reference is None:
            self.column += 1
            return
        found = _REFERENCE.fullmatch(reference)
        if not found:
            raise ValueError("no reference of a cell")
        self.row, self.column = int(found[2]), 0
        for letter in found[1]:
            self.column = self.column * 26 + ord(letter) - 64

    def _repeated(self, attributes: dict[str, str], name: str, most: int) -> int:
        times = int(next((value for key, value in attributes.items() if key.endswith(f":{name}")), "1"))
        if not 1 <= times <= most:
            raise ValueError("repeated too often")
        return times

    def _filled(self) -> None:
        if self.is_ods:  # a row of ODS is counted at its end, as often as it is repeated
            self.width = max(self.width, self.column)
        else:
            self._seen(self.row, self.column)

    def _seen(self, row: int, column: int) -> None:
        self.rows, self.columns = max(self.rows, row), max(self.columns, column)
        if self.rows > _MOST_SHEET_ROWS or self.columns > MOST_COLUMNS or self.rows * self.columns > MOST_CELLS:
            raise Unreadable(
                f"a sheet is filled up to row {self.rows:,} and column {self.columns:,}, which makes "
                f"{self.rows * self.columns:,} cells; expected at most {MOST_CELLS:,}. Ask the centre to delete what "
                "stands far below or beside the table."
            )
