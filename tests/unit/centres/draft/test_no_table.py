"""What is no table is named for what it is, and one file that cannot be read stops no other."""

import bz2
import gzip
import io
import json
import sqlite3
import zipfile

import pytest

from capla_etl.centres.draft import draft_centre
from capla_etl.centres.draft.no_table import what_it_is

TABLE = "patient_id;sex;platelets (G/L);date\n" + "".join(f"P{i};f;{10 + i};2021-03-{10 + i}\n" for i in range(9))
ODM = '<?xml version="1.0"?>\n<ODM FileType="Snapshot"><ItemData ItemOID="NAME" Value="Muster, Anna"/></ODM>'
SPREADSHEET = (
    '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n'
    '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>'
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
RECORDS = [{"id": f"P{i}", "sex": "f"} for i in range(3)]


def _sqlite(path):
    with sqlite3.connect(path) as con:
        con.execute("create table a (b)")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ODM.encode(), "ODM XML"),
        (ODM.encode("utf-16"), "ODM XML"),
        (SPREADSHEET.encode(), "XML spreadsheet of Excel 2003"),
        (b"<records>\n<patient id='P01'/>\n</records>", "XML"),
        (b"<html><body><table><tr><td>id</td><td>sex</td></tr></table>", "web page (HTML)"),
        (b"\n<!DOCTYPE html>\n<html>", "web page (HTML)"),
        (b"<table><tr><td>id</td></tr></table>", "web page (HTML)"),
        (b"MIME-Version: 1.0\nContent-Type: multipart/related\n", "message or web archive"),
        (b"{\\rtf1\\ansi Dear colleague}", "rich text"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"\x89PNG\r\n\x1a\n\0\0", "picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "picture"),
        (bytes(128) + b"DICM" + bytes(20), "picture"),
        (b"ASCII SPSS PORT FILE                    " * 5 + b"0123", "SPSS portable"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
        (OLE + "Workbook".encode("utf-16-le"), "old Excel workbook"),
        (OLE + "WordDocument".encode("utf-16-le"), "old Word document"),
        (b"\0\1\0\0Standard ACE DB\0", "Access database"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "7-Zip"),
        (b"Rar!\x1a\x07\x01\0", "RAR"),
        (bz2.compress(TABLE.encode()), "bzip2"),
        (b"RDX3\nX\n\0\0\0\3", "data of R (.RData)"),
        (b"X\n\0\0\0\3\0\4", "data of R (.rds)"),
        (json.dumps(RECORDS).encode(), "JSON array"),
        (json.dumps(RECORDS, indent=2).encode(), "JSON array"),
        (json.dumps({"patients": RECORDS}, indent=2).encode(), "JSON over several lines"),
        (b"\n".join(json.dumps(list(r.values())).encode() for r in RECORDS), "begins as JSON"),
        (b"MSH|^~\\&|LAB|X|Y|Z\rPID|1||P01", "HL7"),
        (b"-- dump\nCREATE TABLE a (id int);\n", "SQL"),
        (bytes(range(1, 32)) * 20, "binary file of no known kind"),
    ],
)
def test_a_file_that_is_no_table_is_named_with_what_to_do(content, said):
    found = what_it_is(content)
    assert said in found and any(advice in found for advice in ("ask", "save", "unpack"))
    assert "Anna" not in found and "P01" not in found


def test_a_database_and_gzipped_data_of_r_are_named_whatever_their_names_say(tmp_path):
    _sqlite(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes(gzip.compress(b"RDX3\nX\n\0\0\0\3", mtime=0))
    (tmp_path / "c.csv").write_text(TABLE)
    draft = draft_centre(tmp_path)
    assert ["SQLite" in draft.unreadable[0], "(.RData)" in draft.unreadable[1]] == [True, True]
    assert [t.found.file for t in draft.tables] == ["c.csv"]


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-16"),
        TABLE.encode("utf-16-le"),
        b"BMI;sex\n22;f\n",
        b"[id];[sex]\nP1;f\n",
        b'{"id": "P1"}\n{"id": "P2"}\n',
        b'{"id": "P1", "text": "' + b"x" * 9000 + b'"}\n',
        "患者番号,性別\nP1,女\n".encode("cp932"),
        b"ORCHID;sex\nP1;f\n"[2:],
        b"<5;id\n3;P1\n",
    ],
)
def test_what_may_be_a_table_is_not_named(content):
    assert what_it_is(content) is None


