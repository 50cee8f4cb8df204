"""Identities: the key of patient_id, what becomes of birth dates, and what free text may hold; invented patients."""

import hashlib
import hmac
import json
import os
import shutil
import subprocess
from datetime import date

import duckdb
import pyarrow as pa
import pytest
from tiny_centre import load_centre

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.pseudonym import (
    DEMONSTRATION_KEY,
    KeyRefused,
    birth_date_linkage_sql,
    fingerprint,
    key_file,
    patient_id_sql,
    patient_key,
    use_key,
)
from capla_etl.centres.harmonising.synthetic import DECLARED, kind_of
from capla_etl.centres.reading.free_text import KINDS, withhold
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.submissions import kind_of_data
from capla_etl.centres.submissions.assemble import assemble
from capla_etl.tables.labels import about_the_data

OWN_KEY = hashlib.sha256(b"a key of our own").digest()


@pytest.fixture(autouse=True)
def no_key_from_outside(monkeypatch):
    monkeypatch.delenv("CAPLA_PATIENT_KEY", raising=False)
    monkeypatch.delenv("CAPLA_PATIENT_KEY_FILE", raising=False)


@pytest.fixture
def key_in_file(tmp_path, monkeypatch):
    """Writes a key file and points the environment to it."""

    def write(text: str | bytes, mode: int = 0o600):
        path = tmp_path / "own.key"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        monkeypatch.setenv("CAPLA_PATIENT_KEY_FILE", str(path))
        return path

    return write


# ---------------------------------------------------------------- the key


def test_real_data_get_a_key_of_their_own_on_first_use_and_keep_it(centre, tmp_path, capsys):
    key = patient_key()
    assert key_file() == tmp_path / "patient_id.key"
    assert len(key) == 32 and key != DEMONSTRATION_KEY and bytes.fromhex(key_file().read_text()) == key
    assert key_file().stat().st_mode & 0o777 == 0o600
    said = capsys.readouterr().err
    assert str(key_file()) in said and key.hex() not in said
    assert patient_key() == key
    assert capsys.readouterr().err == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data_raw", "patient_id.key"]


def test_data_that_declare_themselves_synthetic_use_the_demonstration_key(centre):
    (paths.data_raw() / "SYNTHETIC").write_text("made up")
    assert patient_key() == DEMONSTRATION_KEY
    assert not key_file().exists()


def test_a_folder_of_which_nothing_is_listed_counts_as_real_and_is_refused(centre, key_in_file):
    """Whatever the key: a file SYNTHETIC that was left in, or copied to, a folder of other data covers none of them."""
    centre.spec()
    mark = paths.data_raw() / "SYNTHETIC"
    shutil.copy(paths.ROOT / "data_raw" / "SYNTHETIC", mark)
    for _ in range(2):
        with pytest.raises(CentreRefused, match="count as real.*sha256sum XX01"):
            load_centre("XX01")
        assert not list(paths.centre_loads().glob("*/load.json"))
        key_in_file(OWN_KEY.hex())
    (centre.folder / "codebook.md").touch()
    mark.write_text(f"{hashlib.sha256(b'').hexdigest()}  XX01/codebook.md\n")
    with pytest.raises(CentreRefused, match="count as real"):
        load_centre("XX01")


def test_a_centre_that_is_not_listed_beside_one_that_is_goes_on_and_every_output_says_so(centre):
    centre.spec()
    (paths.data_raw() / "YY01").mkdir()
    (paths.data_raw() / "YY01" / "codebook.md").write_text("of made-up data")
    sha = hashlib.sha256(b"of made-up data").hexdigest()
    (paths.data_raw() / "SYNTHETIC").write_text(f"{sha}  YY01/codebook.md\n")
    load_centre("XX01")
    assert kind_of_data.sentence() == "Synthetic data (but nothing says so of XX01)."
    assert about_the_data().startswith("Synthetic data (but nothing says so of XX01); agreement with")


def test_a_folder_that_is_called_synthetic_beside_a_key_of_real_data_is_refused(centre, capsys):
    """A stray file SYNTHETIC would make the numbers of real patients with the public key."""
    patient_key()
    (paths.data_raw() / "SYNTHETIC").touch()
    assert "is the key of real data" in _refused()


