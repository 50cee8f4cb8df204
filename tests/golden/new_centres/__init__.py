"""An eleventh and a twelfth centre, in formats that the ten do not use, with another centre's patients.

Reading them must give the patients that they were copied from. All data are synthetic.
"""

import hashlib
import shutil
import zipfile
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat

HERE = Path(__file__).parent
SUBMISSION = "2023-06-30"
#: New centre -> the centre whose patients' courses it sends.
COPIED_FROM = {"JP01": "DE01", "NL01": "US01"}
#: How many of its patients.
PATIENTS = 20

TABLES = ("patient", "lab_result", "tpe_session", "drug_course", "adverse_event", "adverse_event_assessment")
_FULL_WIDTH = {ord(c): ord(c) + 0xFEE0 for c in "0123456789."}
_ANSWER = {"yes": "有", "no": "無", "unknown": "不明", "not_assessed": "評価せず"}


def source(loads: Path, new_centre: str) -> dict[str, pd.DataFrame]:
    """The patients to copy: harmonised table -> rows of the first patients, keyed by their number in the new centre.

    Args:
        loads: folder of the centres' loads (``warehouse/build/centres``).
        new_centre: JP01 or NL01.
    """
    folder = loads / COPIED_FROM[new_centre]
    frames = {
        name: pq.read_table(folder / f"harmonised.{name}.parquet").to_pandas(date_as_object=True) for name in TABLES
    }
    chosen = sorted(frames["patient"]["centre_patient_id"])[:PATIENTS]
    numbers = {patient: f"{new_centre}-{i:03}" for i, patient in enumerate(chosen, start=1)}
    return {
        name: f[f["centre_patient_id"].isin(chosen)].assign(number=f["centre_patient_id"].map(numbers))
        for name, f in frames.items()
    }


def write(new_centre: str, courses: dict[str, pd.DataFrame], data_raw: Path) -> Path:
    """Make the centre's folder in a data folder, with its spec and one submission.

    Args:
        new_centre: JP01 or NL01.
        courses: as ``source`` returns them.
        data_raw: where its folder is made.
    """
    folder = data_raw / new_centre
    (folder / SUBMISSION).mkdir(parents=True)
    {"JP01": _japan, "NL01": _netherlands}[new_centre](courses, folder / SUBMISSION)
    shutil.copy(HERE / new_centre / "centre.yml", folder)
    return folder


