"""Centres of many columns: patients, files, and the centre.yml that describes them or is slightly wrong.

What does not belong here: values and their cells (truth.py), bytes (writers.py), judgement (verdict.py).
"""

import json
import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import yaml

from .cells import FORMATS, ONE_KIND_A_COLUMN, WORKBOOKS, Cell, Shown
from .truth import (
    LAB_FIELDS,
    LIST_CODES,
    LIST_DATES,
    PATIENT_CODES,
    PATIENT_DATES,
    PATIENT_NUMBERS,
    REFERENCE_DATES,
    ZONES,
    Column,
    File,
    Patient,
    codes,
    dates,
    number,
)
from .writers import SHEET, write

CODE = "XX01"
_SUBMISSION = "2023-06-30"
_PATIENTS = 30
_COLUMNS_A_FILE = 14
_FILES_A_CENTRE = 5
_SUFFIX = {
    "csv": ".csv",
    "xlsx": ".xlsx",
    "ods": ".ods",
    "stata": ".dta",
    "spss": ".sav",
    "sas_transport": ".xpt",
    "parquet": ".parquet",
    "json_lines": ".ndjson",
}
#: Most centres have right specs, which are judged once; in the others each refusal takes a round of its own.
_SHARES = {"right spec": {"right": 0.88, "fault": 0.12}, "wrong spec": {"right": 0.3, "fault": 0.16, "wrong": 0.54}}
_RIGHT_SPECS = 0.55


@dataclass
class FileOf:
    """A file of a centre: its table in the spec, the patient of each row, its key cells, its columns of known truth,
    and further columns. ``fill_down``: a patient's number stands in the first row of several."""

    table: str
    file: File
    patients: list[Patient]
    key: list[Cell]
    plain: dict[str, list[Cell]]
    columns: list[Column]
    options: dict
    ignored: dict[str, list[Cell]] = field(default_factory=dict)
    fill_down: bool = False

    @property
    def of_patients(self) -> bool:
        """Whether its columns are fields of the patients, which several files may hold."""
        return self.table in ("patients", "more", "tests")

    @property
    def one_row_a_test(self) -> bool:
        """Whether its columns stand in one column of the file, below one another: a row for each patient and test."""
        return self.table == "tests"

    @property
    def name(self) -> str:
        return self.table + _SUFFIX[self.file.kind] + (".gz" if self.options.get("gzip") else "")

    @property
    def sheet(self) -> str:
        return SHEET if self.file.kind in WORKBOOKS else ""

    def row_number(self, row: int, column: Column) -> int:
        """Number of the file's row that holds the row ``row`` (from 0) of a column."""
        if self.one_row_a_test:
            row = row * len(self.columns) + [c.name for c in self.columns].index(column.name)
        if self.file.kind in ("csv", *WORKBOOKS):
            return self.options.get("title_rows", 0) + 2 + row
        return row + 1


@dataclass
class CentreOf:
    """A centre: its patients and files; the first file has the patients."""

    patients: list[Patient]
    files: list[FileOf]


# -------------------------------------------------------------------- drawing


def _patients(rng: random.Random) -> list[Patient]:
    prefix = rng.choice(("000", "P-", "É", "TTP/"))
    found = []
    for n in range(1, _PATIENTS + 1):
        first = date(2019, 2, 1) + timedelta(rng.randint(0, 1000))
        born = first.replace(year=rng.randint(1945, 1995), day=min(first.day, 28)) + timedelta(n % 2)
        found.append(Patient(f"{prefix}{n:02}", born, first))
    return found


def _options(rng: random.Random, kind: str) -> dict:
    if kind == "csv":
        return {
            "encoding": rng.choice(("utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16", "cp932")),
            "delimiter": rng.choice((";", ",", "\t", "|")),
            "line_end": rng.choice(("\n", "\r\n")),
            "title_rows": rng.choice((0, 0, 0, 2)),
            "gzip": rng.random() < 0.1,
        }
    if kind in WORKBOOKS:
        hidden = rng.sample(range(_PATIENTS), 2) if rng.random() < 0.2 else []
        return {"title_rows": rng.choice((0, 0, 3)), "hidden_rows": hidden}
    return {"version": rng.choice((5, 8))} if kind == "sas_transport" else {}


def _file(rng: random.Random, kind: str) -> File:
    return File(
        kind,
        narrow=kind not in ("spss", "stata", "sas_transport") and rng.random() < 0.25,
        zone=rng.choice(ZONES) if rng.random() < 0.4 else None,
        epoch_1904=kind in WORKBOOKS and rng.random() < 0.3,
    )


