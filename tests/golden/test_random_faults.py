"""Random faults in the ten submissions: each is refused with place and reason, nothing else changes, no row is lost.

Faults are drawn by Hypothesis, always the same ones. The expectations come from the spec (where a value is read) and
from what was planted, never from the code that reads: see ``random_faults.py``.
"""

import csv
import gzip
import io
import random
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb
import hypothesis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_faults import (
    NO_WORD,
    SECRET,
    Faulty,
    Place,
    copy_rows,
    of_some_patients,
    places,
    plant_cells,
    remove_rows,
    replace_keys,
    shuffle,
    wrong_texts,
)
from test_worked_examples import run_dbt
from tiny_centre import load_centre

from capla_etl import fields, paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.reading.read import RawTable, current_submission, read_submission
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import Spec
from capla_etl.centres.submissions.assemble import assemble

CENTRES = sorted(p.parent.name for p in (paths.ROOT / "data_raw").glob("*/centre.yml"))
#: So many patients of each centre are enough for all but the test of outcomes.
SOME_PATIENTS = 16
#: Columns that say where a record came from.
SOURCE = tuple(fields.PLACE_COLUMNS)

# a centre's strategy prints itself at length
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


def repeatable(examples: int):
    """Settings of a test whose examples are the same on every run."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


@dataclass(frozen=True, repr=False)
class Loaded:
    """What a load left: ledger, quarantine, records by harmonised table, status of each row by (file, sheet, row)."""

    ledger: list[dict]
    quarantine: list[dict]
    records: dict[str, list[dict]]
    row_status: dict[tuple[str, str, int], str]
    folder: Path


@dataclass(frozen=True, repr=False)
class Centre:
    """A centre's spec, its submission as read (some patients only), its values' places, and its load without faults."""

    spec: Spec
    raws: list[RawTable]
    places: list[Place]
    clean: Loaded

    def __repr__(self) -> str:
        return f"Centre({self.spec.centre.id})"


def _load_only(centre_id: str, raws: list[RawTable]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("capla_etl.centres.submissions.judge.read_current", lambda *_: raws)
        load_centre(centre_id)


def _load(centre_id: str, raws: list[RawTable]) -> Loaded:
    """A load of the centre as if these tables had been read from its files."""
    _load_only(centre_id, raws)
    folder = paths.centre_loads() / centre_id
    tables = {path.stem: pq.read_table(path) for path in folder.glob("*.parquet")}
    places_of_rows = [
        tables[f"raw.{centre_id.lower()}__{raw.name}"].select([*SOURCE, "row_status"]).to_pylist() for raw in raws
    ]
    return Loaded(
        tables["quality.ledger"].to_pylist(),
        tables["quality.quarantine"].to_pylist(),
        {name: tables[f"harmonised.{name}"].to_pylist() for name in fields.tables()},
        {tuple(row[c] for c in SOURCE): row["row_status"] for rows in places_of_rows for row in rows},
        folder,
    )


@pytest.fixture(scope="module", autouse=True)
def _own_warehouse(tmp_path_factory):
    hypothesis.configuration.set_hypothesis_home_dir(str(tmp_path_factory.mktemp("hypothesis")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPLA_WAREHOUSE", str(tmp_path_factory.mktemp("faults") / "warehouse"))
        patch.setenv("CAPLA_DATA_RAW", str(paths.ROOT / "data_raw"))
        yield


@pytest.fixture(scope="module")
def submission() -> dict[str, tuple[Spec, list[RawTable]]]:
    """Every centre's spec and its first submission as read."""
    read = {}
    for centre in CENTRES:
        folder = paths.ROOT / "data_raw" / centre
        spec = load_spec(folder / "centre.yml")
        read[centre] = spec, read_submission(spec, current_submission(folder))
    return read


@pytest.fixture(scope="module")
def centres(submission, _own_warehouse) -> dict[str, Centre]:
    made = {}
    for centre, (spec, raws) in submission.items():
        some = of_some_patients(spec, raws, SOME_PATIENTS)
        made[centre] = Centre(spec, some, places(spec, some), _load(centre, some))
    return made


