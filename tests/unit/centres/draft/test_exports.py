"""Exports of REDCap and SDTM, Japanese files and archives: what they are is recognised, and what is open is asked."""

import csv
import io
import unicodedata
import zipfile
from datetime import date, timedelta

import pandas as pd
import pyreadstat
import pytest
import yaml
from tiny_centre import load_centre

from capla_etl.centres.draft import draft_centre
from capla_etl.centres.reading.sent_files import member_name, sent_files
from capla_etl.centres.spec.grammar import TO_DECIDE

DAYS = [date(2020, 1, 10) + timedelta(days=i) for i in range(30)]


def _csv(rows, delimiter=","):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


def _records(draft, name):
    return [r for t in draft.tables for r in t.records if name in r.fields]


def _field(draft, name):
    return _records(draft, name)[0].fields[name]


LABELS = ["Record ID", "Event Name", "Repeat Instrument", "Repeat Instance", "Date of birth", "Sex"]
LABELS += ["First plasma exchange", "Died?", "Last contact", "Date", "Platelets (10^9/L)", "Date", "Volume (mL)"]


def _longitudinal():
    """Two rows a patient with blank instrument (baseline, follow-up), five of results and three of exchanges."""
    rows = [LABELS]
    for i in range(9):
        born, first = f"19{50 + i}-03-13", f"2020-01-{10 + i}"
        rows.append([f"P{i}", "Baseline", "", "", born, ["Female", "Male"][i % 2], first, *[""] * 6])
        rows.append([f"P{i}", "Follow-up", "", "", "", "", "", "No", "2020-09-13", *[""] * 4])
        rows += [[f"P{i}", "Baseline", "Labs", k, *[""] * 5, DAYS[i + k], 20 + 9 * k, "", ""] for k in range(5)]
        rows += [[f"P{i}", "Baseline", "Pex", k, *[""] * 7, DAYS[i + k], 2500 + k] for k in range(3)]
    return rows


def test_each_kind_of_row_is_dated_by_the_column_that_is_filled_in_it(tmp_path):
    (tmp_path / "data.csv").write_text(_csv(_longitudinal()))
    draft = draft_centre(tmp_path)
    assert _field(draft, "result_date").source["column"] == "Date"
    (exchanges,) = _records(draft, "session_date")
    assert (exchanges.rows, exchanges.fields["session_date"].source["column"]) == ("pex", "Date (2)")
    assert "GUESS" in exchanges.fields["session_date"].note
    assert _field(draft, "first_tpe_date").source["column"] == "First plasma exchange"


def test_a_date_that_a_patient_has_once_is_no_session(tmp_path):
    rows = [["Record ID", "Repeat Instrument", "First plasma exchange", "Date", "Platelets (10^9/L)"]]
    for i in range(9):
        rows += [[f"P{i}", "", DAYS[i], "", ""], *([f"P{i}", "labs", "", DAYS[i + k], 20 + k] for k in range(3))]
    (tmp_path / "data.csv").write_text(_csv(rows))
    draft = draft_centre(tmp_path)
    assert _records(draft, "session_date") == []
    assert TO_DECIDE in draft.tables[0].ignored["First plasma exchange"]


def test_every_entry_says_why_it_is_there(tmp_path):
    (tmp_path / "data.csv").write_text(_csv(_longitudinal()))
    draft = draft_centre(tmp_path)
    notes = [e.note for t in draft.tables for r in t.records for e in r.fields.values()]
    assert notes and all(note for note in notes)