def _decorated(rng: random.Random, column: Column, file: File) -> Column:
    """A column with accents and blanks in its name, sometimes as another system writes them."""
    if file.kind not in ("csv", "json_lines", "parquet", *WORKBOOKS) or rng.random() < 0.6:
        return column
    name = f"Größe {column.name} [é]"
    shown = unicodedata.normalize("NFD", name) if rng.random() < 0.4 else name
    if file.kind in ("csv", *WORKBOOKS) and rng.random() < 0.2:
        shown = f" {shown}  "
    return replace(column, name=name, shown=shown, source={**column.source, "column": name})


class _Names:
    """Names of columns, each once in a centre and none within another; and whether the next column is right."""

    def __init__(self, rng: random.Random):
        self.rng, self.count = rng, 0
        self.of = "right spec" if rng.random() < _RIGHT_SPECS else "wrong spec"

    def __call__(self) -> str:
        self.count += 1
        return f"V{self.count:05}"

    def mode(self, make: Callable) -> str:
        """Right, with a fault or with a wrong spec; a word that nobody knows stops a centre, as a wrong spec does."""
        if make is codes and self.of == "right spec":
            return "right"
        return self.rng.choices(list(_SHARES[self.of]), list(_SHARES[self.of].values()))[0]


def _patients_file(
    rng: random.Random, patients: list[Patient], names: _Names, kind: str, reference: str | None = None
) -> FileOf:
    file = _file(rng, kind)
    wanted = rng.sample(PATIENT_NUMBERS, 4) + rng.sample(PATIENT_CODES, 7)
    columns = [_of_patient(rng, file, patients, names, name) for name in wanted]
    columns.append(dates(rng, file, patients, names(), reference or rng.choice(PATIENT_DATES), names.mode(dates)))
    plain = {
        "BORN": [patient.born.isoformat() for patient in patients],
        "TPE": [patient.first_tpe.isoformat() for patient in patients],
    }
    plain = {
        name: cells
        for name, cells in plain.items()
        if name != {"birth_date": "BORN", "first_tpe_date": "TPE"}.get(reference)
    }
    columns = [_decorated(rng, column, file) for column in columns]
    keys = [patient.key for patient in patients]
    return FileOf("patients", file, patients, keys, plain, columns, _options(rng, kind))


def _of_patient(rng: random.Random, file: File, patients: list[Patient], names: _Names, wanted: str) -> Column:
    make = number if wanted in PATIENT_NUMBERS else codes
    return make(rng, file, patients, names(), wanted, names.mode(make))


def _more_of_patients(rng: random.Random, first: FileOf, names: _Names, kind: str) -> FileOf:
    """A second file with further fields of the same patients, in another order."""
    file, patients = _file(rng, kind), rng.sample(first.patients, len(first.patients))
    known = {column.field for column in first.columns}
    wanted = [name for name in (*PATIENT_NUMBERS, *PATIENT_CODES) if name not in known]
    columns = [_decorated(rng, _of_patient(rng, file, patients, names, name), file) for name in wanted]
    key, what = _keys(rng, patients, file)
    return FileOf("more", file, patients, key, {}, columns, _options(rng, kind))


def _list_file(
    rng: random.Random, patients: list[Patient], names: _Names, kind: str, table: str, only: int | None = None
) -> FileOf:
    file, fill_down = _file(rng, kind), rng.random() < 0.15
    if fill_down:
        patients = [patient for patient in patients for _ in range(2)]
    ways = ((number, LAB_FIELDS), (number, LAB_FIELDS), (dates, LIST_DATES), (dates, LIST_DATES), (codes, LIST_CODES))
    columns = []
    for _ in range(only or _COLUMNS_A_FILE):
        make, among = rng.choice(ways)
        columns.append(_decorated(rng, make(rng, file, patients, names(), rng.choice(among), names.mode(make)), file))
    count = ["100" if kind == "csv" else 100] * len(patients)
    days = [patient.first_tpe + timedelta(1 + n % 2) for n, patient in enumerate(patients)]
    plain = {"DAY": [day.isoformat() for day in days], "COUNT": count}
    key, what = _keys(rng, patients, file)
    if fill_down:
        key, what = [None if n % 2 else cell for n, cell in enumerate(key)], f"{what}, filled down"
    truth = [patient.key for patient in patients]
    core = Column("key", "lab_result", "centre_patient_id", "centre_patient_id", "ID", key, truth, {}, what)
    return FileOf(table, file, patients, key, plain, [core, *columns], _options(rng, kind), fill_down=fill_down)


