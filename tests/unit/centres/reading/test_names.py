"""Names are compared exactly: with case, in one Unicode form; any sign may stand in a name."""

import io
import textwrap
import unicodedata
import zipfile
from datetime import date

import openpyxl
import pandas as pd
import pyreadstat
import pytest
from tiny_centre import load_centre

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.reading import formats, sent_files
from capla_etl.centres.reading.formats import unpack
from capla_etl.centres.reading.formats.file_table import arrow_names, named
from capla_etl.centres.reading.formats.json_lines import JsonFile
from capla_etl.centres.reading.read import RawTable, read_submission
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import Delimited, JsonLines, Stata, Workbook


def decomposed(text: str) -> str:
    """As macOS writes it: a letter and its accent as two signs."""
    return unicodedata.normalize("NFD", text)


def raws(centre) -> dict[str, RawTable]:
    spec = load_spec(centre.folder / "centre.yml")
    return {raw.name: raw for raw in read_submission(spec, centre.submission)}


# ------------------------------------------------------------------------------------------- columns


def test_a_column_without_a_name_is_called_by_its_place():
    assert named(["ID", "", " X "]) == ["ID", "(column 2)", "X"]


def test_names_that_differ_in_case_alone_are_apart_in_sql_whatever_their_order():
    assert arrow_names(["plt", "ID", "PLT"]) == ["plt (2)", "ID", "PLT"]
    assert arrow_names(["PLT", "ID", "plt"]) == ["PLT", "ID", "plt (2)"]
    assert arrow_names(["a", "A", "a (2)"]) == ["a (2)", "A", "a (2) (2)"]
    assert arrow_names(["Source_Row"]) == ["Source_Row (2)"]


LABS = """
labs:
  file: {file}
  format: {format}
  key: ID
  ignored: {{plt: unit}}
  records:
    - table: lab_result
      fields:
        result_date: {{column: DAY, date_format: iso}}
        platelets_10e9_per_l: {{column: PLT, unit: 10^9/L}}
"""


@pytest.mark.parametrize("header", ["ID,DAY,plt,PLT", "ID,DAY,PLT,plt"])
def test_columns_that_differ_in_case_alone_are_both_read(centre, header):
    centre.spec(LABS.format(file="labs.csv", format='{type: delimited, encoding: utf-8, delimiter: ","}'))
    values = {"ID": "A", "DAY": "2020-01-11", "plt": "small", "PLT": "20"}
    centre.write("labs.csv", header + "\n" + ",".join(values[name] for name in header.split(",")) + "\n")
    raw = raws(centre)["labs"]
    assert {name: raw.rows[raw.named(name)].to_pylist() for name in values} == {n: [v] for n, v in values.items()}


def test_json_keys_and_stata_variables_that_differ_in_case_alone_are_both_read(tmp_path):
    table = formats.read(b'{"plt": 1, "PLT": 2}\n', JsonLines(type="json_lines"))
    assert (table.header, table.rows["plt (2)"].to_pylist(), table.rows["PLT"].to_pylist()) == (
        ["plt", "PLT"],
        ["1"],
        ["2"],
    )
    pyreadstat.write_dta(pd.DataFrame({"plt": [1.0], "PLT": [2.0]}), tmp_path / "x.dta")
    table = formats.read((tmp_path / "x.dta").read_bytes(), Stata(type="stata"))
    assert (table.header, table.rows["plt (2)"].to_pylist(), table.rows["PLT"].to_pylist()) == (
        ["plt", "PLT"],
        ["1"],
        ["2"],
    )


def test_a_column_in_another_case_is_missing_and_asked_about(centre):
    centre.spec(LABS.format(file="labs.csv", format='{type: delimited, encoding: utf-8, delimiter: ","}'))
    centre.write("labs.csv", "ID,DAY,plt,Plt\nA,2020-01-11,small,20\n")
    with pytest.raises(CentreRefused, match=r"column 'PLT' is missing \(is it now column 4 \(D\)\?\)"):
        raws(centre)