def test_a_load_of_an_earlier_version_is_synthetic_by_its_key(centre):
    centre.spec()
    (paths.data_raw() / "SYNTHETIC").write_text("made up")
    load_centre("XX01")
    [receipt] = paths.centre_loads().glob("XX01/load.json")
    content = json.loads(receipt.read_text())
    for key, synthetic in ((DEMONSTRATION_KEY, True), (OWN_KEY, False)):
        old = {name: value for name, value in content.items() if name != "synthetic"}
        receipt.write_text(json.dumps(old | {"key_fingerprint": fingerprint(key)}))
        assert kind_of_data.synthetic() == synthetic


def test_a_fault_of_a_file_is_named_before_its_origin_is_asked(centre):
    centre.spec()
    centre.write("patients.csv", "id;name\nA;B")
    (paths.data_raw() / "SYNTHETIC").write_text("made up")
    with pytest.raises(CentreRefused, match="columns are missing"):
        load_centre("XX01")


def test_a_listed_file_covers_its_centre_and_what_it_sends_later(centre):
    centre.spec()
    assert not kind_of_data.synthetic()
    declare = f"cd {paths.data_raw()} && sha256sum XX01/*/* >> SYNTHETIC"
    subprocess.run(["bash", "-c", declare], check=True)
    assert kind_of_data.synthetic()  # nothing is loaded yet: the folder says so
    load_centre("XX01")
    assert kind_of_data.synthetic() and kind_of_data.in_title() == " (synthetic data)"
    (centre.folder / "2021-06-30").mkdir()
    (centre.folder / "2021-06-30" / "patients.csv").write_text((centre.submission / "patients.csv").read_text() + " ")
    load_centre("XX01")
    assert kind_of_data.sentence() == "Synthetic data: no record of a real person."


def test_the_sentence_follows_the_loads_and_not_a_file_that_was_put_there_later(centre):
    centre.spec()
    load_centre("XX01")
    shutil.copy(paths.ROOT / "data_raw" / "SYNTHETIC", paths.data_raw())
    assert (kind_of_data.short(), kind_of_data.in_title()) == ("Data of real patients", "")
    assert about_the_data() == "Data of real patients."


def test_the_spec_covers_nothing_as_it_is_made_to_be_copied(centre):
    centre.spec()
    sha = hashlib.sha256((centre.folder / "centre.yml").read_bytes()).hexdigest()
    (paths.data_raw() / "SYNTHETIC").write_text(f"{sha}  XX01/centre.yml\n")
    with pytest.raises(CentreRefused, match="count as real"):
        load_centre("XX01")


def test_every_centre_that_ships_is_listed(monkeypatch):
    monkeypatch.delenv("CAPLA_DATA_RAW", raising=False)
    folders = sorted(p.name for p in paths.data_raw().iterdir() if p.is_dir())
    assert len(folders) == 10 and all(kind_of(folder) == DECLARED for folder in folders)


def test_the_data_that_ship_declare_themselves_synthetic(monkeypatch):
    monkeypatch.delenv("CAPLA_DATA_RAW", raising=False)
    assert patient_key() == DEMONSTRATION_KEY


@pytest.mark.parametrize("text", [OWN_KEY.hex(), OWN_KEY.hex().upper() + "\n"])
def test_a_key_from_a_file_or_the_environment_is_used(centre, key_in_file, monkeypatch, text):
    key_in_file(text)
    assert patient_key() == OWN_KEY
    monkeypatch.delenv("CAPLA_PATIENT_KEY_FILE")
    monkeypatch.setenv("CAPLA_PATIENT_KEY", text)
    assert patient_key() == OWN_KEY
    (paths.data_raw() / "SYNTHETIC").write_text("made up")
    assert patient_key() == OWN_KEY


def _refused() -> str:
    with pytest.raises(KeyRefused) as refused:
        patient_key()
    return str(refused.value)


