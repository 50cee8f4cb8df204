"""A submission or spec that cannot be used stops that centre alone, says what to do, and leaves the last good load as it was."""

import shutil
from pathlib import Path

import openpyxl
import pytest

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.load import centre_ids, load_centre


@pytest.fixture
def data_raw(tmp_path, monkeypatch) -> Path:
    """Budapest's and Rio de Janeiro's submissions, to be broken."""
    for centre in ("HU01", "BR01"):
        shutil.copytree(paths.ROOT / "data_raw" / centre, tmp_path / "data_raw" / centre)
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    return tmp_path / "data_raw"


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
    path.write_bytes("\n".join([lines[0] + "\tNév", *(line + "\tSecret Person" for line in lines[1:])]).encode("cp1250"))


def _without_header(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/betegek.txt"
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1].replace(b"HU001", b"Secret Person"))


def _shifted_column(data_raw: Path) -> None:
    path = data_raw / "HU01/2023-06-30/betegek.txt"
    rows = [line.split("\t") for line in path.read_bytes().decode("cp1250").splitlines()]
    path.write_bytes(
        "\n".join("\t".join(row if i == 0 else [row[0], "Secret Person " + row[0], *row[2:]]) for i, row in enumerate(rows)).encode(
            "cp1250"
        )
    )


def _spec_typo(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", "creatinine_umol_per_l:", "creatinin_umol_per_l:")


def _spec_unknown_key(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", "encoding:", "encodng:")


def _spec_unknown_unit(data_raw: Path) -> None:
    _replace(data_raw / "HU01/centre.yml", "unit: g/L", "unit: g/l")


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


@pytest.mark.parametrize(
    ("broken", "break_it", "said"),
    [
        (
            "HU01",
            _without_column,
            ["2023-06-30/labor.txt", "'Thrombocyta (G/l)' is missing", "Is it now 'Thrombocyta'?", "['Thrombocyta'] are not in the spec"],
        ),
        ("HU01", _in_utf8, ["labor.txt", "valid UTF-8", "cp1250"]),
        ("HU01", _in_utf16, ["betegek.txt", "probably UTF-16", "cp1250"]),
        (
            "HU01",
            _with_unknown_word,
            ["betegek.txt", "'Nem'", "found 'fiú' in 1 row(s), first in row", "['nő', 'férfi']", "add it to the vocabulary in centre.yml"],
        ),
        ("HU01", _empty, ["labor.txt", "empty"]),
        ("HU01", _header_only, ["labor.txt", "no rows"]),
        ("HU01", _missing_file, ["'labor.txt' is missing", "betegek.txt"]),
        ("HU01", _undeclared_file, ["nevek.txt", "ignored_files"]),
        ("HU01", _undeclared_column, ["['Név'] are not in the spec", "forbidden"]),
        ("HU01", _without_header, ["betegek.txt", "have the same names", "Is the header row right?"]),
        ("HU01", _shifted_column, ["betegek.txt", "'Nem'", "41 different words (is it the right column?)", "['nő', 'férfi']"]),
        ("HU01", _spec_typo, ["centre.yml", "creatinin_umol_per_l", "did you mean 'creatinine_umol_per_l'"]),
        ("HU01", _spec_unknown_key, ["centre.yml", "tables.betegek.format", "encodng", "unknown key"]),
        ("HU01", _spec_unknown_unit, ["centre.yml", "hemoglobin_g_per_dl.unit", "'g/l'", "'g/L'"]),
        ("HU01", _spec_unknown_code, ["centre.yml", "'man'", "male"]),
        ("HU01", _spec_two_readings_of_a_date, ["centre.yml", "read the same text differently"]),
        ("HU01", _spec_key_twice, ["centre.yml, line", "'missing' is there twice"]),
        ("BR01", _corrupt_workbook, ["RJ_capla.xlsx", "not a whole XLSX workbook"]),
        ("BR01", _undeclared_sheet, ["RJ_capla.xlsx", "['Nomes'] are not in the spec", "ignored_sheets"]),
    ],
)
def test_it_stops_that_centre_alone_and_says_what_to_do(data_raw, broken, break_it, said):
    assert centre_ids() == ["BR01", "HU01"]
    load_centre(broken)
    last_good = _bytes_of(paths.centre_loads() / broken)
    break_it(data_raw)
    with pytest.raises(CentreRefused) as refusal:
        load_centre(broken)
    message = str(refusal.value)
    assert message.startswith(f"{broken}: not loaded")
    assert [part for part in said if part not in message] == []
    assert "Secret Person" not in message
    assert _bytes_of(paths.centre_loads() / broken) == last_good
    other = {"HU01": "BR01", "BR01": "HU01"}[broken]
    assert load_centre(other).rows["patient"] > 0
    assert centre_ids() == ["BR01", "HU01"]


def test_forbidden_columns_reach_no_table(centre, loaded):
    centre.spec()
    load_centre("XX01")
    for path in sorted((paths.centre_loads() / "XX01").glob("*.parquet")):
        for row in loaded(path.stem):
            assert not any("Person" in str(value) for value in row.values()), path.name