def _tests_file(rng: random.Random, first: FileOf, names: _Names, kind: str) -> FileOf:
    """Baseline values of patients with one row a test: the test, the result, its unit."""
    file, columns = _file(rng, kind), []
    known = {column.field for column in first.columns}
    for wanted in [name for name in PATIENT_NUMBERS if name not in known]:
        while True:
            column = number(rng, file, first.patients, names(), wanted, rng.choice(("right", "right", "fault")))
            if not column.beside and all(cell is None or isinstance(cell, str) for cell in column.cells):
                break
        columns.append(replace(column, what=f"one row a test, {column.what}"))
    keys = [patient.key for patient in first.patients]
    return FileOf("tests", file, first.patients, keys, {}, columns, _options(rng, kind))


def _keys(rng: random.Random, patients: list[Patient], file: File) -> tuple[list[Cell], str]:
    """The patients' numbers as one file has them."""
    keys = [patient.key for patient in patients]
    ways = ["text"] * 3
    if file.kind not in ONE_KIND_A_COLUMN:
        ways.append("padded")
    if file.kind in WORKBOOKS and keys[0].isdigit():
        ways += ["numbers shown with leading zeros"] * 3
    if file.kind not in ("stata", "spss", "sas_transport") and not keys[0].isascii():
        ways += ["NFD"] * 2
    if file.narrow:
        ways.append("full-width")
    way = rng.choice(ways)
    if way == "padded":
        keys = [rng.choice((" ", "")) + key + rng.choice(("", "  ")) for key in keys]
    elif way == "NFD":
        keys = [unicodedata.normalize("NFD", key) for key in keys]
    elif way == "full-width":
        keys = ["".join(chr(ord(s) + 0xFEE0) if "!" <= s <= "~" else s for s in key) for key in keys]
    elif way != "text":
        return [Shown(int(key), "0" * len(key), key) for key in keys], way
    return keys, way


def draw(seed: str) -> CentreOf:
    """A centre by its seed: every drawing is its own, so that one centre can be made again alone."""
    rng = random.Random(seed)
    patients, names = _patients(rng), _Names(rng)
    kinds = rng.sample(FORMATS, len(FORMATS))
    if rng.random() < 0.15:
        return CentreOf(patients, [_patients_file(rng, patients, names, kinds[0], rng.choice(REFERENCE_DATES))])
    files = [_patients_file(rng, patients, names, kinds[0])]
    if rng.random() < 0.4:
        files.append(_more_of_patients(rng, files[0], names, kinds[-2]))
    elif rng.random() < 0.4:
        files.append(_tests_file(rng, files[0], names, rng.choice(("csv", "xlsx", "ods", "json_lines", "parquet"))))
    files += [_list_file(rng, patients, names, kinds[n], f"t{n}") for n in range(1, _FILES_A_CENTRE + 1)]
    if rng.random() < 0.3:
        files.append(_with_twin(rng, _list_file(rng, patients, names, kinds[-1], "twin", only=1)))
    return CentreOf(patients, files)


def _with_twin(rng: random.Random, file: FileOf) -> FileOf:
    """The file with a second column whose name differs in capital letters only."""
    core, column = file.columns
    if column.mode != "right" or column.shown or file.file.kind == "sas_transport":  # SAS names have no case
        return file
    cells = list(column.cells)
    rng.shuffle(cells)
    file.ignored = {column.name.lower(): cells}
    file.columns = [
        replace(core, mode="fault", what="names that differ in case only"),
        replace(column, mode="fault", what="names that differ in case only"),
    ]
    return file


# -------------------------------------------------------------------- writing


def _format(of: FileOf, content_encoding: str) -> dict:
    kind, header_row = of.file.kind, str(of.options.get("title_rows", 0) + 1)
    if kind == "csv":
        plain = {"utf-8-sig": "utf-8"}.get(content_encoding, content_encoding)
        declared = {
            "type": "delimited",
            "encoding": plain,
            "delimiter": of.options["delimiter"],
            "header_row": header_row,
        }
        return declared | ({"compression": "gzip"} if of.options["gzip"] else {})
    if kind in WORKBOOKS:
        return {"type": kind, "sheet": SHEET, "header_row": header_row}
    return {"type": kind}


