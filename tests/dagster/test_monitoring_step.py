"""Every centre has a check for each family of monitoring, judged after the decision; notices say what is new."""

from dataclasses import replace

import dagster as dg
import pytest

from capla_etl.centres.submissions.status import CentreStatus
from capla_etl.definitions import defs
from capla_etl.defs import automation
from capla_etl.defs.automation import ARRIVED, centre_notices
from capla_etl.defs.centres import ACCEPTED, MONITORING, ON_TIME
from capla_etl.defs.monitoring import accepted, by_family, monitoring_checks
from capla_etl.quality.monitoring.signal import FAMILIES, LOOK, STOP, Signal

STOPS = Signal("XX01", STOP, "level", "median", "age", "age", "a median of 3", "about 50", "As if in decades.", 1e-6, 9)
LOOKS = replace(STOPS, severity=LOOK, quantity="ldh")
CONFIRMED = replace(STOPS, status="confirmed", reason="a children's ward")


@pytest.fixture(scope="module")
def graph():
    return defs.resolve_asset_graph()


def test_each_centre_has_a_check_for_each_family_and_none_stops_a_run(graph):
    for centre in (key for key in graph.get_all_asset_keys() if key.path[0] == "centre"):
        checks = graph.get_check_keys_for_assets({centre})
        assert {key.name for key in checks} == {ACCEPTED, ON_TIME, *FAMILIES}
        assert not any(graph.get_check_spec(key).blocking for key in checks)


def test_whether_a_submission_is_accepted_is_judged_after_the_decision():
    for spec in monitoring_checks.check_specs:
        decided = {".".join(dep.asset_key.path) for dep in spec.additional_deps}
        assert decided >= set(MONITORING)


def test_the_decision_comes_before_the_tables_of_all_centres(graph):
    upstream = graph.get(dg.AssetKey(["harmonised", "patient"])).parent_keys
    assert dg.AssetKey(["quality", "signal"]) in upstream


@pytest.mark.parametrize(
    ("signals", "passed", "severity", "said"),
    [
        ([], True, "ERROR", "no open signal; 5 checks judged, 1 not"),
        ([CONFIRMED], True, "ERROR", "no open signal; 5 checks judged, 1 not"),
        ([LOOKS], False, "WARN", "0 to stop, 1 to look at; 5 checks judged, 1 not"),
        ([STOPS], False, "ERROR", "1 to stop, 0 to look at; 5 checks judged, 1 not"),
        ([STOPS, LOOKS], False, "ERROR", "1 to stop, 1 to look at; 5 checks judged, 1 not"),
        ([CONFIRMED, LOOKS], False, "WARN", "0 to stop, 1 to look at; 5 checks judged, 1 not"),
    ],
)
def test_an_open_stop_is_an_error_and_a_look_a_warning(signals, passed, severity, said):
    result = by_family("XX01", "level", signals, {"yes": 5, "no": 1})
    assert (result.passed, result.severity.value, result.description) == (passed, severity, said)
    assert result.metadata["checks judged"].value == 5 and result.metadata["checks not judged"].value == 1
    assert result.metadata["signals"].value.count("As if in decades.") == len(signals)


@pytest.mark.parametrize(
    ("status", "passed"), [("current", True), ("waiting", True), ("held_back", False), ("refused", False)]
)
def test_a_submission_that_is_held_back_is_not_accepted_and_says_why(status, passed):
    problems = [] if passed else ["S-1: patients.csv: As if in decades."]
    result = accepted(CentreStatus("XX01", "Nowhere", "XX", status, None, None, problems, None))
    assert result.passed is passed
    if status == "held_back":
        assert "central monitoring holds the newest submission back" in result.description
    if problems:
        assert result.metadata["problems"].value == f"- {problems[0]}"


def test_a_run_looks_at_every_centre_again(monkeypatch):
    """AT01 did not send: what FR01 sent may show it to be the odd one. Whether it is late is not asked again."""
    found = automation.Arrivals(ready={"FR01": "a" * 64}, seen={"FR01": {}})
    monkeypatch.setattr(automation, "look", lambda seen: found)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, repository_def=defs.get_repository_def())
        (request,) = automation.submissions(context).run_requests
    of = {
        centre: {k.name for k in request.asset_check_keys if k.asset_key.path[-1] == centre}
        for centre in ("AT01", "FR01")
    }
    assert of == {"AT01": {ACCEPTED, *FAMILIES}, "FR01": {ACCEPTED, ON_TIME, *FAMILIES}}
    job = defs.resolve_job_def("study")
    keys = {"asset_selection": set(request.asset_selection), "asset_check_selection": set(request.asset_check_keys)}
    steps = {node.name for node in job.get_subset(**keys).nodes}
    assert "monitoring_checks" in steps and "centre__FR01" in steps and "centre__AT01" not in steps


# ------------------------------------------------------------------ notices

HELD_BACK = CentreStatus("XX01", "Nowhere", "XX", "held_back", None, None, ["S-1: As if in decades."], None)
CURRENT = replace(HELD_BACK, status="current", problems=[])


@pytest.fixture
def notices():
    """The notices of a run: (status, signals, centres that sent or None for all) -> titles and texts."""
    now = {}

    @dg.asset(
        key=["centre", "XX01"],
        check_specs=[dg.AssetCheckSpec(name, asset=dg.AssetKey(["centre", "XX01"])) for name in (ACCEPTED, "level")],
    )
    def centre():
        results = [accepted(now["status"]), by_family("XX01", "level", now["signals"], {"yes": 1, "no": 0})]
        return dg.MaterializeResult(check_results=results)

    with dg.DagsterInstance.ephemeral() as instance:

        def run(status: CentreStatus, signals: list[Signal], sent: str | None = None) -> list[tuple[str, str]]:
            now.update(status=status, signals=signals)
            tags = {ARRIVED: sent} if sent else {}
            ran = dg.materialize([centre], instance=instance, tags=tags)
            return [(notice.title, notice.text) for notice in centre_notices(instance, ran.dagster_run)]

        yield run


def test_a_notice_says_what_is_held_back_and_why(notices):
    ((title, text),) = notices(HELD_BACK, [STOPS], sent="XX01")
    assert title == "capla_etl: the newest submission of XX01 is not in the study"
    assert "central monitoring holds the newest submission back" in text and "S-1: As if in decades." in text


def test_a_centre_that_is_held_back_still_is_said_again_only_if_it_sent_or_all_were_read(notices):
    notices(HELD_BACK, [STOPS], sent="XX01")
    assert notices(HELD_BACK, [STOPS], sent="AT01") == []
    assert len(notices(HELD_BACK, [STOPS], sent="AT01,XX01")) == 1
    assert len(notices(HELD_BACK, [STOPS])) == 1
    assert len(notices(replace(HELD_BACK, problems=["S-2: other"]), [STOPS], sent="AT01")) == 1, "another reason"


def test_a_centre_in_the_study_that_another_ones_arrival_makes_odd_is_said_once(notices):
    assert notices(CURRENT, [], sent="XX01") == []
    ((title, text),) = notices(CURRENT, [STOPS], sent="AT01")
    assert title == "capla_etl: monitoring now objects to XX01, which is in the study and stays in it"
    assert "As if in decades." in text
    assert notices(CURRENT, [STOPS], sent="AT01") == []
    other = replace(STOPS, quantity="hemoglobin")
    assert len(notices(CURRENT, [STOPS, other], sent="AT01")) == 1


def test_a_signal_to_look_at_and_a_confirmed_one_deserve_no_notice(notices):
    assert notices(CURRENT, [LOOKS, CONFIRMED]) == []