def _row(loaded: dict) -> tuple[str, str, int]:
    return loaded["file"], loaded["sheet"], loaded["row_number"]


def _entries(loaded: Loaded) -> set[tuple]:
    """The quarantine, without the texts."""
    return {(*_row(q), q["column_name"], q["rule"], q["patient_id"]) for q in loaded.quarantine}


def _assert_balanced(ledger: list[dict]) -> None:
    for row in ledger:
        parts = [row[c] for c in ("rows_loaded", "rows_duplicate", "rows_quarantined", "rows_ignored")]
        assert row["rows_received"] == sum(parts), row


def _assert_said_well(refused: CentreRefused, centre: str) -> None:
    """A refusal says where, and repeats no person's name."""
    message = str(refused)
    assert message.startswith(f"{centre}: not loaded")
    assert "an unexpected" not in message, message
    assert SECRET not in message
    assert all(f"{centre}/" in problem for problem in refused.problems), message


# ---------------------------------------------------------------- what faults are drawn


def _positions(raw: RawTable):
    return st.integers(0, raw.rows.num_rows - 1)


def _some(positions, most: int):
    return st.lists(positions, max_size=most, unique=True)


@st.composite
def faulty_submissions(draw, centre: Centre, spread: int = 1) -> Faulty:
    """A submission with impossible cells, unknown and blank patient numbers, duplicate rows, and rows lost."""
    by_kind: dict[str, list[Place]] = {}
    for place in (place for place in centre.places if place.kind != "word"):
        by_kind.setdefault(place.kind, []).append(place)
    some_place = st.tuples(st.sampled_from(sorted(by_kind)), st.integers(0, 999)).map(
        lambda drawn: by_kind[drawn[0]][drawn[1] % len(by_kind[drawn[0]])]
    )
    faulty = Faulty(list(centre.raws))
    planted = {}
    for place in draw(st.lists(some_place, min_size=8 * spread, max_size=16 * spread)):
        text = draw(
            st.sampled_from(wrong_texts(place))
            | st.text(st.characters(exclude_categories=["Nd", "Cs"]), min_size=1).map(lambda t: f"?{t}")
        )
        cell = place.table, place.column, place.rows[draw(st.integers(0, len(place.rows) - 1))]
        in_column = sum(planted_cell[:2] == cell[:2] for planted_cell in planted)
        # a column of which a large part is refused would stop the centre
        if in_column < max(3, len(place.rows) // 10):
            planted[cell] = (place, text)
    assume(len(planted) >= 5 * spread)
    plant_cells(faulty, [(place, position, text) for (_, _, position), (place, text) in planted.items()])
    touched = {(table, position) for table, _, position in planted}
    for raw in centre.raws:
        if not raw.rows.num_rows:
            continue
        # without its patient every other row of a patient is refused; too many of them would stop the centre
        most = 1 if any(r.table == "patient" for r in centre.spec.tables[raw.name].records) else 3
        free = [i for i in draw(_some(_positions(raw), most)) if (raw.name, i) not in touched]
        kinds = draw(st.lists(st.sampled_from(["lost", "unknown", "blank"]), min_size=len(free), max_size=len(free)))
        of = {kind: [i for i, k in zip(free, kinds, strict=True) if k == kind] for kind in ("lost", "unknown", "blank")}
        replace_keys(
            faulty, centre.spec, raw.name, {i: f"{SECRET} {i}" for i in of["unknown"]} | dict.fromkeys(of["blank"], " ")
        )
        copies = draw(_some(_positions(raw), 3))
        remaining = [i for i in copies if i not in of["lost"]]
        copy_rows(faulty, raw.name, remaining)
        remove_rows(faulty, centre.spec, raw.name, set(of["lost"]))
    return faulty


# ---------------------------------------------------------------- what must hold


def _place_of(faulty: Faulty, table: str, number: int) -> tuple[str, str, int]:
    raw = next(raw for raw in faulty.raws if raw.name == table)
    return raw.file, raw.sheet, number


def _assert_every_fault_is_in_quarantine(faulty: Faulty, loaded: Loaded) -> None:
    """Each planted text at its column (a unit or limit with its value), unless its row is refused: no patient."""
    columns = {(*_row(q), q["column_name"]) for q in loaded.quarantine}
    rows = {_row(q) for q in loaded.quarantine}
    without_patient = {
        _row(q) for q in loaded.quarantine if q["rule"] in ("missing_key", "unknown_patient", "duplicate_patient")
    }
    for (table, number, column), (text, kind) in faulty.cells.items():
        row = _place_of(faulty, table, number)
        found = row in rows if kind in ("unit", "limit") else (*row, column) in columns
        assert found or row in without_patient, (row, column, kind, text)


def _different(clean: Loaded, loaded: Loaded) -> list[dict]:
    """Records that are in one load only, whole or with another content."""
    found = []
    for name, records in clean.records.items():
        before, after = (Counter(tuple(record.items()) for record in side) for side in (records, loaded.records[name]))
        found += [dict(record) for record in (before - after) + (after - before)]
    return found


def _unexplained(faulty: Faulty, clean: Loaded, loaded: Loaded) -> list[dict]:
    """Records that are missing, new or changed without a reason.

    Reasons: the row or patient has a new entry in the quarantine; the ledger counts the row as duplicate or ignored;
    the row was removed; the patient's number was changed or the patient's row is lost.
    """
    new = _entries(loaded) - _entries(clean)
    rows = {entry[:3] for entry in new} | {
        _place_of(faulty, table, number) for table, number in faulty.removed | faulty.keys
    }
    rows |= {
        row
        for status in (clean.row_status, loaded.row_status)
        for row, what in status.items()
        if what in ("duplicate", "ignored")
    }
    patients = {entry[5] for entry in new if entry[5]}
    patients |= {p["patient_id"] for p in clean.records["patient"] if p["centre_patient_id"] in faulty.patients}
    return [
        r
        for r in _different(clean, loaded)
        if tuple(r[c] for c in SOURCE) not in rows and r["patient_id"] not in patients
    ]


def _assert_name_is_kept_nowhere(spec: Spec, faulty: Faulty, loaded: Loaded) -> None:
    """A name that slipped into a column of numbers or dates, out of a file with identifying columns."""
    measured = {
        (table, column)
        for (table, _, column), (text, _) in faulty.cells.items()
        if text == SECRET and spec.tables[table].forbidden
    }
    for entry in loaded.quarantine:
        for table, column in measured:
            raw = next(raw for raw in faulty.raws if raw.name == table)
            if (entry["file"], entry["sheet"], entry["column_name"]) == (raw.file, raw.sheet, column):
                assert SECRET not in (entry["raw_value"] or ""), entry
    for table, column in measured:
        kept = pq.read_table(loaded.folder / f"raw.{spec.centre.id.lower()}__{table}.parquet")[column].to_pylist()
        assert not [text for text in kept if SECRET in (text or "")]


@pytest.mark.parametrize("centre_id", CENTRES)
def test_every_fault_is_refused_with_its_place_and_nothing_else_changes(centres, centre_id):
    centre = centres[centre_id]
    loads = Counter()

    @repeatable(1)
    @given(faulty_submissions(centre))
    def check(faulty: Faulty) -> None:
        try:
            loaded = _load(centre_id, faulty.raws)
        except CentreRefused as refused:
            _assert_said_well(refused, centre_id)
            assert "rows are refused" in str(refused) or "unknown_patient" in str(refused), str(refused)
            loads["refused"] += 1
            return
        loads["loaded"] += 1
        _assert_balanced(loaded.ledger)
        received = sum(raw.rows.num_rows + len(raw.set_aside) for raw in faulty.raws)
        assert sum(row["rows_received"] for row in loaded.ledger) == received
        _assert_every_fault_is_in_quarantine(faulty, loaded)
        assert not _unexplained(faulty, centre.clean, loaded)
        _assert_name_is_kept_nowhere(centre.spec, faulty, loaded)

    check()
    assert loads["loaded"]


@pytest.mark.parametrize("centre_id", CENTRES)
def test_no_wrong_text_is_accepted_at_any_place(centres, centre_id, monkeypatch):
    """Every text that is wrong for a kind of value, spread over all places of that kind, as far as there are rows."""
    # each value is judged alone here; what its column shows is tested with the columns
    monkeypatch.setattr("capla_etl.centres.submissions.judge._check_most_is_read", lambda *_: None)
    monkeypatch.setattr("capla_etl.centres.harmonising.harmonise.doubts", lambda *_: [])
    centre = centres[centre_id]
    faulty, planted = Faulty(list(centre.raws)), {}
    for kind in ("number", "integer", "date", "day", "unit", "limit"):
        # a unit or a limit is judged only where the value is one: rows of their own
        rows_of_own = {"number": 0, "unit": 1, "limit": 1}.get(kind)
        free = [
            (place, row)
            for place in centre.places
            if place.kind == kind
            for row in place.rows
            if rows_of_own in (None, row % 2)
        ]
        random.Random(centre_id).shuffle(free)
        texts = wrong_texts(free[0][0]) if free else []
        for number, (place, row) in enumerate(free[: max(80, 2 * len(texts))]):
            texts = wrong_texts(place)
            planted.setdefault((place.table, place.column, row), (place, row, texts[number % len(texts)]))
    plant_cells(faulty, list(planted.values()))
    loaded = _load(centre_id, faulty.raws)
    _assert_balanced(loaded.ledger)
    _assert_every_fault_is_in_quarantine(faulty, loaded)
    _assert_name_is_kept_nowhere(centre.spec, faulty, loaded)


@pytest.mark.parametrize("centre_id", CENTRES)
def test_words_that_no_vocabulary_knows_stop_the_centre_and_name_every_column(centres, centre_id):
    centre = centres[centre_id]
    numbers = random.Random(centre_id)
    faulty = Faulty(list(centre.raws))
    for place in (place for place in centre.places if place.kind == "word"):
        identifying = centre.spec.tables[place.table].forbidden
        free = [row for row in place.rows if row not in {cell[1] for cell in faulty.cells if cell[0] == place.table}]
        plant_cells(
            faulty, [(place, numbers.choice(free or place.rows), SECRET if identifying else numbers.choice(NO_WORD))]
        )
    with pytest.raises(CentreRefused) as refusal:
        _load(centre_id, faulty.raws)
    _assert_said_well(refusal.value, centre_id)
    for table, number, column in faulty.cells:
        file, sheet, _ = _place_of(faulty, table, number)
        assert any(file in p and sheet in p and f"column {column!r}" in p for p in refusal.value.problems), (
            column,
            str(refusal.value),
        )


def _without_source(records: list[dict]) -> Counter:
    return Counter(tuple((c, v) for c, v in record.items() if c not in fields.SOURCE_COLUMNS) for record in records)


@pytest.mark.parametrize("centre_id", CENTRES)
def test_the_order_of_rows_and_columns_and_rows_sent_twice_change_no_record(centres, centre_id):
    centre = centres[centre_id]
    numbers = random.Random(centre_id)
    faulty = Faulty(list(centre.raws))
    for raw in (raw for raw in centre.raws if raw.rows.num_rows):
        copy_rows(faulty, raw.name, numbers.choices(range(raw.rows.num_rows), k=12))
    shuffle(faulty, lambda items: numbers.sample(items, len(items)))
    loaded = _load(centre_id, faulty.raws)
    _assert_balanced(loaded.ledger)
    for raw in centre.raws:
        before, after = (
            next(row for row in x.ledger if (row["file"], row["sheet"]) == (raw.file, raw.sheet))
            for x in (centre.clean, loaded)
        )
        copies = faulty.copies.get(raw.name, 0)
        assert after == before | {c: before[c] + copies for c in ("rows_received", "rows_duplicate")}
    assert Counter(q["rule"] for q in loaded.quarantine) == Counter(q["rule"] for q in centre.clean.quarantine)
    for name, records in centre.clean.records.items():
        assert _without_source(loaded.records[name]) == _without_source(records), name


# ---------------------------------------------------------------- files


def _cut_short(content: bytes, at: int, numbers: random.Random) -> bytes:
    return content[:at]


def _with_a_hole(content: bytes, at: int, numbers: random.Random) -> bytes:
    return content[:at] + content[at + numbers.choice([1, 10, 500]) :]


def _partly_repeated(content: bytes, at: int, numbers: random.Random) -> bytes:
    return content[:at] + content[at : at + numbers.choice([1, 50, 500])] + content[at:]


def _with_a_quotation_mark(content: bytes, at: int, numbers: random.Random) -> bytes:
    return content[:at] + b'"' + content[at:]


def _with_zeros(content: bytes, at: int, numbers: random.Random) -> bytes:
    return content[:at] + bytes(50) + content[at + 50 :]


def _with_other_bits(content: bytes, at: int, numbers: random.Random) -> bytes:
    changed = bytearray(content)
    for place in [at, *(numbers.randrange(len(content)) for _ in range(numbers.choice([0, 2, 19])))]:
        changed[place] ^= 1 << numbers.randrange(8)
    return bytes(changed)


def _with_other_bytes(content: bytes, at: int, numbers: random.Random) -> bytes:
    return content[:at] + numbers.randbytes(8) + content[at:]


DAMAGE = [
    _cut_short,
    _with_a_hole,
    _partly_repeated,
    _with_a_quotation_mark,
    _with_zeros,
    _with_other_bits,
    _with_other_bytes,
]


@pytest.fixture
def copied(tmp_path):
    """Copies of a centre's submission, to be damaged: centre -> (folder, files)."""

    def copy(centre: str) -> tuple[Path, list[Path]]:
        shutil.copytree(current_submission(paths.ROOT / "data_raw" / centre), tmp_path / "2023-06-30")
        return tmp_path / "2023-06-30", sorted((tmp_path / "2023-06-30").iterdir())

    return copy


# One centre for each format.
@pytest.mark.parametrize("centre_id", ["AT01", "BR01", "CA01", "ES01", "HU01", "US01"])
def test_a_damaged_file_is_refused_by_name_or_read_with_all_its_rows_accounted_for(submission, copied, centre_id):
    spec, _ = submission[centre_id]
    folder, files = copied(centre_id)
    contents = {path: path.read_bytes() for path in files}

    @repeatable(5)
    @given(st.sampled_from(files), st.sampled_from(DAMAGE), st.floats(0, 1, exclude_max=True), st.integers(0, 10**6))
    def check(path: Path, damage, at: float, seed: int) -> None:
        packed = path.suffix == ".gz" and seed % 2
        content = gzip.decompress(contents[path]) if packed else contents[path]
        damaged = damage(content, int(at * len(content)), random.Random(seed))
        path.write_bytes(gzip.compress(damaged) if packed else damaged)
        try:
            raws = read_submission(spec, folder)
            loaded = _load(centre_id, of_some_patients(spec, raws, SOME_PATIENTS))
            _assert_balanced(loaded.ledger)
        except CentreRefused as refused:
            _assert_said_well(refused, centre_id)
            assert all(path.name in problem or "no patient could be read" in problem for problem in refused.problems), (
                str(refused)
            )
        finally:
            path.write_bytes(contents[path])

    check()


def _changed_columns(rows: list[list[str]], column: int, change: str) -> list[list[str]]:
    if change == "dropped":
        return [[cell for i, cell in enumerate(row) if i != column] for row in rows]
    if change == "renamed":
        return [[*rows[0][:column], "renamed", *rows[0][column + 1 :]], *rows[1:]]
    return [[*row, row[column]] for row in rows]


@pytest.mark.parametrize(
    ("centre_id", "encoding", "delimiter"),
    [("FR01", "cp1252", ";"), ("HU01", "cp1250", "\t"), ("US01", "utf-8", "|"), ("UK01", "utf-8-sig", ",")],
)
def test_a_column_dropped_renamed_or_sent_twice_stops_the_centre(submission, copied, centre_id, encoding, delimiter):
    spec, _ = submission[centre_id]
    folder, files = copied(centre_id)
    contents = {path: path.read_bytes() for path in files}

    @repeatable(4)
    @given(st.sampled_from(files), st.integers(0, 99), st.sampled_from(["dropped", "renamed", "twice"]))
    def check(path: Path, number: int, change: str) -> None:
        packed = path.suffix == ".gz"
        text = (gzip.decompress(contents[path]) if packed else contents[path]).decode(encoding)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        column = number % len(rows[0])
        written = io.StringIO(newline="")
        csv.writer(written, delimiter=delimiter, lineterminator="\r\n").writerows(
            _changed_columns(rows, column, change)
        )
        content = written.getvalue().encode(encoding)
        path.write_bytes(gzip.compress(content) if packed else content)
        try:
            with pytest.raises(CentreRefused) as refusal:
                read_submission(spec, folder)
        finally:
            path.write_bytes(contents[path])
        _assert_said_well(refusal.value, centre_id)
        said = (
            f"columns {column + 1}, {len(rows[0]) + 1} have duplicate names"
            if change == "twice"
            else f"column {rows[0][column]!r} is missing"
        )
        assert path.name in str(refusal.value) and said in str(refusal.value), str(refusal.value)

    check()


# ---------------------------------------------------------------- outcomes


def _drawn(strategy):
    """One example of a strategy, the same on every run."""
    examples = []

    @repeatable(1)
    @given(strategy)
    def keep(example) -> None:
        examples.append(example)

    keep()
    return examples[-1]


@pytest.fixture(scope="module")
def faulty_study(submission, _own_warehouse, tmp_path_factory) -> tuple[Path, dict[str, Faulty]]:
    """All ten submissions with many faults, through every model: the database, and what was planted by centre."""
    planted = {}
    for centre_id, (spec, raws) in submission.items():
        planted[centre_id] = _drawn(faulty_submissions(Centre(spec, raws, places(spec, raws), None), spread=4))
        _load_only(centre_id, planted[centre_id].raws)
    folder = tmp_path_factory.mktemp("faulty_study")
    with duckdb.connect(str(folder / "capla.duckdb")) as con:
        assemble(con)
    if (parsed := paths.DBT_PROJECT / "target" / "partial_parse.msgpack").exists():
        (folder / "target").mkdir()
        shutil.copy(parsed, folder / "target")
    run_dbt(folder / "capla.duckdb", folder, "run", "--select", "+patient_outcome", "+marts.patient")
    return folder / "capla.duckdb", planted


def test_no_outcome_and_no_exclusion_changes_without_an_entry_that_explains_it(faulty_study, built_warehouse):
    database, planted = faulty_study
    with duckdb.connect(str(database), read_only=True) as con:
        con.execute(f"attach '{built_warehouse}' as published (read_only)")
        unbalanced = "rows_received <> rows_loaded + rows_duplicate + rows_quarantined + rows_ignored"
        assert con.execute(f"select * from quality.ledger where {unbalanced}").fetchall() == []
        touched = [(centre, patient) for centre, faulty in planted.items() for patient in faulty.patients]
        con.register(
            "touched", pa.table({"centre_id": [c for c, _ in touched], "centre_patient_id": [p for _, p in touched]})
        )
        # patients of a new entry in the quarantine, a lost row or another patient number, and those linked to them
        con.execute(
            """create temp table explained as
            select patient_id from (
                select patient_id, file, sheet, row_number, column_name, rule from quality.quarantine
                except select patient_id, file, sheet, row_number, column_name, rule from published.quality.quarantine
            )
            union select patient_id from published.harmonised.patient join touched using (centre_id, centre_patient_id)
            union select patient_id from harmonised.patient where position(? in centre_patient_id) = 1""",
            [SECRET],
        )
        changed = {}
        for table, columns in (
            ("outcomes.patient_outcome", "*"),
            ("marts.patient", "patient_id, eligible, exclusion_reason, treatment_group, timing, delay_reason"),
        ):
            sides = [f"select {columns} from {schema}{table}" for schema in ("", "published.")]
            differing = " union ".join(f"select patient_id from (({a}) except ({b}))" for a, b in (sides, sides[::-1]))
            changed[table] = {p for (p,) in con.execute(differing).fetchall()}
        explained = {p for (p,) in con.execute("select patient_id from explained").fetchall()}
    assert {table: patients - explained for table, patients in changed.items()} == {
        "outcomes.patient_outcome": set(),
        "marts.patient": set(),
    }
    assert len(changed["outcomes.patient_outcome"]) > 10
    assert all(len(faulty.cells) >= 20 for faulty in planted.values())
