"""What the page shows besides tables: centres that are behind, values at the pointer, courses of single patients.

Courses of patients must never be in the protected page.
"""

import json
import re

import pandas as pd
import pytest
from study_frames import CONTROL, EARLY, patients

from capla_etl.fields import meanings
from capla_etl.report.figures import study_figures
from capla_etl.report.page.courses import courses
from capla_etl.report.page.page import _behind, _completeness, _json
from capla_etl.report.protected import write_protected
from capla_etl.tables import curves

THRESHOLDS = {"platelets": 150, "ldh": 1.5, "adamts13": [10, 20]}


def _status(**rows: tuple) -> pd.DataFrame:
    listed = [(centre, centre, *row) for centre, row in rows.items()]
    return pd.DataFrame(listed, columns=["centre_id", "name", "status", "submission", "received_submission", "problem"])


def test_only_centres_that_are_behind_are_named_and_where_they_stay():
    behind = _behind(
        _status(
            AT01=("current", "2023-06-30", "2023-06-30", ""),
            FR01=("refused", "2023-06-30", "2023-09-15", "column missing"),
            XX01=("not_loaded", None, "2023-06-30", "no spec"),
        )
    )
    assert [(b["centre"], b["submission"], b["received"]) for b in behind] == [
        ("FR01", "2023-06-30", "2023-09-15"),
        ("XX01", "", "2023-06-30"),
    ]
    assert "last good one" in behind[0]["means"]


def test_completeness_keeps_its_own_denominators():
    row = dict.fromkeys(meanings.columns("quality.centre_quality"), 0) | {
        "centre_id": "AT01",
        "data_cut_off": "2023-06-30",
        "eligible": 40,
        "ldh_day0_n": 39,
        "caplacizumab": 20,
        "adverse_events_assessed_n": 10,
    }
    (line,) = _completeness(pd.DataFrame([row]))
    assert line["shares"][1] == ("98 %", "39/40")
    assert line["shares"][-1] == ("50 %", "10/20"), "of those under caplacizumab"


@pytest.fixture
def patient() -> pd.DataFrame:
    return patients(
        EARLY, CONTROL | {"eligible": False, "exclusion_reason": "no_tpe", "death_day": 9, "died": "yes"}
    ).assign(centre_patient_id=["A-1", "A-2"])


def _course(patient: pd.DataFrame, exchanges: str = "float64", texts: str = "object") -> dict:
    """Courses of two patients; DuckDB gives whole numbers and texts with nulls in more than one form."""
    first, second = patient["patient_id"]
    series = pd.DataFrame(
        {
            "patient_id": [first, first, second],
            "day": [4, -1, 0],
            "platelets_10e9_per_l": [160.0, None, 12.0],
            "ldh_x_uln": [None, 2.25, None],
            "adamts13_comparator": [None, "<", None],
            "adamts13_percent": [None, 5.0, None],
            "tpe_sessions": [2, 0, None],
        }
    ).astype({"tpe_sessions": exchanges, "adamts13_comparator": texts})
    drugs = pd.DataFrame(
        {
            "patient_id": [first, first, first],
            "course_number": [1, 2, 1],
            "drug": ["caplacizumab", "caplacizumab", "rituximab"],
            "start_day": [0, 40, 1],
            "end_day": [30, None, 1],
        }
    )
    events = pd.DataFrame(
        {
            "patient_id": [first, first],
            "event_type": ["exacerbation", "response"],
            "day": [None, 4],
            "status": ["no", "yes"],
            "evidence": [None, "platelets day 4: 160"],
        }
    ).astype({"evidence": texts})
    return courses(patient, series, drugs, events, THRESHOLDS)


@pytest.mark.parametrize(("exchanges", "texts"), [("float64", "object"), ("Int64", "string"), ("object", "object")])
def test_a_course_holds_every_day_in_order_with_what_is_unknown_left_empty(patient, exchanges, texts):
    first, second = _course(patient, exchanges, texts)["patients"]
    assert first["days"] == "-1,,2.25,<5,;4,160,,,2"
    assert second["days"] == "0,12,,,?", "exchanges that are not known are not none"
    assert first["capla"] == [[0, 30], [40, None]], "a course without a recorded end has none"
    assert first["events"] == [["response", 4, "yes", "platelets day 4: 160"], ["exacerbation", None, "no", ""]]
    assert (second["eligible"], second["reason"], second["death"]) == (False, "no tpe", 9)