def test_free_text_and_forbidden_columns_that_differ_in_case_alone(centre):
    """The forbidden column is dropped, its values are looked for in the free text, and the other column stays."""
    centre.spec(
        """
        labs:
          file: labs.csv
          format: {type: delimited, encoding: utf-8, delimiter: ","}
          key: ID
          forbidden: {NAME: name}
          free_text: {name: remarks}
          records:
            - table: lab_result
              fields:
                result_date: {column: DAY, date_format: iso}
                platelets_10e9_per_l: {column: PLT, unit: 10^9/L}
        """
    )
    centre.write(
        "labs.csv", "ID,DAY,PLT,NAME,name\nA,2020-01-11,20,Erika Muster,seen by Muster\nB,2020-01-11,20,X,fine\n"
    )
    raw = raws(centre)["labs"]
    assert raw.rows[raw.named("name")].to_pylist() == ["(withheld: identifying value)", "fine"]
    assert raw.named("NAME") not in raw.rows.column_names


def test_json_keys_of_any_shape_are_columns_and_numbers_keep_their_text():
    line = '{"id": "A", "PLT[1]": 1.50, "a \\"b\\"": 1e5, "x.y": 12345678901234567890, "c": {"d": true}, "": null}\n'
    table = formats.read(line.encode(), JsonLines(type="json_lines"))
    assert table.header == ["id", "PLT[1]", 'a "b"', "x.y", "c.d", "(no name)"]
    assert list(table.rows.to_pylist()[0].values())[:-1] == ["A", "1.50", "1e5", "12345678901234567890", "true", ""]


def test_an_element_that_names_its_owner_too_is_read_and_another_owner_refused():
    lines = '{"id": "A", "labs": [{"id": "A", "plt": 1}, {"plt": 2}]}\n'
    declared = JsonLines(type="json_lines", list="labs")
    assert JsonFile(lines.encode()).read(declared, "id", []).rows["id"].to_pylist() == ["A", "A"]
    with pytest.raises(formats.Unreadable, match="names another 'id' than the object that holds it"):
        JsonFile(lines.replace('[{"id": "A"', '[{"id": "B"').encode()).read(declared, "id", [])


def test_a_list_or_an_element_that_is_null_is_an_empty_one():
    lines = [
        '{"id": "A", "hb": 8, "r": null, "labs": [{"plt": 1}, null, {"plt": null}]}',
        '{"id": "B", "hb": 9, "r": {"x": 1}, "labs": null}',
    ]
    file = JsonFile("\n".join(lines).encode())
    own = file.read(JsonLines(type="json_lines"), "id", [])
    assert (own.header, own.rows["r.x"].to_pylist()) == (["id", "hb", "r.x"], ["", "1"])
    labs = file.read(JsonLines(type="json_lines", list="labs"), "id", [])
    assert (labs.header, labs.rows["plt"].to_pylist()) == (["id", "plt"], ["1", ""])
    null = JsonFile(b'{"id": "A", "labs": null}\n', ["labs"])
    assert null.read(JsonLines(type="json_lines"), "id", []).header == ["id"]
    assert null.read(JsonLines(type="json_lines", list="labs"), "id", ["plt"]).rows.num_rows == 0


def test_a_blank_in_a_list_of_texts_stays_an_element_and_a_text_beside_lists_a_column():
    days = JsonFile(b'{"id": "A", "days": ["2020-01-11", null]}\n')
    rows = days.read(JsonLines(type="json_lines", list="days"), "id", []).rows
    assert rows["value"].to_pylist() == ["2020-01-11", ""]
    mixed = JsonFile(b'{"id": "A", "labs": [{"plt": 1}]}\n{"id": "B", "labs": "none"}\n')
    assert mixed.read(JsonLines(type="json_lines"), "id", []).header == ["id", "labs"]


# ------------------------------------------------------------------------------------------- Unicode


