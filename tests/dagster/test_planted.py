"""Fifty identifiers in every kind of place: none is in any file that a run writes, its history and logs included."""

import io
import zipfile

import dagster as dg
import duckdb
import openpyxl
import pytest
from planted import PERSONAL
from tiny_centre import PATIENTS, TinyCentre

from capla_etl.centres.submissions.assemble import assemble
from capla_etl.centres.submissions.load import accept
from capla_etl.centres.submissions.status import received_loads
from capla_etl.cli import main
from capla_etl.definitions import build_defs
from capla_etl.defs import centres

#: The name that is in places where no number can be.
NAME = "Müllerová Annegret 1953"
NUMBERS = [text for _, text in PERSONAL]
WITH_TEXT = PATIENTS.replace(
    "    forbidden: {name: name}\n", "    forbidden: {name: name}\n    free_text: {remark: remarks}\n"
)


@pytest.fixture
def planted(tmp_path, monkeypatch) -> TinyCentre:
    """A centre whose free text holds all of them, next to a folder and files with a name."""
    for variable, folder in {"DATA_RAW": "data_raw", "WAREHOUSE": "warehouse"}.items():
        monkeypatch.setenv(f"CAPLA_{variable}", str(tmp_path / folder))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    (tmp_path / "dagster_home").mkdir()
    centre = TinyCentre(tmp_path / "data_raw")
    centre.spec(patients=WITH_TEXT)
    rows = [f"P{i};x;F;01/02/1970;10/01/2020;;;seen, {number}, well" for i, number in enumerate(NUMBERS)]
    centre.write("patients.csv", "\n".join(["id;name;sex;born;tpe;dead;seen;remark", *rows]))
    (tmp_path / "data_raw" / NAME).mkdir()
    (tmp_path / "data_raw" / NAME / "centre.yml").write_text("a: 1", encoding="utf-8")
    return centre


def _run() -> None:
    """Receive the centre in a run of Dagster whose history is kept, as the study does."""
    job = build_defs([centres._centre("XX01")]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.get() as instance:
        job.execute_in_process(instance=instance, raise_on_error=False)
    main(["centre", "list"])
    main(["centre", "check", "XX01"])


def _written(tmp_path) -> dict[str, str]:
    """Every file outside the data folder as text, compressed ones unpacked."""
    found = {}
    for path in (p for p in tmp_path.rglob("*") if p.is_file() and tmp_path / "data_raw" not in p.parents):
        name = path.relative_to(tmp_path).as_posix()
        found[name] = name + path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            with duckdb.connect() as con:
                found[name] += str(con.execute("from read_parquet(?)", [str(path)]).fetchall())
    return found


def _digits(text: str) -> str:
    return "".join(filter(str.isalnum, text)).upper()


def _search(tmp_path, said: str, words: list[str]) -> list[tuple[str, str]]:
    texts = _written(tmp_path) | {"(terminal)": said}
    return [(name, word) for name, text in texts.items() for word in words if word in text]


def test_no_number_in_free_text_is_written_anywhere(planted, tmp_path, capsys):
    _run()
    accept(received_loads()["XX01"])
    with duckdb.connect(str(tmp_path / "warehouse" / "capla.duckdb")) as con:
        assemble(con)
        texts, withheld = con.execute("select texts, withheld from quality.free_text_scan").fetchone()
        assert (texts, withheld) == (len(NUMBERS), len(NUMBERS))
        everything = con.execute("select table_schema, table_name from information_schema.tables").fetchall()
        tables = "".join(str(con.execute(f'from "{schema}"."{table}"').fetchall()) for schema, table in everything)
    said = "".join(capsys.readouterr())
    assert _search(tmp_path, said + tables, [*NUMBERS, NAME, "Müllerová", "Annegret"]) == []


def _xlsx(centre) -> None:
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.create_sheet(NAME)
    book.save(content)
    centre.write("labs.xlsx", content.getvalue())
    table = (
        "labs: {file: labs.xlsx, format: {type: xlsx, sheet: Sheet}, key: id, records: [{table: lab_result, fields: "
    )
    centre.spec(table + '{platelets_10e9_per_l: {column: plt, unit: "10*9/L"}}}]}', patients=WITH_TEXT)


def _member(centre) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"{NAME}.csv", "x")
    centre.write(f"{NAME}.zip", content.getvalue())


PLACES = {
    "name of a file": lambda centre: centre.write(f"{NAME}.xlsx", b"x"),
    "name of an archive and its member": _member,
    "name of a sheet": _xlsx,
    "header": lambda centre: centre.write("patients.csv", f"id;name;sex;born;tpe;dead;seen;remark;{NAME}\nA;;;;;;;;x"),
    "word of a vocabulary": lambda centre: centre.write(
        "patients.csv", f"id;name;sex;born;tpe;dead;seen;remark\nA;x;{NAME};01/02/1970;10/01/2020;;;"
    ),
    "path of a link": lambda centre: (centre.submission / "x.csv").symlink_to(f"/{NAME}/x.csv"),
    "path of a file that cannot be opened": lambda centre: (centre.submission / f"{NAME}.csv").symlink_to(
        f"{NAME}.csv"
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_refused_is_named_without_the_name(planted, tmp_path, capsys, monkeypatch, place):
    monkeypatch.setattr(centres, "RETRIES", 0)
    PLACES[place](planted)
    _run()
    said = "".join(capsys.readouterr())
    assert "XX01" in said and received_loads() == {}
    assert _search(tmp_path, said, [NAME, "Müllerová", "Annegret", "M\\xc3\\xbcllerov", "M\\u00fcllerov"]) == []