@pytest.mark.parametrize("by", ["file", "environment"])
def test_the_demonstration_key_is_refused_for_data_that_are_not_synthetic(centre, key_in_file, monkeypatch, by):
    if by == "file":
        key_in_file(DEMONSTRATION_KEY.hex())
    else:
        monkeypatch.setenv("CAPLA_PATIENT_KEY", DEMONSTRATION_KEY.hex())
    assert "synthetic data only" in _refused()
    (paths.data_raw() / "SYNTHETIC").write_text("made up")
    assert patient_key() == DEMONSTRATION_KEY


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (OWN_KEY[:15].hex(), 0o600, "has 15 bytes; expected at least 16"),
        ("", 0o600, "has 0 bytes"),
        ("correct horse battery staple", 0o600, "hexadecimal digits only"),
        (b"\xff\xfe\x00", 0o600, "hexadecimal digits only"),
        (OWN_KEY.hex(), 0o604, "chmod 600"),
        (OWN_KEY.hex(), 0o640, "chmod 600"),
        (OWN_KEY.hex(), 0o620, "chmod 600"),
        (OWN_KEY.hex(), 0o666, "chmod 600"),
    ],
)
def test_a_key_that_is_short_no_key_or_open_to_all_is_refused_without_being_shown(
    centre, key_in_file, text, mode, said
):
    path = key_in_file(text, mode)
    message = _refused()
    assert said in message and str(path) in message
    assert not text or (text if isinstance(text, str) else "\xff") not in message


@pytest.mark.parametrize("synthetic", [True, False])
@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        b"\xff" * 16,
        bytes(31) + b"\1",
        bytes.fromhex("0123456789abcdef") * 2,
        OWN_KEY[:12] * 3,
        bytes(range(32)),
        bytes(range(64, 0, -2)),
        DEMONSTRATION_KEY + bytes(16),
        bytes(3) + DEMONSTRATION_KEY,
        DEMONSTRATION_KEY * 2,
        DEMONSTRATION_KEY + b"\n",
        DEMONSTRATION_KEY + OWN_KEY,
        DEMONSTRATION_KEY[:16],
        DEMONSTRATION_KEY[16:],
        DEMONSTRATION_KEY[::-1],
        DEMONSTRATION_KEY.upper(),
        b"correct horse battery staple",
    ],
)
def test_a_key_that_can_be_guessed_is_refused(centre, monkeypatch, key, synthetic):
    if synthetic:
        shutil.copy(paths.ROOT / "data_raw" / "SYNTHETIC", paths.data_raw())
    monkeypatch.setenv("CAPLA_PATIENT_KEY", key.hex())
    message = _refused()
    assert "others can guess it" in message and "openssl rand -hex 32" in message and key.hex() not in message


def test_random_keys_are_not_taken_for_guessable_ones(centre, monkeypatch):
    for size in (16, 32, 64):
        for number in range(300):
            key = b"".join(hashlib.sha256(b"%d %d" % (number, part)).digest() for part in (0, 1))[:size]
            monkeypatch.setenv("CAPLA_PATIENT_KEY", key.hex())
            assert patient_key() == key