def test_headers_and_cells_are_read_in_one_unicode_form():
    table = formats.read(
        decomposed("Décès,Ort\noui,Köln\n").encode(), Delimited(type="delimited", encoding="utf-8", delimiter=",")
    )
    assert (table.header, table.rows["Ort"].to_pylist()) == (["Décès", "Ort"], ["Köln"])
    table = formats.read(decomposed('{"Décès": "né"}\n').encode(), JsonLines(type="json_lines"))
    assert (table.header, table.rows["Décès"].to_pylist()) == (["Décès"], ["né"])


def test_sheets_are_found_in_either_form():
    book = openpyxl.Workbook()
    book.active.title = decomposed("Décès")
    book.active.append(["ID", decomposed("Zürich")])
    book.active.append(["A", decomposed("né")])
    file = io.BytesIO()
    book.save(file)
    assert formats.sheets(file.getvalue()) == ["Décès"]
    for name in ("Décès", decomposed("Décès")):
        table = formats.read(file.getvalue(), Workbook(type="xlsx", sheet=name), known_sheets=["Décès"])
        assert (table.header, table.rows["Zürich"].to_pylist()) == (["ID", "Zürich"], ["né"])


def test_file_names_are_found_in_either_form(centre):
    centre.spec(LABS.format(file="résultats*.csv", format='{type: delimited, encoding: utf-8, delimiter: ","}'))
    centre.write(decomposed("résultats été.csv"), "ID,DAY,plt,PLT\nA,2020-01-11,small,20\n")
    assert raws(centre)["labs"].file == "résultats été.csv"


def test_ignored_files_are_found_in_either_form(centre):
    head = """
    centre: {id: XX01, name: Nowhere, country: XX}
    lists: {tpe_session: none, drug_course: none, adverse_event: none}
    ignored_files: {"présentation.pdf": slides}
    """
    centre.spec(head=textwrap.dedent(head))
    centre.write(decomposed("présentation.pdf"), b"x")
    assert set(raws(centre)) == {"patients"}


# ------------------------------------------------------------------------------------------- archives


def archive(centre, name: str = "export.zip", **members: str | bytes) -> None:
    with zipfile.ZipFile(centre.submission / name, "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in members.items():
            file.writestr(member.replace("__", "/").replace("_csv", ".csv"), content)


ROWS = "ID,DAY,plt,PLT\nA,2020-01-11,small,20\n"
FORMAT = '{type: delimited, encoding: utf-8, delimiter: ","}'


@pytest.mark.parametrize(
    ("pattern", "member"),
    [
        ("export.zip/labs.csv", "labs_csv"),
        ("exp*.zip/lab*.csv", "labs_csv"),
        ("export.zip/*/labs.csv", "data__labs_csv"),
    ],
)
def test_a_file_in_an_archive_is_read_by_its_name(centre, pattern, member):
    centre.spec(LABS.format(file=pattern, format=FORMAT))
    archive(centre, **{member: ROWS})
    raw = raws(centre)["labs"]
    assert (raw.file, raw.rows["ID"].to_pylist()) == (
        f"export.zip/{member.replace('__', '/').replace('_csv', '.csv')}",
        ["A"],
    )


def test_what_macos_adds_to_an_archive_is_no_file(centre):
    centre.spec(LABS.format(file="export.zip/labs.csv", format=FORMAT))
    with zipfile.ZipFile(centre.submission / "export.zip", "w") as file:
        for name in ("__MACOSX/._labs.csv", ".DS_Store", "sub/.DS_Store", "sub/"):
            file.writestr(name, b"x" if not name.endswith("/") else b"")
        file.writestr("labs.csv", ROWS)
    assert raws(centre)["labs"].rows.num_rows == 1


def test_every_other_member_must_be_declared_or_ignored(centre):
    centre.spec(LABS.format(file="export.zip/labs.csv", format=FORMAT))
    archive(centre, labs_csv=ROWS, names_csv="x")
    with pytest.raises(
        CentreRefused,
        match=r"file 1 of 2 \(\.zip, SHA-256 \w{8}\), member 2 of 2 \(\.csv\): not in the spec; declare it",
    ):
        raws(centre)
    spec = (centre.folder / "centre.yml").read_text()
    for pattern in ("export.zip/names.csv", "export.zip/*", "export.zip", "*.zip"):
        (centre.folder / "centre.yml").write_text(f'ignored_files: {{"{pattern}": not needed}}\n{spec}')
        assert raws(centre)["labs"].rows.num_rows == 1


def test_a_pattern_without_an_archive_does_not_look_into_one(centre):
    centre.spec(LABS.format(file="labs*.csv", format=FORMAT))
    archive(centre, labs_csv=ROWS)
    with pytest.raises(CentreRefused, match=r"'labs\*\.csv' is missing; the submission has 2 other file"):
        raws(centre)


def encrypted(content: bytes) -> bytes:
    """The same archive with the flag of encryption in both headers of its first member."""
    content = bytearray(content)
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def damaged(content: bytes) -> bytes:
    """One byte of the first member changed."""
    at = content.index(b"labs.csv") + len("labs.csv") + 5
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (encrypted, r"export\.zip/labs\.csv: the file is encrypted"),
        (damaged, r"export\.zip/labs\.csv: damaged inside its archive"),
        (lambda content: content[:-30], r"export\.zip: not a complete zip archive"),
        (lambda content: b"ID;X\n", r"export\.zip: not a complete zip archive"),
    ],
)
def test_an_archive_that_cannot_be_opened_is_said(centre, change, said):
    centre.spec(LABS.format(file="export.zip/labs.csv", format=FORMAT))
    archive(centre, labs_csv=ROWS)
    path = centre.submission / "export.zip"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CentreRefused, match=said):
        raws(centre)