def test_the_events_of_a_patient_are_records_of_their_own_and_load(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    folder = tmp_path / "data_raw" / "GB91" / "2023-06-30"
    folder.mkdir(parents=True)
    (folder / "DATA_2023-06-30_1012.csv").write_text(_csv(_longitudinal()))
    draft = draft_centre(folder.parent)
    baseline, follow_up = _records(draft, "birth_date")[0], _records(draft, "died")[0]
    assert baseline.present == {"column": "Event Name", "yes": ["Baseline"], "no": ["Follow-up"]}
    assert follow_up.present == {"column": "Event Name", "yes": ["Follow-up"], "no": ["Baseline"]}
    decided = draft.centre_yml.replace("name: TO_DECIDE, country: TO_DECIDE", "name: Town, country: GB")
    for name in ("tpe_session", "drug_course", "adverse_event"):
        decided = decided.replace(f"{name}: TO_DECIDE", f"{name}: none")
    (folder.parent / "centre.yml").write_text(decided, encoding="utf-8")
    load = load_centre("GB91")
    rows = {name: load.rows[name] for name in ("patient", "lab_result", "tpe_session")}
    assert rows == {"patient": 9, "lab_result": 45, "tpe_session": 27}


DICTIONARY = [
    ["Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label"],
    *([f"v{i}", "baseline", "", "text", f"Label {i}"] for i in range(9)),
]
TABLE = [["record_id", "sex", "dob"], *([f"P{i}", "FM"[i % 2], f"1970-01-{10 + i}"] for i in range(9))]


def test_a_data_dictionary_is_known_for_what_it_is_and_any_other_file_is_to_decide(tmp_path):
    (tmp_path / "dictionary.csv").write_text(_csv(DICTIONARY))
    (tmp_path / "patients.csv").write_text(_csv(TABLE))
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    ignored = yaml.safe_load(draft_centre(tmp_path).centre_yml)["ignored_files"]
    assert ignored["letter.pdf"].startswith(TO_DECIDE) and set(ignored) == {"letter.pdf", "dictionary.csv"}
    assert (
        ignored["dictionary.csv"].startswith("a REDCap data dictionary") and TO_DECIDE not in ignored["dictionary.csv"]
    )


def test_a_member_that_is_no_table_is_ignored_by_its_own_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("patients.csv", _csv(TABLE))
        archive.writestr("read me.pdf", b"%PDF-1.7")
    ignored = yaml.safe_load(draft_centre(tmp_path).centre_yml)["ignored_files"]
    assert list(ignored) == ["export.zip/read me.pdf"]


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["DATA_2023-06-30_1012.csv"], ["DATA_*.csv"]),
        (["DATA_20230630T101233.csv"], ["DATA_*.csv"]),
        (["labs 30.06.2023.csv", "labs.csv"], ["labs *.csv", "labs.csv"]),
        (["検査_2023年6月30日.csv"], ["検査_*.csv"]),
        (["labs_2023-01-31.csv", "labs_2023-06-30.csv"], ["labs_2023-01-31.csv", "labs_2023-06-30.csv"]),
        (["2023-06-30.csv"], ["2023-06-30.csv"]),
        (["study12345678.csv"], ["study12345678.csv"]),
        (["labs[1].csv"], ["labs[[]1].csv"]),
    ],
)
def test_a_stamp_in_a_name_becomes_a_star_where_it_fits_one_file_only(tmp_path, names, patterns):
    for name in names:
        (tmp_path / name).write_text(_csv(TABLE))
    assert sorted(t.file for t in draft_centre(tmp_path).tables) == sorted(patterns)


def test_stamps_of_an_archive_and_its_members_become_stars(tmp_path):
    with zipfile.ZipFile(tmp_path / "EXPORT_2023-06-30_1412.zip", "w") as archive:
        for name in ("baseline", "followup"):
            archive.writestr(f"X_{name}_2023-06-30_1412.csv", _csv(TABLE))
    draft = draft_centre(tmp_path)
    assert [t.file for t in draft.tables] == ["EXPORT_*.zip/X_baseline_*.csv", "EXPORT_*.zip/X_followup_*.csv"]
    assert [t.name for t in draft.tables] == ["x_baseline", "x_followup"]


