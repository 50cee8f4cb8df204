"""What people do in Dagster: look at failing rows, materialize one centre, have centres arrive, open the report.

The tests are in the order of a working day; those below ``arrivals`` see the study after three centres have sent data.
"""

import json
import shutil
import urllib.request
from types import SimpleNamespace

import duckdb
import pytest
from conftest import wait_for
from new_centres import COPIED_FROM, PATIENTS, declare_synthetic, source, write
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

_RUN = "runId status jobName assetSelection { path } tags { key value }"
RUNS = f"{{ runsOrError(limit: 50) {{ ... on Runs {{ results {{ {_RUN} }} }} }} }}"
OVER = ("SUCCESS", "FAILURE", "CANCELED")


@pytest.fixture
def page(browser):
    """Opens an address, waits for a text on it, and returns the page's text. Nothing of the page before is kept."""

    def opened(url: str, expected: str) -> str:
        browser.get("about:blank")
        browser.get_log("browser")
        browser.get(url)
        return wait_for(
            lambda: (text := _text(browser)) and expected in text and text,
            30,
            lambda: f"{expected!r} at {url}\n{_text(browser)[:2000]}",
        )

    return opened


def _text(browser) -> str:
    return browser.execute_script("return document.body.innerText")


def _runs(workbench) -> list[dict]:
    request = urllib.request.Request(
        f"{workbench.dagster}/graphql", json.dumps({"query": RUNS}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"]["runsOrError"]["results"]


def _new_run(workbench, before: list[dict], seconds: float) -> dict:
    """The one run that has been added to those of before, once it is over."""
    known = {run["runId"] for run in before}
    run_id = wait_for(
        lambda: [r["runId"] for r in _runs(workbench) if r["runId"] not in known], seconds, "a run is launched"
    )[0]
    return wait_for(
        lambda: next((r for r in _runs(workbench) if r["runId"] == run_id and r["status"] in OVER), None),
        seconds,
        "the run is over",
    )


def _rows(workbench, sql: str) -> list[tuple]:
    with duckdb.connect(str(workbench.warehouse / "capla.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def _console_errors(browser) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_the_asset_graph_leads_from_centres_to_what_is_published(workbench, page):
    text = page(f"{workbench.dagster}/asset-groups", "published")
    for group in (
        "centres",
        "harmonised",
        "staging",
        "intermediate",
        "marts",
        "outcomes",
        "quality",
        "study",
        "report",
        "queries",
    ):
        assert group in text, group


def test_the_launchpad_offers_what_a_run_computes(workbench, page):
    text = page(f"{workbench.dagster}/locations/capla_etl/jobs/study/playground", "rule_set")
    assert "as_of" in text and "profile" in text


def test_a_check_shows_its_failing_rows(workbench, page, browser):
    page(f"{workbench.dagster}/assets/marts/patient?view=checks&checkDetail=expectations", "failing rows")
    browser.find_element(By.XPATH, "//tr[contains(., 'failing rows')]//a[contains(., 'Show Markdown')]").click()
    rows = wait_for(
        lambda: [
            [cell.text for cell in row.find_elements(By.TAG_NAME, "td")]
            for row in browser.find_elements(By.XPATH, "//tr[td[1][. = 'day0_date']]")
        ],
        10,
        "failing rows",
    )
    shown = {(centre, number) for _, _, centre, number in rows}
    assert (
        shown
        == set(_rows(workbench, "select centre_id, centre_patient_id from marts.patient where day0_date is null"))
        != set()
    )


def test_one_centre_is_materialized_from_its_page_and_nothing_else(workbench, page, browser):
    before = _runs(workbench)
    page(f"{workbench.dagster}/assets/centre/AT01", "3,646 records accepted")
    browser.find_element(By.XPATH, "//button[contains(., 'Materialize')]").click()
    run = _new_run(workbench, before, 60)
    assert (run["status"], run["assetSelection"]) == ("SUCCESS", [{"path": ["centre", "AT01"]}])


@pytest.fixture(scope="module")
def arrivals(workbench):
    """Two new centres and a broken submission of a third, put in place while Dagster runs; the run that followed."""
    before = _runs(workbench)
    loads = workbench.warehouse / "build" / "centres"
    elsewhere = workbench.data_raw.parent / "transfer"
    for code in COPIED_FROM:
        declare_synthetic(write(code, source(loads, code), elsewhere), workbench.data_raw)
    broken = elsewhere / "HU01"
    shutil.copytree(workbench.data_raw / "HU01" / "2023-06-30", broken / "2023-09-15")
    (broken / "2023-09-15" / "labor.txt").unlink()
    (broken / "2023-09-15").rename(workbench.data_raw / "HU01" / "2023-09-15")
    for code in COPIED_FROM:
        (elsewhere / code).rename(workbench.data_raw / code)
    run = _new_run(workbench, before, 600)
    return SimpleNamespace(run=run, launched=len(_runs(workbench)) - len(before))


def test_what_arrived_together_is_one_run(arrivals):
    assert arrivals.run["status"] == "SUCCESS"
    assert arrivals.launched == 1
    assert {"key": "capla/centres", "value": "HU01,JP01,NL01"} in arrivals.run["tags"]
    assert {tuple(a["path"]) for a in arrivals.run["assetSelection"] if a["path"][0] == "centre"} == {
        ("centre", "HU01"),
        ("centre", "JP01"),
        ("centre", "NL01"),
    }


@pytest.mark.parametrize("code", list(COPIED_FROM))
def test_a_new_centre_is_in_the_tables_with_the_outcomes_of_the_courses_it_was_copied_from(workbench, arrivals, code):
    columns = [
        c
        for (c,) in _rows(
            workbench,
            "select column_name from duckdb_columns() "
            "where schema_name = 'outcomes' and table_name = 'patient_outcome'",
        )
        if c != "patient_id"
    ]
    outcomes = {
        centre: _rows(
            workbench,
            f"""
            select {", ".join(f'o."{c}"' for c in columns)}
            from marts.patient p left join outcomes.patient_outcome o using (patient_id)
            where p.centre_id = '{centre}' order by p.centre_patient_id limit {PATIENTS}""",
        )
        for centre in (code, COPIED_FROM[code])
    }
    assert len(outcomes[code]) == PATIENTS
    assert outcomes[code] == outcomes[COPIED_FROM[code]]


def test_a_broken_submission_is_shown_at_its_check_and_the_last_good_one_stays(workbench, arrivals, page):
    text = page(f"{workbench.dagster}/assets/centre/HU01?view=checks&checkDetail=accepted", "2023-09-15")
    assert "Failed" in text
    assert _rows(
        workbench,
        "select status, submission::varchar, received_submission::varchar from quality.centre_status "
        "where centre_id = 'HU01'",
    ) == [("refused", "2023-06-30", "2023-09-15")]
    assert _rows(workbench, "select count(*) from marts.patient where centre_id = 'HU01'") == [(41,)]


def test_the_report_opens_with_a_silent_console_and_names_the_centre_that_is_behind(workbench, arrivals, page, browser):
    text = page(f"{workbench.pages}/report.html", "Synthetic data")
    assert "HU01" in text and "2023-09-15" in text
    assert _console_errors(browser) == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == [], (
        "nothing is fetched"
    )


def test_the_data_docs_open_with_a_silent_console(workbench, arrivals, page, browser):
    page(f"{workbench.pages}/data_docs/index.html", "marts.patient")
    assert _console_errors(browser) == []


def test_the_dbt_docs_say_synthetic_and_ask_nobody_else(workbench, arrivals, page, browser):
    page(f"{workbench.pages}/dbt_docs/index.html", "The data that ship with this project are synthetic")
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [address for address in asked if not address.startswith((workbench.pages, "data:"))] == []


def test_the_report_gives_values_at_the_arrow_keys(workbench, arrivals, page, browser):
    page(f"{workbench.pages}/report.html", "Synthetic data")
    figure = browser.find_element(By.CSS_SELECTOR, 'svg.figure[aria-labelledby^="survival-title"]').find_element(
        By.XPATH, "./ancestor::*[@tabindex='0'][1]"
    )
    figure.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 3)
    said = browser.find_element(By.CSS_SELECTOR, ".at-pointer").text
    assert said.startswith("Day 3") and "%" in said and "at risk" in said


def test_the_course_of_one_patient_is_found_by_its_number(workbench, arrivals, page, browser):
    page(f"{workbench.pages}/report.html", "Synthetic data")
    browser.find_element(By.ID, "course-search").send_keys("JP01-007")
    assert browser.find_element(By.ID, "course-count").text == "1 patient"
    browser.find_element(By.ID, "course-search").send_keys(Keys.ENTER)
    assert "JP01-007" in browser.find_element(By.ID, "course").text
    assert browser.find_element(By.ID, "course").find_elements(By.TAG_NAME, "svg")
