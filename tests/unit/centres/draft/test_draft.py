"""Drafts against the specs that people wrote for the ten centres; a draft never decides what the files do not prove."""

import fnmatch
import gzip
from datetime import date
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest
import yaml
from tiny_centre import load_centre

from capla_etl.centres.draft import draft_centre
from capla_etl.centres.draft.profile import column_of
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import TO_DECIDE, JsonLines, Workbook
from capla_etl.fields import fields
from capla_etl.fields.units import unit_factor
from capla_etl.paths import ROOT

CENTRES = sorted(p.parent for p in (ROOT / "data_raw").glob("*/centre.yml"))


@pytest.fixture(scope="module")
def drafts():
    """Centre -> its spec as written by hand, and as drafted from its files."""
    return {folder.name: (load_spec(folder / "centre.yml"), draft_centre(folder)) for folder in CENTRES}


def _part(declared) -> str | None:
    return (
        declared.sheet if isinstance(declared, Workbook) else declared.list if isinstance(declared, JsonLines) else None
    )


def _pairs(drafts):
    """Centre, table as written by hand, the same table as drafted."""
    for centre, (spec, draft) in drafts.items():
        for table in spec.tables.values():
            (drafted,) = [
                t
                for t in draft.tables
                if fnmatch.fnmatchcase(t.found.file, table.file) and _part(t.found.format) == _part(table.format)
            ]
            yield centre, table, drafted


def _mapped(table) -> dict[tuple[str, str], object]:
    return {
        (name, source.column): source
        for record in table.records
        for name, source in record.fields.items()
        if source.column
    }


def test_every_file_of_the_ten_is_recognised_with_encoding_delimiter_and_header_row(drafts):
    wrong = []
    for centre, table, drafted in _pairs(drafts):
        hand, found = (f.model_dump(exclude={"footer_starts_with"}) for f in (table.format, drafted.found.format))
        wrong += [(centre, table.file, hand, found)] if hand != found else []
    assert wrong == []
    assert [d.unreadable for _, d in drafts.values() if d.unreadable] == []


def test_the_patients_key_is_found_everywhere(drafts):
    assert [
        (centre, table.key, drafted.key) for centre, table, drafted in _pairs(drafts) if table.key != drafted.key
    ] == []


def test_every_identifying_column_is_forbidden_and_no_other(drafts):
    assert [
        (c, set(t.forbidden), set(d.forbidden)) for c, t, d in _pairs(drafts) if set(t.forbidden) != set(d.forbidden)
    ] == []


def test_most_columns_find_their_field_and_hardly_any_a_wrong_one(drafts):
    """What is not found is left to decide; what is wrong would be believed."""
    right = wanted = 0
    wrong = []
    for centre, table, drafted in _pairs(drafts):
        hand = _mapped(table)
        mine = {
            (name, entry.source["column"])
            for record in drafted.records
            for name, entry in record.fields.items()
            if "column" in entry.source
        }
        right, wanted = right + len(hand.keys() & mine), wanted + len(hand)
        wrong += [(centre, *pair) for pair in mine - hand.keys() if "{k}" not in pair[1]]
    assert right >= 0.9 * wanted, (right, wanted)
    assert wrong == []


def _same_numbers(name: str, one, other) -> bool:
    """Whether two units give the same numbers: 1 % is 1 IU/dL."""
    texts = isinstance(one, str) and isinstance(other, str)
    return texts and unit_factor(fields()[name], one) == unit_factor(fields()[name], other) is not None


def test_no_unit_code_or_format_is_decided_otherwise_than_by_hand(drafts):
    """Each unit, date format, comparator and word in a draft is as in the hand-written spec, or left to decide."""
    wrong = []
    for centre, table, drafted in _pairs(drafts):
        hand = _mapped(table)
        spec = drafts[centre][0]
        for record in drafted.records:
            for name, entry in record.fields.items():
                source = hand.get((name, entry.source.get("column")))
                if source is None:
                    continue
                unit = entry.source.get("unit", TO_DECIDE)
                by_hand = source.unit.codes if hasattr(source.unit, "codes") else source.unit
                mine = unit["codes"] if isinstance(unit, dict) else unit
                differs = mine != by_hand and not _same_numbers(name, mine, by_hand)
                wrong += [(centre, name, mine, by_hand)] if TO_DECIDE not in str(mine) and differs else []
                codes = source.vocabulary
                codes = spec.vocabularies.get(codes, codes) if isinstance(codes, str) else codes
                for word, code in (
                    (entry.source.get("vocabulary") or {}).items()
                    if isinstance(entry.source.get("vocabulary"), dict)
                    else ()
                ):
                    if code != TO_DECIDE and isinstance(codes, dict) and codes.get(word, code) != code:
                        wrong.append((centre, name, word, code))
    assert wrong == []