@pytest.mark.parametrize("name", ["検査", "table", "2023 labs", "order", "лаборатория"])
def test_names_of_tables_can_be_used_and_read(tmp_path, name):
    rows = [["patient_id", "date", "PLT (10^9/L)"], *([f"P{i % 3}", DAYS[i], 20 + i] for i in range(9))]
    (tmp_path / f"{name}.csv").write_text(_csv(rows))
    (table,) = draft_centre(tmp_path).tables
    expected = {"検査": "labs", "лаборатория": "labs", "table": "file_table", "2023 labs": "file_2023_labs"}
    assert table.name == (expected | {"order": "file_order"})[name]


def _archive(path, names):
    """An archive whose names are bytes in an encoding that it does not say, as Windows writes them."""
    with zipfile.ZipFile(path, "w") as archive:
        for i, _ in enumerate(names):
            archive.writestr(f"{i}" * len(names[i]), _csv(TABLE))
    content = path.read_bytes()
    for i, name in enumerate(names):
        content = content.replace(f"{i}".encode() * len(name), name)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("患者.csv", "cp932"),
        ("検査データ_2023.csv", "cp932"),
        ("表.csv", "cp932"),  # its second byte is a backslash
        ("提出/有害事象.csv", "cp932"),
        ("患者数据.csv", "gb18030"),
        ("Köln.csv", "cp437"),
        ("Größe_für_Zürich.csv", "cp437"),
        ("résumé_été.csv", "cp437"),
        ("für.csv", "cp1252"),
        ("données.csv", "cp1252"),
        ("患者.csv", "utf-8"),
        ("labs.csv", "ascii"),
    ],
)
def test_names_in_an_archive_are_read_in_the_encoding_of_the_computer_that_wrote_them(tmp_path, name, encoding):
    _archive(tmp_path / "a.zip", [name.encode(encoding)])
    assert [file.name for file in sent_files(tmp_path / "a.zip")] == [f"a.zip/{name}"]
    assert [t.found.file for t in draft_centre(tmp_path).tables] == [f"a.zip/{name}"]


