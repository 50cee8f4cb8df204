"""What nobody declared may be a patient's name: names of files, folders, sheets, columns and lists are not repeated."""

import io
import json
import zipfile

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_centre import load_centre

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused, letters, place_of
from capla_etl.centres.files import place
from capla_etl.centres.submissions.arrivals import look
from capla_etl.centres.submissions.assemble import assemble
from capla_etl.centres.submissions.load import receive
from capla_etl.centres.submissions.status import centre_status

NAME = "Müller Anna 1953"


def _refused() -> str:
    with pytest.raises(CentreRefused) as refused:
        receive("XX01")
    assert "Müller" not in str(refused.value) and "M\\xc3" not in str(refused.value)
    return str(refused.value)


def _with_table(centre, form: str, file: str) -> None:
    centre.spec(
        f"""
        labs:
          file: {file}
          format: {form}
          key: id
          date_format: "%d/%m/%Y"
          records:
            - table: lab_result
              fields: {{result_date: date, platelets_10e9_per_l: {{column: plt, unit: "10*9/L"}}}}
        """
    )


def _xlsx(header: list[str], sheet: str = "S", others: tuple[str, ...] = ()) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.active.title = sheet
    book.active.append(header)
    book.active.append(["A", "10/01/2020", 20, "x"][: len(header)])
    for other in others:
        book.create_sheet(other)
    book.save(content)
    return content.getvalue()


def test_an_undeclared_file_is_named_by_place_ending_and_digest(centre):
    centre.spec()
    centre.write(f"{NAME}.xlsx", b"not read")
    assert "file 1 of 2 (.xlsx, SHA-256 " in _refused()


def test_an_undeclared_archive_and_its_members_are_named_by_their_places(centre):
    centre.spec()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr(f"{NAME}.csv", "y")
    centre.write(f"{NAME}.zip", content.getvalue())
    assert "member 2 of 2 (.csv): not in the spec" in _refused()
    centre.write(f"{NAME}.zip", b"PK damaged")
    assert "file 1 of 2 (.zip, SHA-256 " in _refused()


def test_an_undeclared_sheet_is_named_by_its_place(centre):
    _with_table(centre, "{type: xlsx, sheet: S}", "labs.xlsx")
    centre.write("labs.xlsx", _xlsx(["id", "date", "plt"], others=(NAME,)))
    assert "sheet(s) not in the spec: 2 of 2" in _refused()
    centre.write("labs.xlsx", _xlsx(["id", "date", "plt"], sheet=NAME))
    assert "no sheet 'S'; the workbook has 1 other sheet(s)" in _refused()


def test_an_undeclared_column_is_named_by_its_place(centre):
    _with_table(centre, '{type: delimited, encoding: utf-8, delimiter: ";"}', "labs.csv")
    centre.write("labs.csv", f"id;date;plt;{NAME}\nA;10/01/2020;20;x")
    assert "column(s) not in the spec: 4 (D)" in _refused()
    centre.write("labs.csv", f"id;date;plt {NAME}\nA;10/01/2020;20")
    assert "column 'plt' is missing" in _refused()


def test_an_undeclared_column_that_cannot_be_read_is_not_named(centre):
    _with_table(centre, "{type: parquet}", "labs.parquet")
    rows = {"id": ["A"], "date": ["10/01/2020"], "plt": [20], NAME: [[1]]}
    pq.write_table(pa.table(rows), centre.submission / "labs.parquet")
    assert "a column that is not in the spec is of type list" in _refused()
    pq.write_table(pa.table(rows | {NAME: ["x"], "plt": [[20]]}), centre.submission / "labs.parquet")
    assert "column 'plt' is of type list" in _refused()


def test_undeclared_lists_of_json_are_counted(centre):
    _with_table(centre, "{type: json_lines}", "labs.ndjson")
    centre.write("labs.ndjson", json.dumps({"id": "A", "date": "10/01/2020", "plt": 20, NAME: [{"x": 1}]}))
    assert "1 list(s) not in the spec" in _refused()


def test_an_identifier_in_a_column_of_words_is_not_quoted(centre):
    centre.spec()
    centre.write("patients.csv", "id;name;sex;born;tpe;dead;seen\nA;x;123 456 788;01/02/1970;10/01/2020;;")
    assert "123 456 788" not in _refused() and "not quoted: personal number" in _refused()


def test_an_ignored_file_has_its_place_in_the_history(centre, loaded):
    centre.spec()
    spec = (centre.folder / "centre.yml").read_text(encoding="utf-8")
    (centre.folder / "centre.yml").write_text(
        spec + 'ignored_files: {"*.pdf": letters, notes.txt: not data}\n', encoding="utf-8"
    )
    centre.write(f"{NAME}.pdf", b"x")
    centre.write("notes.txt", b"x")
    load_centre("XX01")
    files = [row["file"].partition(",")[0] for row in loaded("quality.submission_history")]
    assert files == ["file 1 of 3 (.pdf", "notes.txt", "patients.csv"]


def test_a_folder_that_is_no_centre_is_named_by_its_place(centre):
    centre.spec()
    load_centre("XX01")
    odd = paths.data_raw() / NAME
    (odd / "2020-12-31").mkdir(parents=True)
    (odd / "2020-12-31" / f"{NAME}.csv").write_text("x", encoding="utf-8")
    (centre.submission / f"{NAME}.csv.part").write_text("x", encoding="utf-8")
    found = look(look({}).seen)
    said = json.dumps([found.in_words(), found.seen], ensure_ascii=False)
    assert "Müller" not in said and "folder 1 of 2" in said and "has the name of an unfinished file" in said
    statuses = centre_status()
    assert [s.centre_id for s in statuses] == ["folder 1 of 2", "XX01"]
    with duckdb.connect() as con:
        assemble(con)
        assert "Müller" not in str(con.execute("from quality.centre_status").fetchall())


def test_the_place_of_a_file_tells_its_ending_only_if_it_is_one_of_a_format(tmp_path):
    assert place_of(3, 5, "file", "x.XLSX") == "file 3 of 5 (.xlsx)"
    assert place_of(3, 5, "file", "x.müller") == "file 3 of 5"
    assert place(tmp_path / "absent.csv") == "a file that is gone"
    assert [letters(n) for n in (1, 26, 27, 28, 702, 703)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]