def test_an_archive_in_an_archive_and_one_that_is_too_large_are_not_unpacked(centre, monkeypatch):
    centre.spec(LABS.format(file="export.zip/inner.zip", format=FORMAT))
    archive(centre, **{"inner.zip": b"PK"})
    with pytest.raises(CentreRefused, match=r"export\.zip/inner\.zip: an archive inside an archive"):
        raws(centre)
    centre.spec(LABS.format(file="export.zip/labs.csv", format=FORMAT))
    archive(centre, labs_csv=ROWS)
    monkeypatch.setattr(unpack, "MOST_UNPACKED_BYTES", len(ROWS))
    assert raws(centre)["labs"].rows.num_rows == 1
    monkeypatch.setattr(unpack, "MOST_UNPACKED_BYTES", len(ROWS) - 1)
    with pytest.raises(CentreRefused, match="the unpacked file would have 37 bytes; expected at most 36"):
        raws(centre)


def test_a_file_that_tables_name_has_its_folder_only_if_it_is_of_an_earlier_submission():
    assert sent_files.sent_in("labs.csv") == ("", "labs.csv")
    assert sent_files.sent_in("export.zip/labs.csv") == ("", "export.zip/labs.csv")
    assert sent_files.sent_in("2020-06-30/export.zip/labs.csv") == ("2020-06-30", "export.zip/labs.csv")


WIDE = """
labs:
  file: labs.xlsx
  format: {type: xlsx, sheet: Sheet1}
  key: id
  decimal: "."
  date_format: date_cell
  records:
    - table: lab_result
      fields:
        result_date: "day_{k}"
        platelets_10e9_per_l: {column: "plt_{k}", unit: 10^9/L, decimal: ",", thousands: "."}
"""


def test_repeated_columns_have_the_decimal_mark_of_their_declaration(centre, loaded):
    """1.234 in a number cell is 1.234, also where points stand between thousands in texts."""
    frame = pd.DataFrame({"id": ["A"], "day_1": [date(2020, 1, 11)], "plt_1": [1.234], "day_2": [date(2020, 1, 12)]})
    frame["plt_2"] = [12.5]
    buffer = io.BytesIO()
    frame.to_excel(buffer, index=False, engine="openpyxl")
    centre.spec(WIDE)
    centre.write("labs.xlsx", buffer.getvalue())
    load_centre("XX01")
    assert [r["value"] for r in loaded("harmonised.lab_result")] == [1.234, 12.5]
