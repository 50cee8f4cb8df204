"""The report and the files: self-contained, the same bytes for the same data, numbers as the study prints them."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from monitoring_frames import monitored, signal, signal_frame
from study_frames import CONTROL, DELAYED, EARLY, ledger, outcomes, patients, quarantine

from capla_etl.report import files, numbers, printed_tables
from capla_etl.report.figures import study_figures
from capla_etl.report.figures.monitoring_figures import monitoring_figures
from capla_etl.report.page.page import ReportInputs, write_report
from capla_etl.tables import as_published, flow, table1, table5, table6
from capla_etl.tables import table2_to_4 as outcome_tables
from capla_etl.tables.curves import response_incidence, response_incidence_curve, survival_curve, survival_table


@pytest.fixture(scope="module")
def curve():
    """A survival curve of three patients."""
    return survival_curve(patients(EARLY, EARLY | {"death_day": 9, "died": "yes"}, CONTROL), follow_up_days=90)


@pytest.fixture(scope="module")
def inputs(curve):
    patient = patients(
        EARLY,
        EARLY | {"death_day": 9, "died": "yes", "death_cause": "iTTP"},
        DELAYED,
        DELAYED | {"last_seen_day": 40},
        CONTROL,
        CONTROL | {"death_day": 9, "died": "yes"},
        CONTROL | {"centre_id": "<b>", "eligible": False, "exclusion_reason": "no_tpe"},
    )
    none = {"response": "no", "response_day": None, "failure": "yes", "died_by_day_90": "yes"}
    outcome = outcomes(
        {},
        none,
        {"response_day": 9, "days_from_caplacizumab_to_response": 3},
        {"response_day": 8},
        {"response_day": 12},
        none,
    )
    assessed = pd.DataFrame({"patient_id": ["p0"], "kind": ["major_bleeding"], "occurred": ["yes"]})
    events = pd.DataFrame({"patient_id": ["p0"], "kind": ["major_bleeding"], "site": [None]})
    follow_up = {"follow_up_days": 90}
    results = pd.concat(
        [
            flow.flow(patient, ledger(), quarantine("row", "cell")),
            table1.table1(patient),
            outcome_tables.table2(patient, outcome, **follow_up),
            outcome_tables.table3(patient, outcome, **follow_up),
            outcome_tables.table4(patient, outcome, **follow_up),
            survival_table(patient, **follow_up),
            response_incidence(patient, outcome, **follow_up),
            table5.table5(patient, assessed, events),
            table6.table6(patient, **follow_up),
        ]
    )
    curves = {
        "survival_curve": curve,
        "response_incidence_curve": response_incidence_curve(patient, outcome, **follow_up),
    }
    drawn = study_figures.study_figures(curves, {})
    return ReportInputs(
        results=pd.concat([results, as_published.as_published(results)], ignore_index=True),
        figures={name: study_figures.svg_text(figure) for name, figure in drawn.items()},
        ledger=ledger(),
        quarantine=quarantine("row", "cell"),
        submission=pd.DataFrame({"centre_id": ["FR01"], "submission": [pd.Timestamp("2023-06-30")]}),
        parameters=pd.DataFrame({"name": ["follow_up_days"], "value": [90], "comment": ["PROTOCOL 3.7 & 3.8"]}),
        deaths=table6.deaths(patient, **follow_up),
    )


@pytest.fixture(scope="module")
def page(inputs, tmp_path_factory):
    return write_report(inputs, tmp_path_factory.mktemp("report") / "report.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(page):
    assert not re.search(r"<script[^>]*src|@import|url\(http|fetch\(|XMLHttpRequest", page)
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', page) == []
    assert {re.sub(r"https?://www\.w3\.org/.*", "", url) for url in re.findall(r'https?://[^"\s<]*', page)} <= {""}


def test_no_page_or_figure_of_real_data_says_synthetic(inputs, curve, real_data, tmp_path):
    files.write_figures({"survival": study_figures.survival_figure(curve)}, tmp_path)
    drawn = (tmp_path / "survival.svg").read_text()
    assert "Data of real patients" in drawn and "synthetic" not in drawn.lower()
    text = write_report(inputs, tmp_path / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)  # drawn before, of the data that ship
    assert "synthetic" not in text.lower() and text.count("Data of real patients") > 5


def test_the_page_says_that_the_data_are_synthetic_and_the_comparison_observational(page):
    assert "agreement with the published figures is no evidence about the drug" in page
    assert page.count("Observational comparison with historic controls") >= 4


def test_names_from_the_data_are_escaped_and_ids_unique(page):
    assert "<b></th>" not in page and "&lt;b&gt;" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_link_of_the_contents_has_its_section(page):
    assert set(re.findall(r'<a href="#([\w-]+)"', page)) <= set(re.findall(r'<section id="([\w-]+)"', page)) | {
        "content"
    }


def test_central_monitoring_is_shown_where_it_is_known(inputs, page, tmp_path):
    assert "Central monitoring" not in page, "nothing is known of it"
    looked, signals = monitored(), signal_frame(signal())
    drawn, said = monitoring_figures(signals, looked)
    with_it = replace(
        inputs,
        signal=signals,
        monitored=looked,
        centre_pages=["DE01"],
        figures=inputs.figures | {name: study_figures.svg_text(figure) for name, figure in drawn.items()},
        hover=inputs.hover | said,
    )
    shown = write_report(with_it, tmp_path / "with.html").read_text(encoding="utf-8")
    assert '<a href="#monitoring">' in shown and '<section id="monitoring"' in shown
    assert "as if in mg/dL" in shown and shown.count('aria-labelledby="monitoring_') == 2
    assert 'href="outputs/centres/DE01.html"' in shown and 'href="outputs/centres/DE01.pdf"' in shown
    ids = re.findall(r'\bid="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    none = write_report(replace(with_it, signal=signal_frame()), tmp_path / "none.html").read_text(encoding="utf-8")
    assert "No signal in any centre" in none


def test_report_figures_and_tables_are_the_same_bytes_twice(inputs, curve, page, tmp_path):
    assert write_report(inputs, tmp_path / "again.html").read_text(encoding="utf-8") == page
    for folder in ("one", "two"):
        files.write_tables({"survival_curve": curve, "result": inputs.results}, tmp_path / folder)
        files.write_figures({"survival": study_figures.survival_figure(curve)}, tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [
        "README.md",
        "result.csv",
        "result.parquet",
        "survival.png",
        "survival.svg",
        "survival_curve.csv",
        "survival_curve.parquet",
    ]
    assert (
        "Synthetic data" in (tmp_path / "one" / "README.md").read_text()
        and "Synthetic data" in (tmp_path / "one" / "survival.svg").read_text()
    )
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_parquet_holds_what_the_frame_held(inputs, tmp_path):
    files.write_tables({"result": inputs.results}, tmp_path)
    read = pd.read_parquet(tmp_path / "result.parquet")
    assert read["value"].equals(inputs.results["value"]) and len(read) == len(inputs.results)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0.125, 2, "0.13"), (-0.04, 1, "0.0"), (-3.26, 1, "\u22123.3"), (2.5, 0, "3"), (98.65, 1, "98.7")],
)
def test_halves_are_rounded_away_from_zero(value, decimals, text):
    assert numbers.fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.00009, "<\u00a00.0001"), (0.0001, "0.0001"), (0.0123, "0.012"), (0.8, "0.800")]
)
def test_p_values_are_never_zero(p, text):
    assert numbers.p_text(p) == text


def test_a_row_made_from_the_data_follows_its_parent(inputs):
    rows = [row.label for row in printed_tables.printed(inputs.results, "table5").sections[0][1]]
    assert rows.index("Digestive tract") > rows.index("Major bleeding") and rows[-1] == "Other adverse event"
    assert rows.index("Site not stated") < rows.index("Clinically relevant non-major bleeding")