def test_a_key_file_that_is_not_there_or_is_a_folder_is_refused(centre, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPLA_PATIENT_KEY_FILE", str(tmp_path / "absent.key"))
    assert "openssl rand -hex 32" in _refused()
    monkeypatch.setenv("CAPLA_PATIENT_KEY_FILE", str(tmp_path))
    assert "cannot be read" in _refused()
    monkeypatch.setenv("CAPLA_PATIENT_KEY", OWN_KEY.hex())
    assert "both set" in _refused()


def test_a_key_is_kept_neither_under_version_control_nor_in_the_warehouse(centre, tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    assert "under version control" in _refused() and not key_file().exists()
    (tmp_path / ".git").rmdir()
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    assert "inside the warehouse" in _refused()
    monkeypatch.setenv("CAPLA_PATIENT_KEY_FILE", str(paths.ROOT / "patient_id.key"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    assert "under version control" in _refused()


def test_a_lost_key_is_not_silently_replaced(centre):
    centre.spec()
    load_centre("XX01")
    key_file().unlink()
    with pytest.raises(CentreRefused, match="Put the key back"):
        load_centre("XX01")
    assert not key_file().exists()


def test_loads_of_different_keys_are_not_put_together(centre, monkeypatch):
    centre.spec()
    load_centre("XX01")
    other = paths.data_raw() / "XX02"
    other.symlink_to(centre.folder)
    shutil.copytree(paths.centre_loads() / "XX01", paths.centre_loads() / "XX02")
    receipt = paths.centre_loads() / "XX02" / "load.json"
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | {"key_fingerprint": "another"}))
    with pytest.raises(CentreRefused, match="different keys"), duckdb.connect() as con:
        assemble(con)


def test_no_file_of_a_load_holds_the_key(centre):
    centre.spec()
    load_centre("XX01")
    key = patient_key()
    for path in paths.loads().rglob("*"):
        assert path.is_dir() or not any(form in path.read_bytes() for form in (key, key.hex().encode())), path


@pytest.mark.parametrize("length", [16, 64, 65])
def test_the_hash_is_hmac_sha_256_for_keys_of_any_length(length):
    key = os.urandom(length)
    con = duckdb.connect()
    use_key(con, key)
    pseudonym, linkage = con.execute(
        f"select {patient_id_sql(repr('FR01'), repr('N° 1'))}, {birth_date_linkage_sql('date ' + repr('1970-02-01'))}"
    ).fetchone()
    assert pseudonym == hmac.new(key, "FR01|N° 1".encode(), hashlib.sha256).hexdigest()[:16]
    assert linkage == hmac.new(key, b"birth_date|1970-02-01", hashlib.sha256).hexdigest()[:16]


# ---------------------------------------------------------------- birth dates

SESSIONS = """
    pex:
      file: pex.csv
      format: {type: delimited, encoding: utf-8, delimiter: ";"}
      key: id
      date_format: "%d/%m/%Y"
      records:
        - table: tpe_session
          fields: {session_date: date}
"""


@pytest.mark.parametrize(
    ("born", "stated", "first_session", "age"),
    [
        ("01/02/1970", "01/02/2020", "", 50),  # the birthday itself
        ("02/02/1970", "01/02/2020", "", 49),  # the day before it
        ("02/02/1970", "01/02/2020", "02/02/2020", 50),  # the sessions decide
        ("29/02/2000", "28/02/2019", "", 18),
        ("29/02/2000", "01/03/2019", "", 19),
        ("", "01/02/2020", "", None),
        ("01/02/1970", "", "", None),
    ],
)
def test_the_age_is_in_completed_years_at_the_first_exchange(centre, loaded, born, stated, first_session, age):
    centre.spec(SESSIONS)
    centre.write("patients.csv", f"id;name;sex;born;tpe;dead;seen\nA;x;F;{born};{stated};;01/06/2020")
    centre.write(
        "pex.csv", f"id;date\nA;{first_session or '05/05/2020'}\n" if first_session else "id;date\nZ;05/05/2020"
    )
    load_centre("XX01")
    [patient] = loaded("harmonised.patient")
    assert patient["age_years_at_first_tpe"] == age
    assert (patient["birth_date_linkage"] is None) == (born == "")
    assert not {"birth_date", "birth_year"} & set(patient)


def test_where_only_the_age_is_sent_it_is_the_age_as_stated(centre, loaded):
    fields = (
        "{sex: {column: sex, vocabulary: {F: female}}, birth_year: {column: born}, "
        "age_years_reported: {column: age, unit: years}, first_tpe_date: tpe}"
    )
    centre.spec(
        patients=f"""
  patients:
    file: patients.csv
    format: {{type: delimited, encoding: utf-8, delimiter: ";"}}
    key: id
    date_format: "%d/%m/%Y"
    records:
      - table: patient
        fields: {fields}
"""
    )
    centre.write("patients.csv", "id;sex;born;age;tpe\nA;F;1970;49;01/03/2020\nB;F;1066;50;01/03/2020")
    load_centre("XX01")
    patients = {p["centre_patient_id"]: p for p in loaded("harmonised.patient")}
    assert {k: (p["age_years_at_first_tpe"], p["birth_date_linkage"]) for k, p in patients.items()} == {
        "A": (49, None),
        "B": (50, None),
    }
    assert [row["born"] for row in loaded("raw.xx01__patients")] == ["(withheld: birth year)"] * 2
    assert [(q["raw_value"], q["rule"]) for q in loaded("quality.quarantine")] == [
        ("(withheld: birth year)", "out_of_range")
    ]


def test_equal_birth_dates_have_equal_linkage_and_no_table_of_a_load_holds_one(centre, loaded):
    centre.spec()
    centre.write(
        "patients.csv",
        "id;name;sex;born;tpe;dead;seen\nA;x;F;01/02/1970;01/03/2020;;\nB;x;F;01/02/1970;01/03/2020;;\n"
        "C;x;F;02/02/1970;01/03/2020;;\nD;x;F;31/02/1971;01/03/2020;;\nE;x;F;;01/03/2020;;",
    )
    load_centre("XX01")
    linkage = {p["centre_patient_id"]: p["birth_date_linkage"] for p in loaded("harmonised.patient")}
    assert linkage["A"] == linkage["B"] != linkage["C"] and linkage["D"] is linkage["E"] is None
    assert {row["id"]: row["born"] for row in loaded("raw.xx01__patients")} == dict.fromkeys(
        "ABCD", "(withheld: birth date)"
    ) | {"E": ""}
    [refused] = loaded("quality.quarantine")
    assert (refused["column_name"], refused["raw_value"], refused["rule"]) == (
        "born",
        "(withheld: birth date)",
        "not_a_date",
    )
    for path in (paths.centre_loads() / "XX01").glob("*.parquet"):
        rows = str(loaded(path.stem))
        assert not any(text in rows for text in ("1970", "1971")), path.name


def test_an_age_or_a_linkage_cannot_be_read_from_a_file(centre):
    centre.spec(
        patients="""
  patients:
    file: patients.csv
    format: {type: delimited, encoding: utf-8, delimiter: ";"}
    key: id
    records:
      - table: patient
        fields: {birth_date_linkage: name}
"""
    )
    with pytest.raises(CentreRefused, match="birth_date_linkage: unknown field"):
        load_spec(centre.folder / "centre.yml")


# ---------------------------------------------------------------- free text

WITH_TEXT = """
  patients:
    file: patients.csv
    format: {type: delimited, encoding: utf-8, delimiter: ";"}
    key: id
    date_format: "%d/%m/%Y"
    free_text: {remark: remarks}
    ignored: {other: not a study field}
    forbidden: {name: name, phone: telephone number}
    records:
      - table: patient
        fields: {birth_date: born, first_tpe_date: tpe}
"""
EVENTS_WITH_TEXT = """
    events:
      file: events.csv
      format: {type: delimited, encoding: utf-8, delimiter: ";"}
      key: id
      date_format: "%d/%m/%Y"
      free_text: {what: description of the event}
      records:
        - table: adverse_event
          fields: {kind: {constant: other}, event_date: date}
"""


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        # what a physician may write
        ("patient transféré; suivi à Lyon", []),
        ("plaquettes 12, 30, 60 puis 150 G/L; LDH 1240", []),
        ("EP du 10/01/2020 au 14/01/2020, puis le 16.01.20", []),
        ("exchange 2020-01-10, 2020-01-11 and 2020-01-12", []),
        ("12000 platelets per mm3, 282000 on day 7; volume 2.500", []),
        ("ADAMTS13 < 5 %, anti-ADAMTS13 28,2 U/mL", []),
        ("naît une éruption; ne répond pas le 12/03/2020", []),
        ("- stable, + 2 doses", []),
        # telephone numbers
        ("rappeler au 06 11 22 33 44", ["telephone number"]),
        ("06.11.22.33.44", ["telephone number"]),
        ("Tel. +49 (221) 478-0", ["telephone number"]),
        ("call 410-555-0123 or (410) 555-0123", ["telephone number"]),
        ("ligar 11 91234-5678", ["telephone number"]),
        ("llamar al 612 345 672", ["telephone number"]),
        ("Handy der Tochter: 0172/1234567", ["telephone number", "long number"]),
        ("+44 20 7946 0000", ["telephone number"]),
        # other identifiers
        ("écrire à jeanne@example.org", ["e-mail address"]),
        ("see https://example.org/p/1", ["link"]),
        ('=HYPERLINK("http://x";"voir")', ["link", "formula"]),
        ("@SUM(A1)", ["formula"]),
        ("NIR 2700275123456", ["personal number", "long number"]),
        # the patient's own birth date, in any writing
        ("née le 01/02/1970", ["birth date"]),
        ("born 1970-02-01", ["birth date"]),
        ("1.2.70", ["birth date"]),
        ("2/1/1970", ["birth date"]),
        ("1er février 1970", ["birth date"]),
        ("February 1, 1970", ["birth date"]),
        ("19700201", ["birth date", "long number"]),
        ("sister geb. 05.06.1981", ["birth date"]),
        # what the forbidden columns of the row hold, whatever the case, accents, order and ending
        ("Mme DÜPONT vue ce jour", ["identifying value", "title and name"]),
        ("suivie par son mari, M. Dupont", ["identifying value", "title and name"]),
        ("Duponts Tochter informiert", ["identifying value"]),
        ("joindre anne-marie", ["identifying value"]),
        ("poste 600 000 003", ["identifying value", "telephone number"]),
    ],
)
def test_a_text_is_withheld_exactly_when_it_could_identify(centre, text, kinds):
    centre.spec(patients=WITH_TEXT)
    spec = load_spec(centre.folder / "centre.yml")
    row = {
        "id": "A",
        "name": "Dupont Anne-Marie",
        "phone": "0600000003",
        "born": "01/02/1970",
        "tpe": "10/01/2020",
        "remark": text,
        "other": "",
    }
    empty = dict.fromkeys(row, "") | {"id": "B", "name": "Autre", "born": "03/04/1980"}
    rows = pa.table({c: [row[c], empty[c]] for c in row} | {"source_row": pa.array([2, 3], pa.int64())})
    scanned, counts = withhold(spec, {"patients": rows})
    found = [k for k in KINDS if k in kinds]
    assert scanned["patients"]["remark"].to_pylist() == [f"(withheld: {', '.join(found)})" if kinds else text, ""]
    assert scanned["patients"].drop_columns(["remark"]).equals(rows.drop_columns(["remark"]))
    [counted] = counts["patients"]
    assert {c: n for c, n in counted.items() if n} == {"column_name": "remark", "texts": 1} | (
        {"withheld": 1} if kinds else {}
    ) | {KINDS[k]: 1 for k in found}