def test_office_documents_and_archives_without_tables_are_named(tmp_path):
    for name, part in (("a.docx", "word/document.xml"), ("b.pptx", "ppt/presentation.xml")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("[Content_Types].xml", "")
            archive.writestr(part, "")
    with zipfile.ZipFile(tmp_path / "c.odt", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", "")
    said = draft_centre(tmp_path).unreadable
    assert [text in problem for text, problem in zip(("Word", "PowerPoint", "OpenDocument"), said, strict=True)] == [
        True
    ] * 3


def test_a_letter_is_no_table(tmp_path):
    (tmp_path / "letter.txt").write_text(
        "Dear colleagues,\n\nwe send the data of Anna Muster.\n\nKind regards\nVienna\n"
    )
    (problem,) = draft_centre(tmp_path).unreadable
    assert "letter" in problem and "Anna" not in problem


def test_a_file_in_two_encodings_stops_no_other(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfpatient_id;name\nP1;M\xfcller\nP2;X\n")
    (tmp_path / "b.csv").write_text(TABLE)
    draft = draft_centre(tmp_path)
    assert [t.found.file for t in draft.tables] == ["b.csv"]
    assert "a.csv: the file begins with the mark of" in draft.unreadable[0] and "byte 23" in draft.unreadable[0]
    assert 'ignored_files:\n  a.csv: "TO_DECIDE' in draft.centre_yml


def test_an_error_that_nobody_foresaw_is_said_without_its_text_and_stops_no_other(tmp_path, monkeypatch):
    from capla_etl.centres.draft import detect

    whole = detect.find_header

    def fails(rows):
        if rows[0][0] == "broken":
            raise ZeroDivisionError("Anna Muster")
        return whole(rows)

    monkeypatch.setattr(detect, "find_header", fails)
    (tmp_path / "a.csv").write_text("broken;b\n1;2\n")
    (tmp_path / "b.csv").write_text(TABLE)
    found, problems = detect.detect(tmp_path / "a.csv")
    assert (
        found == []
        and problems[0][1].startswith("damaged, or not")
        and "ZeroDivisionError" in problems[0][1]
        and "Anna" not in str(problems)
    )
    assert len(detect.detect(tmp_path / "b.csv")[0]) == 1


def _archive(members, password=False):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    content = target.getvalue()
    if password:  # the flag that says that a member is encrypted, in both of its headers
        content = content.replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0")
        content = content.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0")
    return content


def test_an_archive_is_opened_as_a_folder(tmp_path):
    members = {"lab.csv": TABLE, "sub/pat.csv": TABLE, "read me.pdf": b"%PDF-1.7", "__MACOSX/._lab.csv": b"x"}
    (tmp_path / "export.zip").write_bytes(_archive(members))
    draft = draft_centre(tmp_path)
    assert [t.found.file for t in draft.tables] == ["export.zip/lab.csv", "export.zip/sub/pat.csv"]
    (problem,) = draft.unreadable
    assert problem.startswith("export.zip/read me.pdf: a PDF document, no table; ask the centre")
    assert "file: export.zip/lab.csv\n" in draft.centre_yml


def test_an_archive_with_a_password_is_said(tmp_path):
    (tmp_path / "export.zip").write_bytes(_archive({"lab.csv": TABLE}, password=True))
    (problem,) = draft_centre(tmp_path).unreadable
    assert "protected by a password" in problem