def test_dates_are_in_the_order_that_was_found_by_hand_or_left_to_decide(drafts):
    wrong = []
    for centre, table, drafted in _pairs(drafts):
        hand = _mapped(table)
        for record in drafted.records:
            for name, entry in record.fields.items():
                source = hand.get((name, entry.source.get("column")))
                mine = entry.source.get("date_format") or drafted.options.get("date_format", (TO_DECIDE, ""))[0]
                mine = [mine] if isinstance(mine, str) else mine
                if (
                    source
                    and fields()[name].type == "date"
                    and TO_DECIDE not in mine
                    and "study_day" not in entry.source
                    and "empty" not in entry.note
                ):
                    by_hand = source.date_format or table.date_format
                    wrong += [(centre, name, mine, by_hand)] if not set(mine) <= set(by_hand) else []
    assert wrong == []


def test_a_draft_is_yaml_and_the_spec_refuses_it_naming_every_decision_left(drafts, tmp_path):
    for centre, (_, draft) in drafts.items():
        assert yaml.safe_load(draft.centre_yml)["centre"]["id"] == centre
        (tmp_path / centre).mkdir()
        (tmp_path / centre / "centre.yml").write_text(draft.centre_yml, encoding="utf-8")
        with pytest.raises(CentreRefused) as refused:
            load_spec(tmp_path / centre / "centre.yml")
        assert all("still TO_DECIDE" in p for p in refused.value.problems)
        assert {f"{centre}/centre.yml: lists.{name}" for name in ("tpe_session", "drug_course", "adverse_event")} <= {
            p.split(": still")[0] for p in refused.value.problems
        }


def test_no_identifying_cell_is_in_a_draft(drafts):
    folder = ROOT / "data_raw" / "FR01" / "2023-06-30"
    rows = pd.read_csv(folder / "patients.csv", sep=";", encoding="cp1252", dtype=str)
    said = drafts["FR01"][1].centre_yml + "\n".join(drafts["FR01"][1].summary)
    for column in ("Nom", "Téléphone", "Date de naissance", "Commentaires", "N° patient"):
        assert [v for v in rows[column].dropna() if len(v) > 3 and v in said] == []


def test_the_same_files_give_the_same_draft(drafts):
    assert draft_centre(ROOT / "data_raw" / "FR01").centre_yml == drafts["FR01"][1].centre_yml


@pytest.mark.parametrize(
    ("cells", "formats", "either"),
    [
        (["05/03/2021", "13/03/2021"], ["%d/%m/%Y"], []),
        (["05/03/2021", "03/13/2021"], ["%m/%d/%Y"], []),
        (["05/03/2021", "12/12/2021"], [], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["5.3.2021", "13.3.2021"], ["%-d.%-m.%Y"], []),
        (["2021-03-05", "2021-13-05"], [], []),
        (["2021年3月5日", "2021年12月31日"], ["%Y年%-m月%-d日"], []),
        (["2021-03-05T08:30", "2021-03-06"], ["iso8601"], []),
        (["5 mars 2021", "13 août 2021"], ["%-d %B %Y"], []),
    ],
)
def test_the_order_of_dates_is_proven_or_ambiguous(cells, formats, either):
    """A day above 12 proves the order; without one both are named and none is taken."""
    order = column_of("x", cells * 5).dates
    assert ((order.formats, order.either) if order else ([], [])) == (formats, either)


@pytest.mark.parametrize(
    ("cells", "missing"),
    [
        (["3", "640", "-9"], ["-9"]),
        (["3", "99", "640"], []),
        (["ja", "nein", "unbekannt"], []),
        (["2021-03-05", "-99"], ["-99"]),
        (["4,5", "ND"], ["ND"]),
    ],
)
def test_codes_for_missing_are_those_that_are_no_value(cells, missing):
    assert column_of("x", cells * 20).missing == missing


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["1,5", "12,25"], ","),
        (["1.5", "2"], "."),
        (["1.500", "2.250"], None),
        (["12", "13"], None),
        (["1.500,5", "3,2"], ","),
    ],
)
def test_a_decimal_mark_is_proven_by_other_than_three_digits_after_it(cells, mark):
    assert column_of("x", cells).decimal()[0] == mark