def columns_of(of: FileOf) -> dict[str, list[Cell]]:
    """Every column of a file, by its name in the spec."""
    if of.one_row_a_test:
        each = [(key, column, row) for row, key in enumerate(of.key) for column in of.columns]
        return {
            "ID": [key for key, _, _ in each],
            "TEST": [column.name for _, column, _ in each],
            "RESULT": [column.cells[row] for _, column, row in each],
        }
    every = {"ID": of.key, **of.plain, **of.ignored}
    for column in of.columns:
        every |= {column.name: column.cells, **column.beside} if column.kind != "key" else {}
    return every


def record_numbers(of: FileOf) -> dict[str, int]:
    """Name of a column -> number of the record that reads it."""
    if of.of_patients and not of.one_row_a_test:
        return {column.name: 1 for column in of.columns}
    return {column.name: n for n, column in enumerate(of.columns, 1)}


def _table(of: FileOf, content_encoding: str) -> dict:
    declared = {"file": of.name, "format": _format(of, content_encoding), "key": "ID"}
    if of.file.narrow:
        declared["width"] = "narrow"
    if of.file.zone:
        declared["zone"] = of.file.zone
    iso = {"date_format": "iso"}
    if of.fill_down:
        declared["fill_down"] = ["ID"]
    if of.one_row_a_test:
        declared["row_kinds"] = {"column": "TEST", "kinds": {column.field: [column.name] for column in of.columns}}
        records = [
            {"table": "patient", "rows": column.field, "fields": {column.field: {**column.source, "column": "RESULT"}}}
            for column in of.columns
        ]
        return declared | {"records": records}
    if of.of_patients:
        core = {"BORN": "birth_date", "TPE": "first_tpe_date"}
        fields = {core[name]: {"column": name, **iso} for name in of.plain}
        fields |= {column.field: column.source for column in of.columns}
        return declared | {"records": [{"table": "patient", "fields": fields}]}
    day = {"column": "DAY", **iso}
    records = []
    for column in of.columns:
        if column.kind == "key":
            fields = {"result_date": day, "platelets_10e9_per_l": {"column": "COUNT", "unit": "10^9/L"}}
        else:
            dated = {"lab_result": {"result_date": day}, "tpe_session": {"session_date": day}}.get(column.table, {})
            fields = {**dated, **column.others, column.field: column.source}
        records.append({"table": column.table, "fields": fields})
    read = {source.get("column") for record in records for source in record["fields"].values()}
    if ignored := [name for name in (*of.plain, *of.ignored) if name not in read]:
        declared["ignored"] = dict.fromkeys(ignored, "not a study field")
    return declared | {"records": records}


def _encoding(of: FileOf, every: dict[str, list[Cell]]) -> str | None:
    """The file's encoding, or UTF-8 where it lacks a sign."""
    if of.file.kind != "csv":
        return None
    shown = [column.shown or column.name for column in of.columns]
    text = "".join([*shown, *(cell or "" for cells in every.values() for cell in cells)])
    try:
        text.encode(of.options["encoding"])
    except UnicodeEncodeError:
        return "utf-8"
    return of.options["encoding"]


def write_centre(centre: CentreOf, data_raw: Path) -> None:
    """Write ``data_raw/XX01`` with one submission."""
    submission = data_raw / CODE / _SUBMISSION
    submission.mkdir(parents=True)
    tables = {}
    for of in centre.files:
        every = columns_of(of)
        encoding = _encoding(of, every)
        options = of.options | {
            "epoch_1904": of.file.epoch_1904,
            "shown": {column.name: column.shown for column in of.columns if column.shown},
            "user_missing": {column.name: list(column.user_missing) for column in of.columns if column.user_missing},
        }
        options |= {"encoding": encoding} if encoding else {}
        (submission / of.name).write_bytes(write(of.file.kind, every, options))
        tables[of.table] = _table(of, encoding)
    spec = {
        "centre": {"id": CODE, "name": "Nowhere", "country": "XX"},
        "lists": {"tpe_session": "none", "drug_course": "none", "adverse_event": "none"},
        "tables": tables,
    }
    plain = json.loads(json.dumps(spec))  # no part is the same object as another: YAML would write aliases
    text = yaml.safe_dump(plain, allow_unicode=True, sort_keys=False, width=1000)
    (data_raw / CODE / "centre.yml").write_text(text, encoding="utf-8")