def test_texts_of_every_file_are_held_against_what_identifies_the_same_patient(centre, loaded):
    centre.spec(EVENTS_WITH_TEXT, patients=WITH_TEXT)
    centre.write(
        "patients.csv",
        "id;name;phone;born;tpe;remark;other\nA;Dupont;0600000001;01/02/1970;10/01/2020;calm;\n"
        "B;Martin;0600000002;03/04/1980;11/01/2020;;\n;Sans;;;;Sans numéro;",
    )
    centre.write(
        "events.csv",
        "id;date;what\nA;12/01/2020;Dupont fell\nA;13/01/2020;in Saint-Martin\nB;14/01/2020;epistaxis\n"
        "B;15/01/2020;since 1980\nZ;;Dupont",
    )
    load_centre("XX01")
    remarks = [row["remark"] for row in loaded("raw.xx01__patients")]
    assert remarks == ["calm", "", "(withheld: identifying value)"]
    events = [row["what"] for row in loaded("raw.xx01__events")]
    assert events == [
        "(withheld: identifying value)",
        "in Saint-Martin",
        "epistaxis",
        "(withheld: birth date)",
        "Dupont",
    ]
    scan = {row["column_name"]: row for row in loaded("quality.free_text_scan")}
    assert {c: (r["texts"], r["withheld"], r["identifying_values"], r["birth_dates"]) for c, r in scan.items()} == {
        "remark": (2, 1, 1, 0),
        "what": (5, 2, 1, 1),
    }
    assert scan["what"]["file"] == "events.csv" and scan["what"]["submission"] == date(2020, 12, 31)


def test_free_text_is_declared_as_such(centre):
    centre.spec(patients=WITH_TEXT.replace("not a study field", "Free text"))
    with pytest.raises(CentreRefused, match="move it to free_text"):
        load_spec(centre.folder / "centre.yml")
    centre.spec(patients=WITH_TEXT.replace("other: not", "remark: not"))
    with pytest.raises(CentreRefused, match="duplicate column"):
        load_spec(centre.folder / "centre.yml")