def test_a_name_that_says_that_it_is_utf_8_is_taken_as_it_is(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("患者_Köln.csv", "x")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert member_name(archive.infolist()[0]) == "患者_Köln.csv"


def test_typed_files_in_shift_jis_are_drafted_with_their_encoding(tmp_path):
    sexes = ["女", "男"] * 6
    frame = pd.DataFrame({"ID": [f"P{i}" for i in range(12)], "SEX": sexes, "CAUSE": ["敗血症", "出血"] * 6})
    frame = frame.map(lambda text: text.encode("cp932").decode("latin-1"))
    pyreadstat.write_xport(frame, tmp_path / "a.xpt", file_format_version=5)
    content = (tmp_path / "a.xpt").read_bytes()
    for text in ("女", "男", "敗血症", "出血"):
        wrong = text.encode("cp932").decode("latin-1").encode("utf-8")
        content = content.replace(wrong, text.encode("cp932").ljust(len(wrong)))
    (tmp_path / "a.xpt").write_bytes(content)
    (table,) = draft_centre(tmp_path).tables
    assert table.found.format.encoding == "cp932"
    assert set(table.columns["SEX"].texts) == {"女", "男"}


def test_typed_files_in_plain_letters_need_no_encoding(tmp_path):
    frame = pd.DataFrame({"ID": [f"P{i}" for i in range(9)], "SEX": "F"})
    pyreadstat.write_xport(frame, tmp_path / "a.xpt", file_format_version=5)
    assert draft_centre(tmp_path).tables[0].found.format.encoding is None


PATIENTS = [
    "症例番号",
    "性別",
    "生年月日",
    "初発・再発",
    "転帰",
    "カプラシズマブ開始日",
    "カプラシズマブ終了日",
    "リツキシマブ投与日",
]


def _japanese(separator="、", outcome=("生存", "死亡")):
    rows = [PATIENTS]
    for i in range(12):
        days = separator.join(f"{DAYS[i + 7 * k]:%Y/%m/%d}" for k in range(2 + i % 2))
        first, last = f"{DAYS[i]:%Y/%m/%d}", f"{DAYS[i + 9]:%Y/%m/%d}"
        rows.append(
            [f"N{i:03}", "女男"[i % 2], f"1970/03/{10 + i}", ["初発", "再発"][i % 2], outcome[i % 2], first, last, days]
        )
    return rows


def test_japanese_words_are_known(tmp_path):
    (tmp_path / "患者.csv").write_text(_csv(_japanese()), encoding="cp932")
    draft = draft_centre(tmp_path)
    assert _field(draft, "died").source["vocabulary"] == {"生存": "no", "死亡": "yes"}
    assert _field(draft, "first_episode").source["vocabulary"] == {"初発": "yes", "再発": "no"}
    capla = next(r for r in _records(draft, "drug") if r.fields["drug"].source == {"constant": "caplacizumab"})
    assert (capla.fields["start_date"].source["column"], capla.fields["end_date"].source["column"]) == (
        "カプラシズマブ開始日",
        "カプラシズマブ終了日",
    )


@pytest.mark.parametrize("header", ["alive", "生存", "生存の有無", "survival"])
def test_a_question_whether_a_patient_lives_is_not_taken_for_one_whether_she_died(tmp_path, header):
    rows = [[f"P{i}", "FM"[i % 2], f"1970-03-{10 + i}", ["yes", "no"][i % 2]] for i in range(12)]
    (tmp_path / "a.csv").write_text(_csv([["patient_id", "sex", "dob", header], *rows]), encoding="utf-8")
    draft = draft_centre(tmp_path)
    assert _records(draft, "died") == [] and draft.tables[0].ignored[header].startswith(TO_DECIDE)


@pytest.mark.parametrize("separator", ["、", "，", "; ", " + ", " und ", "\n", "|", "・", " "])
def test_several_dates_in_a_cell_are_never_free_text(tmp_path, separator):
    (tmp_path / "a.csv").write_text(_csv(_japanese(separator)), encoding="utf-8")
    draft = draft_centre(tmp_path)
    assert draft.tables[0].free_text == {}
    (rituximab,) = [r for r in _records(draft, "start_date") if r.fields["drug"].source["constant"] == "rituximab"]
    source = rituximab.fields["start_date"].source
    assert source["separator"] == unicodedata.normalize("NFKC", separator)
    assert "GUESS" in rituximab.fields["start_date"].note


def test_a_separator_that_stands_in_the_dates_too_parts_nothing(tmp_path):
    (tmp_path / "a.csv").write_text(_csv(_japanese(" / ")), encoding="utf-8")
    (table,) = draft_centre(tmp_path).tables
    assert table.free_text == {} and table.ignored["リツキシマブ投与日"].startswith(TO_DECIDE)


def test_several_dates_under_an_unknown_header_are_to_decide_with_their_separator(tmp_path):
    rows = [[*row[:-1], "xyz" if i == 0 else row[-1]] for i, row in enumerate(_japanese())]
    (tmp_path / "a.csv").write_text(_csv(rows), encoding="utf-8")
    (table,) = draft_centre(tmp_path).tables
    assert table.ignored["xyz"].startswith(TO_DECIDE) and "separator: '、'" in table.ignored["xyz"]


def test_no_comment_claims_what_unread_columns_may_contradict(tmp_path):
    rows = [[f"P{i}", "FM"[i % 2], f"1970-03-{10 + i}", "", f"x{i % 2}"] for i in range(12)]
    rows[0][3] = "2021-03-13"
    header = ["patient_id", "sex", "dob", "dod", "xyz"]
    (tmp_path / "a.csv").write_text(_csv([header, *rows]))
    note = _field(draft_centre(tmp_path), "died").note
    assert "no column says" not in note and "not recognised" in note
    (tmp_path / "a.csv").write_text(_csv([header[:-1], *(row[:-1] for row in rows)]))
    assert "no column says which patients live" in _field(draft_centre(tmp_path), "died").note


@pytest.mark.parametrize(
    ("cell", "width"), [("１２", True), ("＜5", True), ("2021／03／05", True), ("無（不明）", False), ("12", False)]
)
def test_full_width_digits_and_signs_are_read_as_plain_ones(tmp_path, cell, width):
    rows = [[f"N{i:03}", "女男"[i % 2], cell if i == 11 else "12"] for i in range(12)]
    (tmp_path / "a.csv").write_text(_csv([["症例番号", "性別", "血小板(万/μL)"], *rows]), encoding="utf-8")
    assert ("width" in draft_centre(tmp_path).tables[0].options) == width


def _sdtm(path, **domains):
    for name, frame in domains.items():
        frame = pd.DataFrame({"STUDYID": "S", "DOMAIN": name.upper(), **frame})
        pyreadstat.write_xport(frame, path / f"{name}.xpt", table_name=name.upper(), file_format_version=5)
    return draft_centre(path)


KEYS = [f"P{i}" for i in range(9)]
ONE_DAY = [day.isoformat() for day in DAYS[:9]]


def test_subject_data_comes_first_and_a_start_of_treatment_is_a_guess(tmp_path):
    ae = {"USUBJID": KEYS, "AEDECOD": "MAJOR BLEEDING", "AESTDTC": ONE_DAY}
    dm = {"USUBJID": KEYS, "SEX": "F", "BRTHDTC": "1970-03-13", "RFSTDTC": ONE_DAY}
    dm |= {"AGE": 49.0, "AGEU": "YEARS", "DTHFL": ["Y", *[""] * 8], "ARM": "A"}
    draft = _sdtm(tmp_path, ae=ae, dm=dm)
    assert [t.name for t in draft.tables] == ["dm", "ae"]
    note = _field(draft, "first_tpe_date").note
    assert note.startswith("GUESS: the start of the first study treatment") and "order of day and month" in note
    died = _field(draft, "died").source
    assert (died["filled"], died["words"], died["blank"]) == ("yes", ["Y"], TO_DECIDE)
    assert _field(draft, "age_years_reported").source["unit"] == {"column": "AGEU", "codes": {"YEARS": "years"}}
    assert not any(TO_DECIDE in why for t in draft.tables for why in t.ignored.values())


def test_an_answer_in_every_row_needs_no_meaning_of_blanks(tmp_path):
    dm = {"USUBJID": KEYS, "SEX": "F", "BRTHDTC": "1970-03-13", "DTHFL": ["Y", *"N" * 8]}
    assert _field(_sdtm(tmp_path, dm=dm), "died").source["vocabulary"] == {"Y": "yes", "N": "no"}


def test_the_domains_of_events_drugs_exchanges_ends_and_history_are_known(tmp_path):
    twice = [key for key in KEYS for _ in "ab"]
    days = [day for day in ONE_DAY for _ in "ab"]
    draft = _sdtm(
        tmp_path,
        ae={"USUBJID": KEYS[:4], "AESEQ": 1.0, "AETERM": "nose", "AEDECOD": ["MINOR BLEEDING", "OTHER"] * 2}
        | {"AESTDTC": ONE_DAY[:4], "AELOC": "NOSE", "AESER": "N"},
        ec={"USUBJID": KEYS, "ECTRT": "CAPLACIZUMAB", "ECDOSE": 10.0, "ECDOSU": "mg", "ECSTDTC": ONE_DAY}
        | {"ECENDTC": ONE_DAY},
        pr={"USUBJID": twice, "PRTRT": "PLASMA EXCHANGE", "PRDOSE": 2500.0, "PRDOSU": "mL", "PRSTDTC": days},
        ds={"USUBJID": twice, "DSDECOD": ["DEATH", "COMPLETED"] * 9, "DSTERM": ["SEPSIS", "DONE"] * 9, "DSSTDTC": days},
        mh={"USUBJID": twice, "MHTERM": ["COMA", "PREVIOUS EPISODE"] * 9, "MHOCCUR": ["Y", "N"] * 9},
    )
    columns = {(name, e.source.get("column")) for t in draft.tables for r in t.records for name, e in r.fields.items()}
    assert {
        ("kind", "AEDECOD"),
        ("event_date", "AESTDTC"),
        ("site", "AELOC"),
        ("drug", "ECTRT"),
        ("start_date", "ECSTDTC"),
        ("end_date", "ECENDTC"),
        ("session_date", "PRSTDTC"),
        ("volume_ml", "PRDOSE"),
        ("death_date", "DSSTDTC"),
        ("death_cause", "DSTERM"),
        ("coma", "MHOCCUR"),
    } <= columns
    kinds = {t.name: t.kinds for t in draft.tables}
    assert kinds["ds"][1] == {"death": ["DEATH"]} and TO_DECIDE in kinds["ds"][2]["COMPLETED"]
    assert TO_DECIDE in kinds["mh"][2]["PREVIOUS EPISODE"]
    assert _field(draft, "volume_ml").source["unit"] == {"column": "PRDOSU", "codes": {"mL": "mL"}}


def _lb(flags):
    codes = ["HGB", "HGB", "ADM13AB", "XPLT"]
    names = {"HGB": "Hemoglobin", "ADM13AB": "Anti-ADAMTS13 Antibody", "XPLT": "Platelets"}
    units = {"HGB": "g/dL", "ADM13AB": "U/mL", "XPLT": "10^3/uL"}
    rows = [(key, code, flag) for key in KEYS for code, flag in zip(codes, flags, strict=True)]
    return {
        "USUBJID": [key for key, *_ in rows],
        "LBTESTCD": [code for _, code, _ in rows],
        "LBTEST": [names[code] for _, code, _ in rows],
        "LBORRES": [str(8 + i % 7) for i, _ in enumerate(rows)],
        "LBORRESU": [units[code] for _, code, _ in rows],
        "LBBLFL": [flag for *_, flag in rows],
        "LBDTC": [ONE_DAY[i % 9] for i, _ in enumerate(rows)],
        "VISITNUM": 1.0,
        "LBDY": 1.0,
        "LBSTAT": "",
    }


def test_a_test_is_known_by_its_name_where_its_code_is_not_and_several_by_the_mark_at_baseline(tmp_path):
    draft = _sdtm(tmp_path, lb=_lb(["Y", "", "Y", "Y"]))
    assert draft.tables[0].kinds[1] == {"hemoglobin": ["HGB"], "anti_adamts13": ["ADM13AB"], "platelets": ["XPLT"]}
    (hemoglobin,) = _records(draft, "hemoglobin_g_per_dl")
    assert (hemoglobin.present["column"], hemoglobin.present["yes"]) == ("LBBLFL", ["Y"])
    assert hemoglobin.present["no"][0] == "" and TO_DECIDE in hemoglobin.present["no"][1]
    assert _records(draft, "anti_adamts13_u_per_ml")[0].present is None
    assert not any(TO_DECIDE in why for why in draft.tables[0].ignored.values())


def test_a_mark_at_baseline_in_two_rows_of_a_patient_chooses_none(tmp_path):
    draft = _sdtm(tmp_path, lb=_lb(["Y", "Y", "Y", "Y"]))
    assert _records(draft, "hemoglobin_g_per_dl") == [] and "several rows" in draft.tables[0].kinds[2]["HGB"]


def test_rare_words_that_are_not_known_are_counted_and_not_shown(tmp_path):
    words = ["MAJOR BLEEDING", "MINOR BLEEDING", *(f"Anna fell {i}" for i in "abcdef")]
    ae = {"USUBJID": KEYS[:8], "AETERM": words, "AESTDTC": ONE_DAY[:8]}
    draft = _sdtm(tmp_path, ae=ae)
    entry = _field(draft, "kind")
    assert entry.source["vocabulary"] == {
        "MAJOR BLEEDING": "major_bleeding",
        "MINOR BLEEDING": "minor_bleeding",
        TO_DECIDE: TO_DECIDE,
    }
    assert "6 other words" in entry.note and "Anna" not in draft.centre_yml
