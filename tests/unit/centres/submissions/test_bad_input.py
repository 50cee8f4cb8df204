"""A submission or spec that cannot be used stops that centre alone, says what to do, and keeps the last good load."""

import gzip
import shutil
import zipfile
from pathlib import Path

import openpyxl
import pytest
from tiny_centre import load_centre

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.status import centre_ids

CENTRES = ("HU01", "BR01", "CA01", "US01")


def _copy_centres(data_raw: Path) -> None:
    for centre in CENTRES:
        shutil.copytree(paths.ROOT / "data_raw" / centre, data_raw / centre)


@pytest.fixture
def data_raw(tmp_path, monkeypatch) -> Path:
    """Some of the centres' submissions, to be broken."""
    _copy_centres(tmp_path / "data_raw")
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    return tmp_path / "data_raw"


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A folder with good loads of the centres that are broken below, and the key of their patients; made once."""
    folder = tmp_path_factory.mktemp("good")
    _copy_centres(folder / "data_raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPLA_DATA_RAW", str(folder / "data_raw"))
        patch.setenv("CAPLA_WAREHOUSE", str(folder / "warehouse"))
        for centre in ("HU01", "BR01", "US01"):
            load_centre(centre)
    return folder


@pytest.fixture
def after_good_loads(data_raw, good) -> Path:
    """The same submissions, with good loads in the warehouse."""
    shutil.copy2(good / "patient_id.key", data_raw.parent)
    shutil.copytree(good / "warehouse", paths.warehouse())
    return data_raw


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def _replace(path: Path, old: str, new: str, encoding: str = "utf-8") -> None:
    text = path.read_bytes().decode(encoding)
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode(encoding))


def _without_column(data_raw: Path) -> None:
    _replace(data_raw / "HU01/2023-06-30/labor.txt", "Thrombocyta (G/l)", "Thrombocyta", "cp1250")


def _in_utf8(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/labor.txt"
    path.write_bytes(path.read_bytes().decode("cp1250").encode("utf-8"))


def _in_utf16(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/betegek.txt"
    path.write_bytes(path.read_bytes().decode("cp1250").encode("utf-16"))


def _with_unknown_word(data_raw: Path) -> None:
    _replace(data_raw / "HU01/2023-06-30/betegek.txt", "\tférfi\t", "\tfiú\t", "cp1250")


def _empty(data_raw: Path) -> None:
    (data_raw / "HU01/2023-06-30/labor.txt").write_bytes(b"")


def _header_only(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/labor.txt"
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")


def _missing_file(data_raw: Path) -> None:
    (data_raw / "HU01/2023-06-30/labor.txt").unlink()


def _undeclared_file(data_raw: Path) -> None:
    (data_raw / "HU01/2023-06-30/nevek.txt").write_text("x")


def _undeclared_column(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/labor.txt"
    lines = path.read_bytes().decode("cp1250").splitlines()
    path.write_bytes(
        "\n".join([lines[0] + "\tNév", *(line + "\tSecret Person" for line in lines[1:])]).encode("cp1250")
    )


def _without_header(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/betegek.txt"
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1].replace(b"HU001", b"Secret Person"))


def _shifted_column(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/betegek.txt"
    rows = [line.split("\t") for line in path.read_bytes().decode("cp1250").splitlines()]
    path.write_bytes(
        "\n".join(
            "\t".join(row if i == 0 else [row[0], "Secret Person " + row[0], *row[2:]]) for i, row in enumerate(rows)
        ).encode("cp1250")
    )


def _spec_typo(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", "creatinine_umol_per_l:", "creatinin_umol_per_l:")


def _spec_unknown_key(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", "encoding:", "encodng:")


def _spec_unknown_unit(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", "unit: g/L", "unit: U/L")


def _spec_unknown_code(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", "férfi: male", "férfi: man")


def _spec_two_readings_of_a_date(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", 'date_format: "%Y.%m.%d."', 'date_format: ["%Y.%m.%d.", "%Y.%d.%m."]')


def _spec_key_twice(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", "missing: [na]", "missing: [na]\nmissing: [na, x]")


def _corrupt_workbook(data_raw: Path) -> None:
    path = data_raw / "BR01/2023-06-30/RJ_capla.xlsx"
    path.write_bytes(path.read_bytes()[:20000])


def _undeclared_sheet(data_raw: Path) -> None:
    path = data_raw / "BR01/2023-06-30/RJ_capla.xlsx"
    workbook = openpyxl.load_workbook(path)
    workbook.create_sheet("Nomes")
    workbook.save(path)


def _damaged_sheet(data_raw: Path) -> None:
    path = data_raw / "BR01/2023-06-30/RJ_capla.xlsx"
    with zipfile.ZipFile(path) as parts:
        kept = {name: parts.read(name) for name in parts.namelist()}
    sheet = next(name for name in kept if name.startswith("xl/worksheets/"))
    kept[sheet] = kept[sheet][:2000]
    with zipfile.ZipFile(path, "w") as parts:
        for name, content in kept.items():
            parts.writestr(name, content)


def _damaged_gzip(data_raw: Path) -> None:
    path = data_raw / "US01/2023-06-30/labs.psv.gz"
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(bytes(content))


def _other_patient_numbers(data_raw: Path) -> None:
    path = data_raw / "US01/2023-06-30/labs.psv.gz"
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([header, *("x" + row for row in rows)]).encode()))


def _quote_before_header(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/labor.txt"
    path.write_bytes(b'"' + path.read_bytes())


def _blank_lines_first(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/labor.txt"
    path.write_bytes(b"\n\n" + path.read_bytes())


def _columns_alike_but_for_case(data_raw: Path) -> None:
    _replace(data_raw / "HU01/2023-06-30/labor.txt", "ADAMTS13 (%)", "DÁTUM", "cp1250")


def _spec_header_row_0(data_raw: Path) -> None:
    _replace(data_raw / "BR01/centre.yml", "sheet: Pacientes}", "sheet: Pacientes, header_row: 0}")


def _spec_table_name(data_raw: Path) -> None:
    _replace(data_raw / "BR01/centre.yml", "  pacientes:", "  pacientes-1:")


@pytest.mark.parametrize(
    ("broken", "break_it", "said"),
    [
        (
            "HU01",
            _without_column,
            [
                "2023-06-30/labor.txt",
                "'Thrombocyta (G/l)' is missing",
                "is it now column ",
                "column(s) not in the spec: ",
            ],
        ),
        ("HU01", _in_utf8, ["labor.txt", "valid UTF-8", "cp1250"]),
        ("HU01", _in_utf16, ["betegek.txt", "probably UTF-16", "cp1250"]),
        (
            "HU01",
            _with_unknown_word,
            [
                "betegek.txt",
                "'Nem'",
                "found 'fiú' in 1 row(s), first in row",
                "expected one of: nő, férfi",
                "add it to the vocabulary in centre.yml",
            ],
        ),
        ("HU01", _empty, ["labor.txt", "empty"]),
        ("HU01", _header_only, ["labor.txt", "no rows"]),
        ("HU01", _missing_file, ["'labor.txt' is missing", "has 1 other file(s)"]),
        ("HU01", _undeclared_file, ["file 3 of 3 (.txt, SHA-256 ", "ignored_files"]),
        ("HU01", _undeclared_column, ["column(s) not in the spec: ", "forbidden"]),
        ("HU01", _without_header, ["betegek.txt", "have duplicate names", "Is the header row right?"]),
        (
            "HU01",
            _shifted_column,
            ["betegek.txt", "'Nem'", "41 different words (is it the right column?)", "expected one of: nő, férfi"],
        ),
        ("HU01", _spec_typo, ["centre.yml", "creatinin_umol_per_l", "did you mean 'creatinine_umol_per_l'"]),
        ("HU01", _spec_unknown_key, ["centre.yml", "tables.betegek.format", "encodng", "unknown key"]),
        ("HU01", _spec_unknown_unit, ["centre.yml", "hemoglobin_g_per_dl.unit", "'U/L', which cannot", "g/dL, g/L"]),
        ("HU01", _spec_unknown_code, ["centre.yml", "'man'", "male"]),
        ("HU01", _spec_two_readings_of_a_date, ["centre.yml", "read the same text differently"]),
        ("HU01", _spec_key_twice, ["centre.yml, line", "duplicate key 'missing'"]),
        ("HU01", _quote_before_header, ["labor.txt", "quotation mark"]),
        ("HU01", _blank_lines_first, ["labor.txt", "row 1", "blank"]),
        (
            "HU01",
            _columns_alike_but_for_case,
            ["labor.txt", "column 'ADAMTS13 (%)' is missing", "column(s) not in the spec: "],
        ),
        ("US01", _damaged_gzip, ["labs.psv.gz", "gzip file is damaged"]),
        (
            "US01",
            _other_patient_numbers,
            ["labs.psv.gz", "5889 of 5889 rows are refused (unknown_patient 5889)", "at most 10%"],
        ),
        ("BR01", _damaged_sheet, ["RJ_capla.xlsx", "not a complete XLSX workbook"]),
        ("BR01", _spec_header_row_0, ["centre.yml", "header_row", "greater than or equal to 1"]),
        ("BR01", _spec_table_name, ["centre.yml", "tables.pacientes-1"]),
        ("BR01", _corrupt_workbook, ["RJ_capla.xlsx", "not a complete XLSX workbook"]),
        ("BR01", _undeclared_sheet, ["RJ_capla.xlsx", "sheet(s) not in the spec: ", "ignored_sheets"]),
    ],
)
def test_it_stops_that_centre_alone_and_says_what_to_do(after_good_loads, broken, break_it, said):
    assert broken in centre_ids()
    last_good = _bytes_of(paths.centre_loads() / broken)
    break_it(after_good_loads)
    with pytest.raises(CentreRefused) as refusal:
        load_centre(broken)
    message = str(refusal.value)
    assert message.startswith(f"{broken}: not loaded")
    assert [part for part in said if part not in message] == []
    assert "Secret Person" not in message
    assert _bytes_of(paths.centre_loads() / broken) == last_good
    assert broken in centre_ids()


def test_the_other_centres_go_on(data_raw):
    _spec_typo(data_raw)
    with pytest.raises(CentreRefused):
        load_centre("HU01")
    assert centre_ids() == ["BR01", "CA01", "HU01", "US01"]
    assert load_centre("BR01").rows["patient"] == 33


def test_forbidden_columns_reach_no_table(centre, loaded):
    centre.spec()
    load_centre("XX01")
    for path in sorted((paths.centre_loads() / "XX01").glob("*.parquet")):
        for row in loaded(path.stem):
            assert not any("Person" in str(value) for value in row.values()), path.name


def test_a_line_that_is_no_json_is_refused_alone_and_not_repeated(data_raw):
    path = data_raw / "CA01/2023-06-30/toronto.ndjson"
    lines = path.read_text(encoding="utf-8").splitlines()
    repeated = lines[1].replace('"sex":', '"subject": "TOR-900", "sex":', 1)
    path.write_text("\n".join([lines[0], repeated, lines[2][:400], "[1]", *lines[4:]]) + "\n", encoding="utf-8")
    load = load_centre("CA01")
    assert load.rows["patient"] == len(lines) - 3
    root = load.ledger[load.ledger["sheet"] == ""].iloc[0]
    assert (root["rows_received"], root["rows_loaded"], root["rows_quarantined"]) == (31, 28, 3)
    assert sorted(load.refused["rule"]) == ["not_json", "repeated_key"]


def test_a_failure_that_nobody_foresaw_names_its_place_and_no_value(data_raw, monkeypatch):
    def broken(*_):
        raise RuntimeError("Secret Person")

    monkeypatch.setattr("capla_etl.centres.submissions.judge.history", broken)
    with pytest.raises(CentreRefused) as refusal:
        load_centre("HU01")
    assert "an unexpected RuntimeError in judge.py, line" in str(refusal.value)
    assert "Secret Person" not in str(refusal.value) and refusal.value.__cause__ is None


def test_an_error_or_an_empty_formula_in_a_cell_is_no_blank_and_a_typed_number_keeps_its_value(data_raw):
    path = data_raw / "BR01/2023-06-30/RJ_capla.xlsx"
    workbook = openpyxl.load_workbook(path)
    sheet = workbook["Evolução"]
    sheet["D2"] = "#N/A"
    sheet["D2"].data_type = "e"
    sheet["D3"] = "=1+1"
    sheet["C4"] = 12.345  # /mm3: a number, not 12 345 with a point between thousands
    sheet["D5"] = 512.5  # U/L, in a table whose texts have a decimal comma
    workbook.save(path)
    load = load_centre("BR01")
    assert {(r.column_name, r.rule): r.values_refused for r in load.refused.itertuples()} == {
        ("DHL (U/L)", "not_a_number"): 2,
        ("Plaquetas (/mm³)", "out_of_range"): 1,
    }


def test_a_file_that_its_reader_fails_at_is_called_damaged_and_what_else_is_wrong_is_named_too(centre, monkeypatch):
    def fails(*_):
        raise ValueError("Secret Person")

    centre.spec()
    centre.write("more.csv", "id\nA\n")
    monkeypatch.setattr("capla_etl.centres.reading.formats.read", fails)
    with pytest.raises(CentreRefused) as refusal:
        load_centre("XX01")
    damage, undeclared = refusal.value.problems
    assert damage.startswith("XX01/2020-12-31/patients.csv: damaged, or not of the declared format; its reader stopped")
    assert "ValueError" in damage and "Ask the centre to open the file" in damage
    assert "file 1 of 2 (.csv" in undeclared and "not in the spec" in undeclared
    assert "unexpected" not in str(refusal.value) and "Secret" not in str(refusal.value)