def declare_synthetic(folder: Path, data_raw: Path) -> None:
    """Declare a centre made by ``write`` in the file SYNTHETIC of a data folder, as docs/ADD_A_CENTRE.md says."""
    with (data_raw / "SYNTHETIC").open("a", encoding="utf-8") as mark:
        for path in sorted(folder.glob("*/*")):
            mark.write(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {folder.name}/{path.name}\n")


def _text(value, form=str) -> str:
    return "" if value is None or value != value else form(value)


def _number(value) -> str:
    return _text(value, lambda v: f"{v:.10g}")


def _kanji(value) -> str:
    return _text(value, lambda d: f"{d.year}年{d.month}月{d.day}日")


def _activity(row) -> str:
    return f"{_text(row.adamts13_comparator)}{_number(row.adamts13_percent)}"


def _japan(courses: dict[str, pd.DataFrame], folder: Path) -> None:
    header = (
        "患者番号,氏名,性別,年齢,診断,初発,初回血漿交換日,神経症状,昏睡,ヘモグロビン (g/dL),クレアチニン (umol/L),"
        "トロポニン (xULN),ADAMTS13活性 (%),インヒビター (U/mL),ステロイド,死亡,死亡日,死因,最終観察日,退院日,ICU日数,"
        "難治,増悪"
    )
    sexes, diagnoses = {"female": "女", "male": "男"}, {"ittp": "後天性TTP", "congenital_ttp": "先天性TTP"}
    lines = [header]
    for i, p in enumerate(courses["patient"].itertuples()):
        died = _kanji(p.death_date) or _text(p.death_month, lambda d: f"{d.year}年{d.month}月")
        cells = [
            p.number, f"患者 太郎{i}", sexes[p.sex], _number(p.age_years_at_first_tpe), diagnoses.get(p.diagnosis, ""),
            _ANSWER[p.first_episode], _kanji(p.first_tpe_date), _ANSWER[p.neurological_involvement], _ANSWER[p.coma],
            _number(p.hemoglobin_g_per_dl), _number(p.creatinine_umol_per_l), _number(p.troponin_x_uln) or "未測定",
            _activity(p), _number(p.anti_adamts13_u_per_ml), _ANSWER[p.corticosteroids], _ANSWER[p.died], died,
            _text(p.death_cause), _kanji(p.last_contact_date), _kanji(p.discharge_date), _number(p.icu_days),
            _ANSWER[p.reported_refractory], _ANSWER[p.reported_exacerbation],
        ]  # fmt: skip
        # every other patient's cells are typed with full-width digits
        lines.append(",".join(cells if i % 2 else [cells[0], *(c.translate(_FULL_WIDTH) for c in cells[1:])]))
    (folder / "患者.csv").write_text("\r\n".join(lines) + "\r\n", encoding="cp932", newline="")
    named = {"platelets": ("血小板", "10^9/L"), "ldh": ("LDH", "xULN"), "adamts13": ("ADAMTS13活性", "%")}
    rows = [["検査結果（合成データ）"], ["患者番号", "検査日", "検査項目", "結果", "単位"]]
    rows += [
        [
            r.number,
            r.result_date,
            named[r.analyte][0],
            f"{r.comparator}{_number(r.value)}" if _text(r.comparator) else r.value,
            named[r.analyte][1],
        ]
        for r in courses["lab_result"].itertuples()
    ]
    _ods(rows, "検査", folder / "検査.ods")
    exchanges = courses["tpe_session"]
    volumes = pa.array([None if v != v else round(v) for v in exchanges["volume_ml"]], pa.int32())
    table = pa.table(
        {
            "患者番号": exchanges["number"].tolist(),
            "血漿交換日": pa.array(exchanges["session_date"].tolist(), pa.date32()),
            "置換量": volumes,
        }
    )
    pq.write_table(table, folder / "血漿交換.parquet")
    drugs = {"caplacizumab": "カプラシズマブ", "rituximab": "リツキシマブ", "corticosteroid": "プレドニゾロン"}
    lines = [
        "患者番号\t薬剤名\t開始日\t終了日",
        *(
            "\t".join([d.number, drugs[d.drug], _kanji(d.start_date), _kanji(d.end_date)])
            for d in courses["drug_course"].itertuples()
        ),
    ]
    (folder / "投薬.txt").write_text("\n".join(lines) + "\n", encoding="utf-16")
    lines = ["患者番号\t事象\t評価\t発現日\t部位"]
    lines += [
        "\t".join([e.number, e.kind, "発生", _kanji(e.event_date), _text(e.site)])
        for e in courses["adverse_event"].itertuples()
    ]
    lines += [
        "\t".join([a.number, a.kind, _ANSWER[a.answer], "", ""])
        for a in courses["adverse_event_assessment"].itertuples()
    ]
    (folder / "有害事象.txt").write_text("\n".join(lines) + "\n", encoding="utf-16")


def _ods(rows: list[list], sheet: str, path: Path) -> None:
    """A minimal ODS workbook: dates, numbers and texts as typed cells."""

    def cell(value) -> str:
        if isinstance(value, date):
            typed, shown = f'"date" office:date-value="{value}"', f"{value:%y/%m/%d}"
        elif isinstance(value, float):
            typed, shown = f'"float" office:value="{value!r}"', f"{value:g}"
        else:
            typed, shown = '"string"', escape(value)
        return f"<table:table-cell office:value-type={typed}><text:p>{shown}</text:p></table:table-cell>"

    spaces = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in ("office", "table", "text"))
    body = "".join(f"<table:table-row>{''.join(cell(v) for v in row)}</table:table-row>" for row in rows)
    content = (
        f'<office:document-content {spaces} office:version="1.2"><office:body><office:spreadsheet>'
        f'<table:table table:name="{sheet}">{body}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        parts.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        parts.writestr("content.xml", content)


def _netherlands(courses: dict[str, pd.DataFrame], folder: Path) -> None:
    flag = {"yes": "Y", "no": "N", "unknown": "U"}
    sexes, diagnoses = {"female": "F", "male": "M"}, {"ittp": "ITTP", "congenital_ttp": "CTTP"}
    patients = courses["patient"]
    day_0 = dict(zip(patients["number"], patients["first_tpe_date"], strict=True))
    dm = pd.DataFrame([
        {"STUDYID": "CAPLA", "DOMAIN": "DM", "USUBJID": p.number, "SEX": sexes[p.sex],
         "AGE": float(p.age_years_at_first_tpe), "DIAG": diagnoses.get(p.diagnosis, ""),
         "FIRSTEP": flag[p.first_episode], "RFSTDTC": f"{p.first_tpe_date}T09:15",
         "NEURO": flag[p.neurological_involvement], "COMA": flag[p.coma], "HGB": p.hemoglobin_g_per_dl,
         "CREAT": p.creatinine_umol_per_l, "TROP": p.troponin_x_uln, "AD13": _activity(p),
         "AD13AB": p.anti_adamts13_u_per_ml, "STEROID": flag[p.corticosteroids], "DTHFL": flag[p.died],
         "DTHDTC": _text(p.death_date) or _text(p.death_month, lambda d: f"{d:%Y-%m}"),
         "DTHCAUS": _text(p.death_cause), "LSTALVDT": _text(p.last_contact_date), "DISCHDT": _text(p.discharge_date),
         "ICUDAYS": p.icu_days, "REFRACT": flag[p.reported_refractory], "EXACERB": flag[p.reported_exacerbation]}
        for p in patients.itertuples()
    ])  # fmt: skip
    tests = {"platelets": ("PLAT", "10^9/L"), "ldh": ("LDH", "xULN"), "adamts13": ("ADAMTS13", "%")}
    lb = pd.DataFrame([
        {"USUBJID": r.number, "LBTESTCD": tests[r.analyte][0], "LBORRES": f"{_text(r.comparator)}{_number(r.value)}",
         "LBORRESU": tests[r.analyte][1], "LBDTC": f"{r.result_date}{'T07:30' if i % 2 else ''}"}
        for i, r in enumerate(courses["lab_result"].itertuples())
    ])  # fmt: skip

    def study_day(day: date, first: date) -> float:
        return float((day - first).days + (1 if day >= first else 0))

    pr = pd.DataFrame(
        [
            {
                "USUBJID": s.number,
                "PRTRT": "PLASMA EXCHANGE",
                "PRSTDY": study_day(s.session_date, day_0[s.number]),
                "PRDOSE": s.volume_ml,
            }
            for s in courses["tpe_session"].itertuples()
        ]
    )
    names = {"caplacizumab": "CAPLACIZUMAB", "rituximab": "RITUXIMAB", "corticosteroid": "PREDNISOLONE"}
    cm = pd.DataFrame(
        [
            {"USUBJID": d.number, "CMTRT": names[d.drug], "CMSTDTC": _text(d.start_date), "CMENDTC": _text(d.end_date)}
            for d in courses["drug_course"].itertuples()
        ]
    )
    for name, frame in {"dm": dm, "lb": lb, "pr": pr, "cm": cm}.items():
        pyreadstat.write_xport(frame, folder / f"{name}.xpt", file_format_version=5, table_name=name.upper())
    months = [
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ]
    said = {"yes": "ja", "no": "nee", "not_assessed": "niet beoordeeld"}
    lines = ["Patiënt;Soort;Beoordeling;Datum;Plaats"]
    lines += [
        ";".join(
            [
                e.number,
                e.kind,
                "opgetreden",
                _text(e.event_date, lambda d: f"{d.day} {months[d.month - 1]} {d.year}"),
                _text(e.site),
            ]
        )
        for e in courses["adverse_event"].itertuples()
    ]
    lines += [
        ";".join([a.number, a.kind, said[a.answer], "", ""]) for a in courses["adverse_event_assessment"].itertuples()
    ]
    (folder / "bijwerkingen.csv").write_text("\n".join(lines) + "\n", encoding="utf-16")