def test_no_text_of_the_data_can_end_the_script_that_holds_it():
    text = _json({"number": "</script><script>alert(1)</script>", "and": "a&b"})
    assert "<" not in text and "&" not in text
    assert json.loads(text) == {"number": "</script><script>alert(1)</script>", "and": "a&b"}


def test_the_values_at_the_pointer_are_those_that_the_curve_was_drawn_from(patient):
    curve = curves.survival_curve(patient.assign(eligible=True, exclusion_reason=None), follow_up_days=90)
    said = study_figures.hover_data({"survival_curve": curve}, {})["survival"]
    assert [g["name"] for g in said["groups"]] == ["Caplacizumab", "Control"]
    control = {row[0]: row[1:] for row in said["groups"][1]["rows"]}
    own = curve[curve["group"] == "control"].set_index("day")
    assert control[9][0] == pytest.approx(100 * own.loc[9, "survival"])
    assert control[9][3] == own.loc[9, "at_risk"]


@pytest.mark.parametrize("groups", [2, 3])
def test_the_pointer_finds_the_axes_where_they_are_drawn(patient, groups):
    """The day axis of the drawn figure lies where the page's script looks for it."""
    figure, curves, _ = study_figures._canvas(groups, "y", 90)
    box = curves.get_position()
    assert (box.x0, box.x1, 1 - box.y1, 1 - box.y0) == pytest.approx(
        (study_figures._AXIS_LEFT, study_figures._AXIS_RIGHT, 1 - study_figures._TOP, study_figures._curves_end(groups))
    )
    assert curves.get_xlim()[1] == pytest.approx(90 * study_figures._AXIS_SPARE)
    assert figure.get_figwidth() > 0


def test_the_protected_page_has_no_course_no_search_and_no_number_of_a_centre(built_warehouse, tmp_path):
    import duckdb

    with duckdb.connect(str(built_warehouse), read_only=True) as con:
        results, survival, response, submission, status, checks, ids = (
            con.execute(query).df()
            for query in (
                "from study.result",
                "from study.survival_curve",
                "from study.response_incidence_curve",
                "from harmonised.submission",
                "from quality.centre_status",
                "select source, "
                + ", ".join(f"sum({kind})::integer as {kind}" for kind in ("passed", "warned", "failed"))
                + " from quality.check_result group by 1",
                "select patient_id, centre_patient_id from marts.patient",
            )
        )
    status.loc[0, ["status", "problem"]] = ["refused", "patients.csv, row 12: found 'x'"]
    write_protected(
        results,
        {"survival_curve": survival, "response_incidence_curve": response},
        submission,
        status,
        checks,
        "2023-06-30-0123456789",
        tmp_path,
    )
    page = (tmp_path / "report_protected.html").read_text(encoding="utf-8")
    assert 'id="courses"' not in page and 'id="course-search"' not in page.split("<script>")[0]
    assert not [i for i in ids["patient_id"] if i in page]
    assert "Completeness and timeliness" not in page
    assert "Version 2023-06-30-0123456789." in page
    assert "Central monitoring" not in page, "levels and signals are of single centres"
    assert (
        f"The newest submission of {status.loc[0, 'centre_id']} is not in this report" in page and "row 12" not in page
    )


def test_the_page_of_the_study_group_holds_every_patient_and_says_for_whom_it_is(study_run, built_warehouse):
    import duckdb

    page = (study_run.warehouse / "report.html").read_text(encoding="utf-8")
    held = json.loads(re.search(r'<script type="application/json" id="courses">(.*?)</script>', page, re.DOTALL)[1])
    with duckdb.connect(str(built_warehouse), read_only=True) as con:
        assert len(held["patients"]) == con.execute("select count(*) from marts.patient").fetchone()[0]
        assert (
            sum(p["days"].count(";") + 1 for p in held["patients"] if p["days"])
            == con.execute("select count(*) from marts.daily_series").fetchone()[0]
        )
    assert (
        "For members of the study only." in page
        and "What moved" in page
        and "Completeness and timeliness by centre" in page
    )
    assert len(page) < 3_500_000