def test_sdtm_domains_are_known_by_their_standard_names(tmp_path):
    dm = pd.DataFrame(
        {
            "USUBJID": [f"P{i}" for i in range(8)],
            "SEX": ["F", "M"] * 4,
            "BRTHDTC": "1970-03-13",
            "RFSTDTC": "2020-01-10",
            "DTHFL": ["Y"] + [""] * 7,
            "DTHDTC": ["2020-02-01"] + [""] * 7,
        }
    )
    lb = pd.DataFrame(
        {
            "USUBJID": ["P0", "P1"] * 8,
            "LBTESTCD": ["PLAT", "LDH"] * 8,
            "LBORRES": ["20", "900"] * 8,
            "LBORRESU": ["10^9/L", "U/L"] * 8,
            "LBDTC": "2020-01-15T08:30",
        }
    )
    pr = pd.DataFrame({"USUBJID": ["P0", "P1"] * 4, "PRTRT": "PLASMA EXCHANGE", "PRSTDTC": "2020-01-15"})
    for name, frame in {"dm": dm, "lb": lb, "pr": pr}.items():
        pyreadstat.write_xport(frame, tmp_path / f"{name}.xpt", file_format_version=5)
    mapped = {
        (name, entry.source["column"])
        for t in draft_centre(tmp_path).tables
        for r in t.records
        for name, entry in r.fields.items()
        if "column" in entry.source
    }
    assert {
        ("sex", "SEX"),
        ("birth_date", "BRTHDTC"),
        ("first_tpe_date", "RFSTDTC"),
        ("died", "DTHFL"),
        ("death_date", "DTHDTC"),
        ("platelets_10e9_per_l", "LBORRES"),
        ("ldh_x_uln", "LBORRES"),
        ("result_date", "LBDTC"),
        ("session_date", "PRSTDTC"),
    } <= mapped


def test_a_draft_becomes_a_centre_once_a_person_has_decided(tmp_path, monkeypatch):
    """Shift-JIS, full-width digits, dates with year, month and day: once the decisions are made, the centre loads."""
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    folder = tmp_path / "data_raw" / "JP01" / "2023-06-30"
    folder.mkdir(parents=True)
    days = [date(2020, 1, 10 + i) for i in range(8)]
    patients = ["患者番号,氏名,性別,生年月日,初回血漿交換日,死亡"] + [
        f"Ｐ{i},山田太郎{i},{'女' if i % 2 else '男'},1970年3月1{i}日,{d:%Y年%-m月%-d日},無" for i, d in enumerate(days)
    ]
    labs = ["患者番号,検査日,血小板数 (×10⁹/L)"] + [f"Ｐ{i},{d:%Y年%-m月%-d日},{20 + i}.5" for i, d in enumerate(days)]
    (folder / "kanja.csv").write_text("\r\n".join(patients), encoding="cp932")
    (folder / "kensa.csv").write_text("\r\n".join(labs).replace("⁹", "^9"), encoding="cp932")
    draft = draft_centre(tmp_path / "data_raw" / "JP01")
    assert "山田" not in draft.centre_yml
    decided = draft.centre_yml.replace("name: TO_DECIDE", "name: Nowhere").replace("country: TO_DECIDE", "country: JP")
    for name in ("tpe_session", "drug_course", "adverse_event"):
        decided = decided.replace(f"{name}: TO_DECIDE", f"{name}: none")
    assert TO_DECIDE not in "\n".join(
        line.split("   #")[0] for line in decided.splitlines() if not line.startswith("#")
    )
    (tmp_path / "data_raw" / "JP01" / "centre.yml").write_text(decided, encoding="utf-8")
    load = load_centre("JP01")
    assert (load.rows["patient"], load.rows["lab_result"], load.refused["values_refused"].sum()) == (8, 8, 0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xlsx", b"PK\x03\x04cut", "not a complete"),
        ("a.csv.gz", gzip.compress(b"id;sex\n1;f\n" * 99, mtime=0)[:40], "gzip file is damaged"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ask the centre for .xlsx"),
        ("a.csv", b"", "empty"),
    ],
)
def test_a_broken_file_is_said_with_what_to_do_and_stops_nothing(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    (problem,) = draft_centre(tmp_path).unreadable
    assert problem.startswith(f"{name}: ") and said in problem


def test_what_is_no_table_is_said_and_stops_nothing(tmp_path):
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7\n\xff\xfe\x00")
    (tmp_path / "a.csv").write_text("id;sex\n" + "".join(f"{i};f\n" for i in range(9)))
    draft = draft_centre(tmp_path)
    assert [p.split(":")[0] for p in draft.unreadable] == ["letter.pdf"]
    assert "# NOT READ: letter.pdf" in draft.centre_yml
    with pytest.raises(FileNotFoundError):
        draft_centre(Path(tmp_path) / "nothing")
