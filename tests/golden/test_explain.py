"""Lineage: facts re-decide every outcome, each was read from the cell named, each printed n and N has patients."""

import json
import re
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from capla_etl import cli
from capla_etl.explain.decisions import records
from capla_etl.explain.lookup import find_patient
from capla_etl.explain.patient import as_text, explain_patient
from capla_etl.paths import ROOT

EXPLAINED = Path(__file__).parent / "explained"


@pytest.fixture(scope="module")
def warehouse(built_warehouse):
    with duckdb.connect(str(built_warehouse), read_only=True) as connection:
        yield connection


@pytest.fixture
def capla(study_run, monkeypatch, capsys):
    """Runs ``capla`` on the published warehouse: exit status, what it printed, what it said of errors."""
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(study_run.warehouse))

    def run(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(list(arguments))
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


# -------------------------------------------------------------------------- the facts decide, by the protocol's numbers


def _surely_below(fact, limit):
    return fact["value"] < limit if fact["comparator"] is None else fact["comparator"] == "<" and fact["value"] <= limit


def _response(facts):
    count, following, ldh = facts.get("count"), facts.get("next count"), facts.get("LDH in the window")
    if not count:
        return "no" if "death" in facts or facts["last seen"]["day"] >= 90 else "not_evaluable"
    held = count["value"] >= 150 and following["value"] >= 150 and 1 <= following["day"] - count["day"] <= 3
    return "yes" if held and (ldh is None or (ldh["value"] < 1.5 and 0 <= count["day"] - ldh["day"] <= 3)) else "no"


def _refractory(facts):
    fifth, count, ldh = facts.get("5th TPE day"), facts.get("first count after it"), facts.get("LDH in the window")
    if "response" in facts:
        return "no", "no"
    if not fifth or not count or (count["value"] < 50 and not ldh):
        return "not_evaluable", "not_evaluable"
    assert 1 <= count["day"] - fifth["day"] <= 2
    if count["value"] < 50 and ldh["value"] > 1.5 and 0 <= count["day"] - ldh["day"] <= 3:
        return "yes", "yes" if count["value"] < 30 else "no"
    return "no", "no"


def _confirmed(facts):
    fall, following, tpe = facts["count below 150"], facts.get("next count"), facts.get("TPE answering it")
    held = following is not None and following["value"] < 150 and 1 <= following["day"] - fall["day"] <= 3
    return fall["value"] < 150 and (held or (tpe is not None and 0 <= tpe["day"] - fall["day"] <= 3))


def _exacerbation(facts):
    if "count below 150" in facts:
        soon = 1 <= facts["count below 150"]["day"] - facts["last therapy day"]["day"] <= 30
        return "yes" if _confirmed(facts) and soon else "contradiction"
    return "no" if "remission" in facts else "not_evaluable"


def _remission_day(facts):
    """Day of remission; None without."""
    if activity := facts.get("recovered ADAMTS13"):
        assert activity["value"] >= 20 and activity["comparator"] != "<" and activity["day"] >= facts["response"]["day"]
        return activity["day"]
    if pause := facts.get("30 days without therapy"):
        assert pause["day"] == max(facts["last therapy day"]["day"], facts["response"]["day"]) + 30
        return pause["day"]
    return None


def _relapse(facts):
    if "count below 150" not in facts:
        return ("no" if "remission" in facts else "not_evaluable"), None
    fall, activity = facts["count below 150"], facts.get("deficient ADAMTS13")
    assert _confirmed(facts) and fall["day"] > facts["remission before it"]["day"]
    assert activity is None or (_surely_below(activity, 10) and abs(activity["day"] - fall["day"]) <= 7)
    return "yes", "confirmed" if activity else "unconfirmed"


def _after_stop(exacerbations):
    judged = []
    for facts in exacerbations:
        end, activity = facts.get("end of the course before it"), facts.get("latest activity by then")
        assert end is None or end["day"] < facts["exacerbation"]["day"]
        below = activity and _surely_below(activity, 10)
        detectable = activity and activity["comparator"] != "<" and activity["value"] >= 10
        judged.append("no" if detectable else "yes" if below and end else "unknown")
    return "yes" if "yes" in judged else "unknown" if "unknown" in judged else "no"


def test_the_facts_re_decide_every_outcome_of_every_patient(warehouse):
    """PROTOCOL 3 by hand, from the evidence alone: nothing else of the patient is looked at."""
    evidence = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for fact in records(
        warehouse, "select * from outcomes.outcome_evidence where rule_set = 'iwg2021' and outcome <> 'tpe_to_response'"
    ):
        evidence[fact["patient_id"]][fact["outcome"]][fact["occurrence"]][fact["role"]] = fact
    outcomes = records(warehouse, "select * from outcomes.patient_outcome")
    kinds = defaultdict(set)
    for decided in outcomes:
        facts = evidence[decided["patient_id"]]
        first = {outcome: occurrences.get(1, {}) for outcome, occurrences in facts.items()}
        again = {
            "response": _response(first["response"]),
            "exacerbation": _exacerbation(first["exacerbation"]),
            "remission_day": _remission_day(first["remission"]),
        }
        again["refractory"], again["severe_refractory"] = _refractory(first["refractory"])
        again["relapse"], again["relapse_status"] = _relapse(first["relapse"])
        assert again == {name: decided[name] for name in again}, decided["patient_id"]
        for name in (
            "response",
            "refractory",
            "severe_refractory",
            "exacerbation",
            "relapse",
            "relapse_status",
            "remission",
        ):
            kinds[name].add(decided[name])

        response, recovered = (
            first["response"].get("count"),
            first.get("adamts13_recovery", {}).get("recovered ADAMTS13"),
        )
        assert decided["response_day"] == (response and response["day"])
        assert decided["adamts13_recovery_day"] == (recovered and recovered["day"])
        assert recovered is None or (recovered["value"] >= 20 and recovered["day"] >= 1)
        end = first["died_by_day_90"]
        expected = (
            "yes"
            if "death" in end and end["death"]["day"] <= 90
            else "no"
            if max(f["day"] for f in end.values()) >= 90
            else "unknown"
        )
        assert decided["died_by_day_90"] == expected
        stops = list(facts.get("exacerbation_after_stop_undetectable", {}).values())
        if stops:
            assert decided["exacerbation_after_stop_undetectable"] == _after_stop(stops)
        assert decided["exacerbation_count"] == (len(facts["exacerbation"]) if again["exacerbation"] == "yes" else 0)
    assert kinds["refractory"] == {"yes", "no", "not_evaluable"} and kinds["severe_refractory"] == {
        "yes",
        "no",
        "not_evaluable",
    }
    assert kinds["exacerbation"] == {"yes", "no", "not_evaluable"} and kinds["relapse_status"] >= {"confirmed", None}


def test_exchanges_to_response_are_listed_one_by_one(warehouse):
    different = warehouse.execute(
        """select count(*) from outcomes.patient_outcome o
        left join (select patient_id, count(*) as days, sum(value) as sessions from outcomes.outcome_evidence
                   where rule_set = 'iwg2021' and outcome = 'tpe_to_response' group by 1) e using (patient_id)
        where o.tpe_days_to_response is distinct from e.days or o.tpe_sessions_to_response is distinct from
            e.sessions"""
    ).fetchone()
    assert different == (0,)


# ----------------------------------------------------------------------- each fact was read from the cell that is named


def test_a_fact_is_the_result_that_counts_of_its_day(warehouse):
    """PROTOCOL 2, under every rule set; some days have several results."""
    daily = """case e.kind when 'platelets' then d.platelets_10e9_per_l when 'ldh' then d.ldh_x_uln
        else d.adamts13_percent end"""
    comparator = "case when e.kind = 'adamts13' then d.adamts13_comparator end"
    different = f"""select count(*) from outcomes.outcome_evidence e left join marts.daily_series d using (patient_id,
        day)
        where e.kind in ('platelets', 'ldh', 'adamts13') and (e.value is distinct from {daily} or e.comparator is
            distinct from {comparator})"""
    assert warehouse.execute(different).fetchone() == (0,)
    several = """select count(*) from outcomes.outcome_evidence e where e.source_table = 'lab_result' and e.kind <>
        'last_seen' and
        (select count(*) from marts.lab_result r where r.patient_id = e.patient_id and r.analyte = e.kind and r.day =
            e.day) > 1"""
    assert warehouse.execute(several).fetchone()[0] > 0


def test_every_fact_but_a_derived_one_has_its_row_and_its_cells(warehouse):
    without = """select count(*) from outcomes.outcome_evidence e
        left join (select distinct patient_id, kind, source_table, source_number from outcomes.evidence_cell where
            field <> 'centre_patient_id') c
            using (patient_id, kind, source_table, source_number)
        where (e.kind = 'derived') <> (e.source_row is null) or (e.kind <> 'derived' and c.patient_id is null)"""
    assert warehouse.execute(without).fetchone() == (0,)


FACTORS = {"platelets": (1, 0.001), "ldh": (1,), "adamts13": (1, 100)}


def _is_what_is_written(fact, cells) -> bool:
    """Whether the value follows from the text: as written, per mm3 or mL, over the upper limit of normal, or a code."""
    written, *others = cells
    declared = written["declared"] or ""
    if f"{written['raw_text']} stands for {fact['comparator']}{fact['value']:g}" in declared:
        return True
    numbers = [
        float(text.replace(",", ".")) for text in re.findall(r"\d+(?:[.,]\d+)?", written["raw_text"].replace(" ", ""))
    ]
    limits = [float(o["raw_text"]) for o in others if re.fullmatch(r"\d+([.,]0)?", o["raw_text"])] + [
        float(n) for n in re.findall(r"normal (\d+)", declared)
    ]
    factors = [*FACTORS[fact["kind"]], *(1 / limit for limit in limits if fact["kind"] == "ldh")]
    return len(numbers) == 1 and any(
        abs(numbers[0] * factor - fact["value"]) < 1e-9 * max(1, fact["value"]) for factor in factors
    )


def test_every_laboratory_fact_is_written_in_exactly_one_row(warehouse):
    """The row as sent, found without the spec, names the patient and holds value and day; nothing is guessed."""
    facts = records(
        warehouse,
        """select distinct e.patient_id, e.kind, e.value, e.comparator, e.source_table, e.source_number, e.source_file,
            e.source_sheet, e.source_row,
                  p.centre_id, p.centre_patient_id
           from outcomes.outcome_evidence e join marts.patient p using (patient_id)
           where e.rule_set = 'iwg2021' and e.kind in ('platelets', 'ldh', 'adamts13')""",
    )
    raw_rows = defaultdict(list)
    for (table,) in warehouse.execute("select table_name from duckdb_tables() where schema_name = 'raw'").fetchall():
        named = "(source_file, source_sheet, source_row)"
        of_facts = f"{named} in (select {named} from outcomes.outcome_evidence)"
        for place in warehouse.execute(
            f'select source_file, source_sheet, source_row from raw."{table}" where {of_facts}'
        ).fetchall():
            raw_rows[(table.split("__")[0].upper(), *place)].append(table)
    cells = defaultdict(list)
    for cell in records(
        warehouse,
        "select * from outcomes.evidence_cell order by patient_id, kind, source_table, source_number, cell_number",
    ):
        cells[(cell["patient_id"], cell["kind"], cell["source_table"], cell["source_number"])].append(cell)
    corrected = set(warehouse.execute("select centre_id, file, sheet, row_number from quality.correction").fetchall())
    assert len(facts) > 5000
    for fact in facts:
        place = (fact["centre_id"], fact["source_file"], fact["source_sheet"], fact["source_row"])
        own = cells[(fact["patient_id"], fact["kind"], fact["source_table"], fact["source_number"])]
        assert raw_rows[place] == [own[0]["raw_table"]], place
        assert own[0]["field"] == "centre_patient_id" and own[0]["raw_text"].strip() == fact["centre_patient_id"]
        of_value = [cell for cell in own if cell["field"] in ("platelets_10e9_per_l", "ldh_x_uln", "adamts13_percent")]
        assert place in corrected or _is_what_is_written(fact, of_value), (fact, of_value)


def test_the_date_beside_a_result_is_its_day(warehouse):
    """FR01 writes 13/01/2021."""
    rows = records(
        warehouse,
        """select e.day, p.day0_date, c.raw_text from outcomes.outcome_evidence e join marts.patient p using
            (patient_id)
           join outcomes.evidence_cell c using (patient_id, kind, source_table, source_number)
           where p.centre_id = 'FR01' and e.rule_set = 'iwg2021' and c.field in ('result_date', 'session_date')""",
    )
    assert len(rows) > 1000
    assert all(
        (row["day0_date"] + timedelta(row["day"])).strftime("%d/%m/%Y") == row["raw_text"].strip() for row in rows
    )


# ---------------------------------------------------------------------------- every printed n and N is made of patients


def test_members_of_every_printed_number_count_to_its_n_and_N(warehouse):
    wrong = """
        with members as (
            select table_id, "row", "group", count(*) filter (counted = 'numerator') as numerator, count(*) filter
            (counted = 'value') as value_known,
                   count(*) filter (counted = 'denominator') as denominator, count(distinct (patient_id, counted)) as
                   different, count(*) as listed
            from study.result_patient group by all
        )
        select r.table_id, r."row", r."group", r.statistic, r.n, r.n_assessed, m.* exclude (table_id, "row", "group")
        from study.result r left join members m using (table_id, "row", "group")
        where r.table_id in ('flow', 'table1', 'table2', 'table3', 'table4', 'table5', 'table6')
            and not (r.table_id = 'flow' and (r."row" like '%rows_%' or r."row" like 'values_%'))
            and (r.n <> coalesce(case when r.statistic in ('percent', 'count') then m.numerator else m.value_known end,
            0)
                 or r.n_assessed <> coalesce(m.denominator, 0) or m.different <> m.listed)"""
    assert warehouse.execute(wrong).fetchall() == []


def test_a_patient_of_a_numerator_is_in_the_denominator(warehouse):
    outside = """select count(*) from study.result_patient n where n.counted <> 'denominator' and n.table_id <> 'flow'
        and not exists (
        select 1 from study.result_patient d where (d.table_id, d."row", d."group", d.patient_id, d.counted) =
            (n.table_id, n."row", n."group", n.patient_id, 'denominator'))"""
    assert warehouse.execute(outside).fetchone() == (0,)


# ------------------------------------------------------------------------------ in words


@pytest.mark.parametrize(("centre", "number"), [("FR01", "FR-0010"), ("IT01", "MI_009")])
def test_a_patient_is_told_as_a_person_reads_the_files(warehouse, centre, number):
    """The expected texts were checked against bilans.csv, echanges.csv, patients.csv and dati_milano.xlsx by eye."""
    told = as_text(explain_patient(warehouse, find_patient(warehouse, centre, number), "iwg2021"))
    assert (
        told.split("\n\nPrinted numbers")[0]
        == (EXPLAINED / f"{centre}_{number}.txt").read_text(encoding="utf-8").rstrip()
    )


def test_every_patient_can_be_told(warehouse):
    """Excluded, without day 0, without response, transferred: a sample of all that differs, under every rule set."""
    kinds = warehouse.execute(
        """select min(p.patient_id) from marts.patient p left join outcomes.patient_outcome o using (patient_id)
        group by p.exclusion_reason, p.treatment_group, p.timing, p.delay_reason, o.response, o.refractory,
            o.exacerbation, o.relapse, o.died_by_day_90 order by 1"""
    ).fetchall()
    rule_sets = [r for (r,) in warehouse.execute("select rule_set from outcomes.rule_set order by 1").fetchall()]
    assert len(kinds) > 20
    for number, (patient_id,) in enumerate(kinds):
        text = as_text(explain_patient(warehouse, patient_id, rule_sets[number % len(rule_sets)]))
        assert "Synthetic data" in text and "None" not in text and "nan" not in text, text


def test_capla_explains_a_patient(capla, tmp_path):
    status, printed, _ = capla("explain", "patient", "fr01", "fr-0010", "--plot", str(tmp_path / "one.png"))
    assert (
        status == 0
        and "5th TPE day 4; first count after it day 5: 28 x 10^9/L; LDH 1.884 x ULN (day 5): refractory, severe"
        in printed
    )
    capla("explain", "patient", "FR01", "FR-0010", "--plot", str(tmp_path / "two.png"))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    _, printed, _ = capla("explain", "patient", "FR01", "FR-0010", "--json")
    outcome = next(o for o in json.loads(printed)["outcomes"] if o["outcome"] == "refractory")
    assert outcome["facts"][1]["read_from"]["row"] == 25564


def test_capla_explains_a_result(capla, warehouse):
    status, printed, _ = capla("explain", "result", "table2.refractory.caplacizumab")
    n, n_assessed = warehouse.execute(
        """select n, n_assessed from study.result
        where table_id = 'table2' and "row" = 'refractory' and "group" = 'caplacizumab' and statistic = 'percent'"""
    ).fetchone()
    assert status == 0 and f"n {n} of N {n_assessed}" in printed and printed.count(": refractory") == n
    _, printed, _ = capla("explain", "result", "table2.refractory.caplacizumab", "--json")
    assert len(json.loads(printed)["patients"]) == n


def test_every_printed_number_can_be_explained(warehouse):
    from capla_etl.explain.result import as_text, explain_result

    for name in warehouse.execute(
        'select table_id, "row", min("group") from study.result group by all order by all'
    ).fetchall():
        answer = explain_result(warehouse, *name)
        assert all(patient["why"] for patient in answer["patients"]), name
        assert "Synthetic data" in as_text(answer)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["patient", "FR10", "FR-0010"], "Centres: AT01, BR01"),
        (["patient", "FR01", "FR-00100"], "Closest: FR-0100, FR-0010"),
        (["patient", "FR01", "FR-0010", "--rule-set", "iwg"], "Rule sets: adamts13_plasma_window"),
        (["result", "table2.refractory.capla"], "table2.refractory.caplacizumab"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is_close(capla, arguments, said):
    status, printed, error = capla("explain", *arguments)
    assert status == 1 and printed == "" and said in error and "Traceback" not in error


def test_the_three_questions_of_the_documentation(warehouse):
    queries = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "LINEAGE.md").read_text(encoding="utf-8"), re.S)
    members, facts, cells = (warehouse.execute(query).fetchall() for query in queries)
    assert ("AT01", "15") in members
    assert [fact[0] for fact in facts] == ["5th TPE day", "first count after it", "LDH in the window"]
    assert ("first count after it", "ttp_wien_verlauf.dta", facts[1][5], "thromb", "22", "10^9/L") in cells
