"""The protected profile: no small count survives or follows from what is printed, and nothing switches that off.

Zero stays zero: an absence points at nobody. The attacker of these tests knows the rules, how the counts add up, and
which printed counts were suppressed for being small; he takes the interval of true counts from every rounded one and
solves for the others by integer programming.
"""

import inspect
import random
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.optimize import Bounds, LinearConstraint, milp
from study_frames import CONTROL, DELAYED, EARLY, ledger, outcomes, patients, quarantine, value

from capla_etl.disclosure import profiles, protect, protected_curves, protected_results, suppression
from capla_etl.disclosure.protected_curves import protect_curve
from capla_etl.disclosure.protected_results import Publication, protect_results
from capla_etl.disclosure.suppression import CountRules, Counts, suppress
from capla_etl.report import protected
from capla_etl.report.figures import study_figures
from capla_etl.tables import as_published, flow, table1, table5, table6, table7
from capla_etl.tables import table2_to_4 as outcome_tables
from capla_etl.tables.curves import response_incidence, response_incidence_curve, survival_curve, survival_table
from capla_etl.tables.results import COLUMNS, cell, frame

RULES = CountRules(suppress_below=10, round_to=5, possible_values_from=5, possible_unprinted_from=3)
PROTECTED = profiles.profile("protected")


class Attacker:
    """Everything that can be said of true counts from printed ones and their sums."""

    def __init__(self, sums: list[tuple[str, list[str]]], printed: dict[str, float | None], small: set[str]) -> None:
        self.names = sorted({name for whole, parts in sums for name in (whole, *parts)} | set(printed))
        self.matrix = np.zeros((len(sums), len(self.names)))
        for line, (whole, parts) in enumerate(sums):
            for name, sign in ((whole, 1), *((part, -1) for part in parts)):
                self.matrix[line, self.names.index(name)] += sign
        limits = [self._limits(name, printed, small) for name in self.names]
        self.bounds = Bounds([low for low, _ in limits], [high for _, high in limits])

    @staticmethod
    def _limits(name: str, printed: dict, small: set[str]) -> tuple[float, float]:
        if name not in printed:
            return 0, 5000
        number = printed[name]
        if number is None:
            return 1, 9 if name in small else 5000
        return (0, 0) if number == 0 else (max(10, number - 2), number + 2)

    def interval(self, name: str) -> tuple[float, float]:
        ends = []
        for sign in (1, -1):
            goal = sign * np.eye(len(self.names))[self.names.index(name)]
            solved = milp(
                goal,
                integrality=np.ones(len(self.names)),
                bounds=self.bounds,
                constraints=LinearConstraint(self.matrix, 0, 0),
            )
            assert solved.success, f"no true counts give these printed ones: {solved.message}"
            ends.append(round(sign * solved.fun))
        return tuple(ends)


class CurveAttacker:
    """What can be said of the events by day from a table, its curve and the numbers at risk of one group, all together.

    He knows that nobody dies after leaving, that a curve changes only by ten or more, why it did not change on the
    other fixed days, and (more than a reader
    can) by how much the censored may raise an estimate above the events: ``weight``.
    """

    FAR = 5000

    def __init__(
        self,
        patients: int,
        points: dict[int, float | None],
        at_risk: dict[int, int],
        curve: dict[int, int],
        weight: int,
        events: int | None,
    ) -> None:
        """By day: ``points`` events of the table (None: one to nine or withheld), ``at_risk``, ``curve`` events drawn.

        ``events``: the printed number of all.
        """
        self.bounds, self.rules, self.zeros = {}, [], 0
        self._range("N", (max(10, patients - 2), patients + 2))
        days = sorted({*points, *at_risk, *curve})
        for day in days:
            self._range(f"c{day}", self._of(points.get(day, -1)))
            self._range(f"e{day}", (0, self.FAR))
            self._range(f"before{day}", (0, self.FAR))
            self._range(f"left{day}", self._of(at_risk.get(day, -1)))
            self._rule({f"c{day}": 1, f"e{day}": -1}, 0, weight)
            self._rule({f"e{day}": 1, f"before{day}": -1}, 0)
        self._rule({"N": 1, f"left{days[0]}": -1}, 0, 0)
        self._rule({f"before{days[0]}": 1}, 0, 0)
        for day, after in zip(days, days[1:], strict=False):
            self._rule({f"c{after}": 1, f"c{day}": -1}, 0)
            self._rule({f"before{after}": 1, f"e{day}": -1}, 0)
            self._rule({f"left{day}": 1, f"left{after}": -1, f"before{after}": -1, f"before{day}": 1}, 0)
        if events is not None:
            self._rule({f"e{days[-1]}": 1}, *self._of(events))
        shown, last = 0, max(curve, default=0)
        for day in sorted(curve)[1:]:
            if curve[day] != curve[shown]:
                self._rule({f"c{day}": 1}, *self._of(curve[day]))
                self._rule({f"c{day}": 1, f"c{shown}": -1}, 10)
                shown = day
            else:
                self.zeros += 1
                self._range(f"z{self.zeros}", (0, 1))
                self._rule({f"c{day}": 1, f"c{shown}": -1, f"z{self.zeros}": -self.FAR}, -self.FAR, 9)
                self._rule({f"c{last}": 1, f"c{day}": -1, f"z{self.zeros}": self.FAR}, -self.FAR, 9 + self.FAR)
        self.counts = (
            [f"c{day}" for day in points if points[day]]
            + [f"c{day}" for day in curve if curve[day]]
            + ["N", *(f"left{day}" for day in at_risk)]
        )

    def _of(self, number: float | None) -> tuple[float, float]:
        if number is None or number == -1:
            return 0, self.FAR
        return (0, 0) if number == 0 else (max(10, number - 2), number + 2)

    def _range(self, name: str, limits: tuple[float, float]) -> None:
        self.bounds[name] = limits

    def _rule(self, factors: dict[str, float], low: float, high: float = np.inf) -> None:
        self.rules.append((factors, low, high))

    def possible(self, name: str) -> tuple[int, int]:
        """The smallest and the largest value of a count that all that is printed allows."""
        names = list(self.bounds)
        matrix = np.array([[factors.get(known, 0) for known in names] for factors, _, _ in self.rules], float)
        limits = LinearConstraint(matrix, [low for _, low, _ in self.rules], [high for _, _, high in self.rules])
        bounds, ends = Bounds(*np.array(list(self.bounds.values()), float).T), []
        for sign in (1, -1):
            solved = milp(
                sign * np.eye(len(names))[names.index(name)],
                integrality=np.ones(len(names)),
                bounds=bounds,
                constraints=limits,
            )
            assert solved.success, f"no true counts give these printed ones: {solved.message}"
            ends.append(round(sign * solved.fun))
        return tuple(ends)


# -----------------------------------------------------------------------------------------------------------------
# profiles


@pytest.mark.parametrize("name", ["", "Protected", "public", "none"])
def test_an_unknown_profile_is_an_error(name):
    with pytest.raises(ValueError, match="no profile"):
        protect.apply(name, frame([]), {})


def test_journal_shows_everything_as_computed():
    results = frame([cell("table1", "coma", "control", "count", 3, n=3, method="count")])
    assert protect.apply("journal", results, {})[0] is results


@pytest.mark.parametrize(
    ("threshold", "looser"),
    [
        ("suppress_below", 9),
        ("round_to", 1),
        ("possible_values_from", 1),
        ("possible_unprinted_from", 1),
        ("quartiles_from_patients", 39),
        ("curves_from_at_risk", 19),
        ("curve_step_days", 1),
        ("p_significant_digits", 6),
        ("smd_decimals", 5),
        ("another", 1),
    ],
)
def test_thresholds_cannot_be_loosened_where_they_are_declared(threshold, looser):
    with pytest.raises(ValidationError):
        profiles.Protection(**(PROTECTED.protection.model_dump() | {threshold: looser}))


def test_only_the_journal_profile_may_be_without_protection(tmp_path, monkeypatch):
    (tmp_path / "profiles.yml").write_text("protected: {protection: none, notice: ''}")
    monkeypatch.setattr(profiles, "PROFILES", tmp_path / "profiles.yml")
    with pytest.raises(ValueError, match="only the profile journal"):
        profiles.profiles.__wrapped__()


def test_nothing_switches_suppression_off():
    """No environment variable is read; the functions that users reach take data and a profile's name, nothing else."""
    for module in (profiles, protect, protected_results, protected_curves, suppression, protected):
        assert not re.search(r"environ|getenv|argparse", inspect.getsource(module))
    assert list(inspect.signature(protect.apply).parameters) == ["name", "results", "curves", "earlier"]
    assert "profile" not in inspect.signature(protected.write_protected).parameters


# ------------------------------------------------------------------------------------------------------------- single
# counts


@pytest.mark.parametrize(
    ("count", "shown"), [(0, 0), (1, None), (9, None), (10, 10), (12, 10), (13, 15), (17, 15), (18, 20)]
)
def test_one_to_nine_are_suppressed_and_the_others_rounded(count, shown):
    assert suppress(Counts(shown={"n": count}), RULES) == {"n": shown}


@pytest.mark.parametrize(
    ("whole", "parts", "why"),
    [
        (42, [38, 4], "42 and 38 both print as 40: the rest would be 1 to 4"),
        (12, [10, 1, 1], "12 prints as 10, so two more patients at most: one each"),
        (29, [10, 10, 9], "the rest of 30 would be 4 to 9"),
    ],
)
def test_another_count_goes_where_a_small_one_would_follow(whole, parts, why):
    names = [f"part {number}" for number in range(len(parts))]
    shown = {"whole": whole, **dict(zip(names, parts, strict=True))}
    printed = suppress(Counts(shown=dict(shown), sums=[("whole", tuple(names))]), RULES)
    small = {name for name, count in shown.items() if 0 < count < 10}
    attacker = Attacker([("whole", names)], printed, small)
    for name in small:
        low, high = attacker.interval(name)
        assert high - low + 1 >= RULES.possible_values_from, why


def test_counts_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="add up to 11"):
        suppress(Counts(shown={"whole": 12, "a": 10, "b": 1}, sums=[("whole", ("a", "b"))]), RULES)


@pytest.mark.parametrize("seed", range(30))
def test_no_small_count_follows_in_random_tables(seed):
    """Rows by columns with both margins, many zeros and small counts."""
    draw = random.Random(seed)
    rows, columns = draw.randint(2, 4), draw.randint(2, 3)
    true = {
        (r, c): draw.choice([0, 0, draw.randint(1, 9), draw.randint(1, 12), draw.randint(9, 14), draw.randint(10, 300)])
        for r in range(rows)
        for c in range(columns)
    }
    shown = {f"{r} {c}": count for (r, c), count in true.items()}
    shown |= {f"row {r}": sum(true[r, c] for c in range(columns)) for r in range(rows)}
    shown |= {f"column {c}": sum(true[r, c] for r in range(rows)) for c in range(columns)}
    shown["all"] = sum(true.values())
    sums = [(f"row {r}", [f"{r} {c}" for c in range(columns)]) for r in range(rows)] + [
        (f"column {c}", [f"{r} {c}" for r in range(rows)]) for c in range(columns)
    ]
    sums += [("all", [f"row {r}" for r in range(rows)]), ("all", [f"column {c}" for c in range(columns)])]
    printed = suppress(Counts(shown=dict(shown), sums=[(whole, tuple(parts)) for whole, parts in sums]), RULES)

    small = {name for name, count in shown.items() if 0 < count < 10}
    assert all(printed[name] is None for name in small)
    assert all(printed[name] == 0 for name, count in shown.items() if count == 0)
    assert all(
        printed[name] is None or printed[name] % 5 == 0 and abs(printed[name] - count) <= 2
        for name, count in shown.items()
    )
    # Where nothing but suppressed counts and zeros is left, the label alone ("or such a count would follow") is what he
    # knows.
    something_printed = any(printed.values())
    attacker = Attacker(sums, printed, small if something_printed else set())
    for name in small:
        low, high = attacker.interval(name)
        assert low <= shown[name] <= high
        assert low < high, f"{name} is {shown[name]}: {printed}"


# -------------------------------------------------------------------------------------------------------------------
# study

FOLLOW_UP = {"follow_up_days": 90}


def _random_study(seed: int, size: int) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """All tables and curves of a study of random patients."""
    draw = random.Random(seed)
    lines, ends, said = [], [], []
    for _ in range(size):
        group = draw.choice(
            [
                EARLY,
                EARLY,
                EARLY,
                DELAYED,
                DELAYED | {"delay_reason": "rescue"},
                {"timing": "unknown"},
                CONTROL,
                CONTROL,
            ]
        )
        line = group | {
            name: draw.choices(["yes", "no", "unknown"], [3, 5, 1])[0]
            for name in ("coma", "first_episode", "rituximab", "corticosteroids")
        }
        line |= {
            "age_years": draw.randint(18, 90),
            "french_severity_score": draw.choice([0, 1, 1, 2, 2, 3, 4]),
            "sex": draw.choice(["female", "female", "male"]),
        }
        dead = draw.random() < 0.12
        if dead:
            line |= {
                "died": "yes",
                "death_day": draw.randint(1, 90),
                "death_cause": draw.choice(["iTTP", "iTTP", "iTTP", "cardiac", "infection", None]),
            }
        elif draw.random() < 0.1:
            line |= {"last_seen_day": draw.randint(5, 89)}
        if draw.random() < 0.08:
            lines.append(
                line | {"eligible": False, "exclusion_reason": draw.choice(["not_ittp", "under_18", "no_tpe"])}
            )
            continue
        responded = not dead and draw.random() < 0.93
        end = {
            "response": "yes" if responded else "no",
            "response_day": draw.randint(1, 30) if responded else None,
            "failure": "no" if responded else "yes",
            "died_by_day_90": "yes" if dead else "no",
            "refractory": draw.choices(["yes", "no", "not_evaluable"], [2, 8, 0.5])[0],
            "exacerbation": draw.choices(["yes", "no", "not_evaluable"], [2, 8, 1])[0],
            "refractory_assessment_day": 6,
            "exacerbation_day": None,
            "days_from_caplacizumab_to_response": draw.randint(0, 9)
            if responded and group.get("timing") in ("early", "delayed")
            else None,
        }
        lines.append(line)
        ends.append({"patient_id": f"p{len(lines) - 1}"} | end)
        said.append(
            {
                "patient_id": f"p{len(lines) - 1}",
                "response_day": draw.choice([end["response_day"], 7]),
                **{
                    name: draw.choices([end[name], "yes", "no", "unknown"], [20, 1, 1, 1])[0]
                    for name in ("refractory", "exacerbation")
                },
            }
        )
    patient, outcome = patients(*lines), outcomes(*ends)
    kinds = ["major_bleeding", "crnm_bleeding", "minor_bleeding", "injection_site_reaction", "other"]
    assessed = pd.DataFrame(
        [
            (p, kind, draw.choices(["yes", "no", "unknown"], [1, 9, 1])[0])
            for p in outcome["patient_id"]
            for kind in kinds
        ],
        columns=["patient_id", "kind", "occurred"],
    )
    events = assessed[assessed["occurred"] == "yes"].assign(
        site=lambda f: [draw.choice(["digestive tract", "intracranial", None]) for _ in range(len(f))]
    )
    results = pd.concat(
        [
            flow.flow(patient, ledger(), quarantine("row", "cell")),
            table1.table1(patient),
            outcome_tables.table2(patient, outcome, **FOLLOW_UP),
            outcome_tables.table3(patient, outcome, **FOLLOW_UP),
            survival_table(patient, **FOLLOW_UP),
            response_incidence(patient, outcome, **FOLLOW_UP),
            table5.table5(patient, assessed, events),
            table6.table6(patient, **FOLLOW_UP),
            table7.table7(patient, outcome, pd.DataFrame(said)),
        ]
    )
    results = pd.concat([results, as_published.as_published(results)], ignore_index=True)
    curves = {
        "survival_curve": survival_curve(patient, **FOLLOW_UP),
        "response_incidence_curve": response_incidence_curve(patient, outcome, **FOLLOW_UP),
    }
    return results, curves


def test_a_handful_of_patients_is_protected_too():
    """Zeros that had to go were taken for ones or more, and the search for what follows from them never ended."""
    protected_results, _ = protect.apply("protected", *_random_study(4, 4))
    assert not protected_results[["n", "n_assessed"]].apply(lambda counts: counts.between(1, 9)).any(axis=None)


@pytest.fixture(
    scope="module", params=[(1, 60), (2, 150), (3, 400)], ids=["60 patients", "150 patients", "400 patients"]
)
def both(request):
    """(as computed, protected, protected curves, curves) of one random study."""
    results, curves = _random_study(*request.param)
    shown, shown_curves = protect.apply("protected", results, curves)
    return results, shown, shown_curves, curves


def test_no_count_from_one_to_nine_is_left(both):
    _, shown, _, _ = both
    own = shown[shown["statistic"] != "published"]
    for column in ("n", "n_assessed"):
        assert not own[column].between(1, 9).any(), column
        assert (own[column].dropna() % 5 == 0).all()
    counts = own[own["statistic"].isin(["count", "at_risk"])]
    assert not counts["value"].between(1, 9).any()


def test_a_suppressed_cell_has_nothing_but_its_reason(both):
    results, shown, _, _ = both
    hidden = shown[shown["caveat"].str.startswith(("suppressed: fewer than 10", "withheld: ")).fillna(False)]
    assert len(hidden)
    assert hidden[["value", "n", "n_assessed", "lower", "upper", "p_value"]].isna().all(axis=None)
    true = results.set_index(["table_id", "row", "group", "statistic"])
    for line in shown[shown["statistic"] == "count"].itertuples():
        before = true.loc[(line.table_id, line.row, line.group, line.statistic)]
        if 0 < before["n"] < 10:
            assert pd.isna(line.value) and line.caveat.startswith("suppressed: fewer than 10")
        if before["n"] == 0:
            assert line.value == 0


def test_no_caveat_counts_patients(both):
    _, shown, _, _ = both
    own = shown[shown["statistic"] != "published"]["caveat"].dropna()
    allowed = own.str.replace(r"fewer than \d+", "", regex=True)
    assert not allowed.str.contains(r"\d").any(), own[allowed.str.contains(r"\d")].unique()


def test_a_percentage_follows_from_the_printed_counts_alone(both):
    _, shown, _, _ = both
    percents = shown[(shown["statistic"] == "percent") & shown["n"].notna()]
    assert np.allclose(
        percents["value"].astype(float), 100 * percents["n"].astype(float) / percents["n_assessed"].astype(float)
    )


def test_neither_those_with_nor_those_without_are_few(both):
    results, shown, _, _ = both
    kept = shown[(shown["statistic"] == "percent") & shown["value"].notna()].merge(
        results, on=["table_id", "row", "group", "statistic"], suffixes=("", "_true")
    )
    without = (kept["n_assessed_true"] - kept["n_true"]).dropna()
    assert not without.between(1, 9).any() and not kept["n_true"].dropna().between(1, 9).any()


def test_quartiles_need_forty_patients(both):
    results, shown, _, _ = both
    kept = shown[shown["statistic"].isin(["median", "q1", "q3"]) & shown["value"].notna()].merge(
        results, on=["table_id", "row", "group", "statistic"], suffixes=("", "_true")
    )
    assert (kept["n_true"] >= 40).all()


def test_no_numbers_by_centre(both):
    _, shown, _, _ = both
    assert set(shown.loc[shown["table_id"] == "flow", "group"]) == {"all"}


@pytest.mark.parametrize("place", [("table99", "new", "all"), ("flow", "new", "all"), ("flow", "eligible", "FR01")])
def test_what_the_profile_does_not_know_is_left_out(place):
    known, new = (cell(*where, "count", 50, n=50, method="count") for where in (("flow", "eligible", "all"), place))
    shown, _ = protect.apply("protected", frame([known, new]), {})
    assert shown[["table_id", "row", "group"]].to_numpy().tolist() == [["flow", "eligible", "all"]]


def test_the_published_table_shows_what_the_other_tables_show(both):
    _, shown, _, _ = both
    died = value(shown[shown["table_id"] == "table6"], "deaths", "caplacizumab", "count")
    beside = value(
        shown[shown["table_id"] == "as_published"], "major_bleeding_intracranial", "caplacizumab", "computed"
    )
    source = value(shown[shown["table_id"] == "table5"], "major_bleeding_intracranial", "caplacizumab", "count")
    assert (
        beside["value"] is source["value"]
        or beside["value"] == source["value"]
        or pd.isna(beside["value"])
        and pd.isna(source["value"])
    )
    table2 = value(shown[shown["table_id"] == "table2"], "died_by_day_90", "caplacizumab", "percent")
    assert pd.isna(died["value"]) <= pd.isna(table2["n"]) or pd.isna(table2["n"])


def _counts(results: pd.DataFrame) -> dict[str, float | None]:
    """The counts of flow, deaths and agreement; None where nothing is printed."""
    kept = results[
        results["table_id"].isin(["flow", "table6", "table7"])
        & results["statistic"].isin(["count", "percent"])
        & results["group"].isin(["all", "caplacizumab", "control", "early", "delayed", "unknown"])
    ]
    found = {
        f"{line.table_id} {line.row} {line.group}": None if pd.isna(line.n) else int(line.n)
        for line in kept.itertuples()
    }
    sizes = kept[(kept["table_id"] == "table7") & kept["row"].str.endswith("agreement")]
    return found | {
        f"table7 N {line.row} {line.group}": None if pd.isna(line.n_assessed) else int(line.n_assessed)
        for line in sizes.itertuples()
    }


def _sums(names: list[str]) -> list[tuple[str, list[str]]]:
    """How the counts of flow, deaths and agreement add up: the whole and its parts."""
    flow = {
        "patient_records": ["excluded", "eligible"],
        "eligible": ["caplacizumab", "control", "group_unknown"],
        "caplacizumab": ["early", "delayed", "timing_unknown"],
        "delayed": ["rescue", "slow_response"],
        "excluded": [name.split()[1] for name in names if name.startswith("flow excluded_")],
    }
    sums = [(f"flow {whole} all", [f"flow {part} all" for part in parts]) for whole, parts in flow.items()]
    causes = sorted({name.split()[1] for name in names if name.startswith("table6 cause_")})
    sums += [
        (f"table6 deaths {g}", [f"table6 {c} {g}" for c in causes])
        for g in ("caplacizumab", "early", "delayed", "unknown", "control")
    ]
    sums += [
        (f"table6 {row} caplacizumab", [f"table6 {row} {t}" for t in ("early", "delayed", "unknown")])
        for row in ("deaths", *causes)
    ]
    for outcome in ("refractory", "exacerbation"):
        four = [f"{outcome}_{name}" for name in ("both_yes", "derived_only", "reported_only", "both_no")]
        for g in ("all", "caplacizumab", "control"):
            sums.append((f"table7 N {outcome}_agreement {g}", [f"table7 {row} {g}" for row in four]))
            sums.append((f"table7 {outcome}_agreement {g}", [f"table7 {four[0]} {g}", f"table7 {four[3]} {g}"]))
        sums += [(f"table7 {row} all", [f"table7 {row} {g}" for g in ("caplacizumab", "control")]) for row in four]
    return sums


def test_no_suppressed_count_follows_from_the_other_cells_of_the_study(both):
    """An attacker who adds up flow, deaths and agreement, told that the same patients died in Table 2 and Table 6."""
    results, shown, _, _ = both
    true, printed = _counts(results), _counts(shown)
    sums = _sums(list(true))
    assert all(true[whole] == sum(true[part] for part in parts) for whole, parts in sums)
    involved = {name for whole, parts in sums for name in (whole, *parts)}
    printed = {name: printed[name] for name in involved}
    small = {name for name in involved if 0 < true[name] < 10}
    assert small and all(printed[name] is None for name in small)
    attacker = Attacker(sums, printed, small)
    for name in small:
        low, high = attacker.interval(name)
        assert low <= true[name] <= high and low < high, f"{name}: {low} to {high}"


@pytest.mark.parametrize(("seed", "before", "after"), [(1, 60, 75), (3, 400, 440)])
def test_no_small_count_follows_from_two_publications_together(seed, before, after):
    """An attacker who has both, adds up all tables of each, and knows which counts grew and which fell between them.

    No count from one to nine follows, nor by how many of one to nine a count moved.
    """
    few = replace(PROTECTED, tables=("flow", "table6", "table7"))
    earlier, now = (_random_study(seed, size)[0] for size in (before, after))
    first = protect_results(earlier, few)
    second = protect_results(now, few, [Publication(earlier, first, same_patients=False)])
    (true_1, true_2), (printed_1, printed_2) = map(_counts, (earlier, now)), map(_counts, (first, second))
    sums, true, printed, moved = [], {}, {}, set()
    for number, counts, shown in ((1, true_1, printed_1), (2, true_2, printed_2)):
        own = [(f"{number} {whole}", [f"{number} {part}" for part in parts]) for whole, parts in _sums(list(counts))]
        involved = {name for whole, parts in own for name in (whole, *parts)}
        sums += own
        true |= {name: counts[name[2:]] for name in involved}
        printed |= {name: shown[name[2:]] for name in involved}
    for name in sorted({name[2:] for name in true}):
        if f"1 {name}" in true and f"2 {name}" in true:
            more, less = (f"{n} {name}" for n in ((2, 1) if true[f"2 {name}"] >= true[f"1 {name}"] else (1, 2)))
            sums.append((more, [less, f"moved {name}"]))
            true[f"moved {name}"] = true[more] - true[less]
            moved.add(f"moved {name}")
    assert all(true[whole] == sum(true[part] for part in parts) for whole, parts in sums)
    small = {name for name in printed if 0 < true[name] < 10}
    assert small and all(printed[name] is None for name in small)
    attacker = Attacker(sums, printed, small)
    for name in small | {name for name in moved if 0 < true[name] < 10}:
        low, high = attacker.interval(name)
        assert low <= true[name] <= high and low < high, f"{name}: {low} to {high}"


def test_what_was_suppressed_stays_so_while_the_patients_are_the_same():
    """Printed later, with nobody more or fewer, it would tell the earlier one."""
    few = replace(PROTECTED, tables=("flow", "table6", "table7"))
    results = _random_study(2, 150)[0]
    first = protect_results(results, few)
    assert protect_results(results, few, [Publication(results, first, same_patients=True)]).equals(first)


# -------------------------------------------------------------------------------------------------------------------
# curves


def test_curves_change_rarely_and_by_enough_patients(both):
    _, _, shown, curves = both
    for name, columns in {
        "survival_curve": ["survival"],
        "response_incidence_curve": ["incidence", "death_incidence"],
    }.items():
        for group, own in shown[name].groupby("group"):
            true = curves[name][curves[name]["group"] == group].set_index("day")
            own = own.set_index("day")
            patients_at_start = true["at_risk"].iloc[0]
            for column in columns:
                values = own[column].dropna()
                changed = [day for day in values.index[1:] if values[day] != values[day - 1]]
                assert all(day % 5 == 0 for day in changed)
                assert all(true["at_risk"][day] >= 20 for day in values.index if day % 5 == 0)
                levels = [true[column][day] for day in (0, *changed)]
                assert all(
                    abs(after - before) * patients_at_start > 10 - 1e-6
                    for before, after in zip(levels, levels[1:], strict=False)
                )


_OVER_TIME = {
    "survival": ("survival_day_", "survival_curve", "survival"),
    "response_incidence": ("response_by_day_", "response_incidence_curve", "incidence"),
}


def test_no_survival_or_incidence_has_an_interval(both):
    """Exact limits, however rounded, say more of the events than their rounded number; so does the log-rank test."""
    _, shown, _, _ = both
    over_time = shown[shown["table_id"].isin(_OVER_TIME) | shown["row"].str.startswith("survival_3_months")]
    assert over_time[["lower", "upper", "p_value"]].isna().all(axis=None)
    estimates = over_time[over_time["statistic"].isin(["percent", "risk_difference"]) & over_time["value"].notna()]
    assert (
        len(estimates)
        and estimates["caveat"].str.startswith("interval withheld: it would narrow a rounded count").all()
    )
    assert not over_time["method"].str.contains("95 % CI").any()
    log_rank = shown[shown["method"].str.contains("log-rank")]
    assert (
        len(log_rank)
        and log_rank["value"].isna().all()
        and log_rank["caveat"].str.startswith(("withheld: ", "suppressed: ")).all()
    )


@pytest.mark.parametrize("table_id", _OVER_TIME)
def test_no_count_over_time_follows_from_all_points_together(both, table_id):
    """Table, curve and numbers at risk leave two values possible for every count at least, the true one among them."""
    _, shown, shown_curves, curves = both
    prefix, name, column = _OVER_TIME[table_id]
    alive = column == "survival"
    for group, own in shown[(shown["table_id"] == table_id) & shown["row"].str.startswith(prefix)].groupby("group"):
        lines = {(int(line.row.removeprefix(prefix)), line.statistic): line for line in own.itertuples()}
        sizes = [
            line.n_assessed for line in lines.values() if line.statistic == "percent" and not pd.isna(line.n_assessed)
        ]
        if not sizes:
            continue
        size = int(sizes[0])

        def count(share: float, size: int = size) -> int:
            return round(size * ((1 - share) if alive else share))

        points = {
            day: None if pd.isna(line.value) else count(line.value / 100)
            for (day, statistic), line in lines.items()
            if statistic == "percent"
        }
        drawn = shown_curves[name][shown_curves[name]["group"] == group].set_index("day")
        fixed = [day for day in drawn.index if day % 5 == 0]
        curve = {day: count(drawn[column][day]) for day in fixed if not pd.isna(drawn[column][day])}
        at_risk = {day: int(drawn["at_risk"][day]) for day in fixed if not pd.isna(drawn["at_risk"][day])}
        at_risk |= {
            day: int(line.value)
            for (day, statistic), line in lines.items()
            if statistic == "at_risk" and not pd.isna(line.value)
        }
        true = curves[name][curves[name]["group"] == group].set_index("day")
        patients_at_start = true["at_risk"].iloc[0]
        died = shown[
            (shown["table_id"] == "table2")
            & (shown["row"] == "died_by_day_90")
            & (shown["group"] == group)
            & (shown["statistic"] == "percent")
        ]["n"]
        events = int(died.iloc[0]) if alive and len(died) and not pd.isna(died.iloc[0]) else None
        weight = (
            int(patients_at_start * (1 - true["survival"].iloc[-1]) - true["deaths"].iloc[-1] + 1e-6) + 1
            if alive
            else 1
        )
        attacker = CurveAttacker(size, points, at_risk, curve, weight, events)
        for known in attacker.counts:
            low, high = attacker.possible(known)
            assert low < high, f"{group} {known}: {low} to {high}"
            if known.startswith("left"):
                assert low <= true["at_risk"][int(known.removeprefix("left"))] <= high
            elif known.startswith("c"):
                share = true[column][int(known.removeprefix("c"))]
                assert low <= int(patients_at_start * ((1 - share) if alive else share) + 1e-6) <= high


@pytest.mark.parametrize("name", _OVER_TIME)
def test_the_exact_curve_lies_in_the_range_that_is_shown(both, name):
    """The range is computed from what is shown: on the days between two steps it reaches to the next one."""
    _, _, shown_curves, curves = both
    _, name, column = _OVER_TIME[name]
    together = curves[name].merge(shown_curves[name], on=["group", "day"], suffixes=("", "_shown"))
    drawn = together.dropna(subset=["lower_shown"])
    assert (drawn["lower_shown"] - 1e-9 <= drawn[column]).all() and (drawn[column] <= drawn["upper_shown"] + 1e-9).all()
    assert drawn[f"{column}_shown"].between(drawn["lower_shown"] - 1e-9, drawn["upper_shown"] + 1e-9).all()


def test_a_range_reaches_to_the_next_step():
    """Ten deaths by day 12: shown on day 15, so that anything from none to twelve of 100 is possible before."""
    shown = protect_curve("survival_curve", _curve([12] * 10, 100), PROTECTED.protection).set_index("day")
    assert (shown["lower"][14], shown["upper"][14]) == (pytest.approx(1 - 13 / 98), 1)
    assert (shown["lower"][15], shown["upper"][15]) == (pytest.approx(1 - 13 / 98), pytest.approx(1 - 8 / 102))


@pytest.mark.parametrize("draw", [study_figures.survival_figure, study_figures.response_incidence_figure])
def test_a_rounded_curve_says_that_it_is_not_exact(both, draw):
    _, _, shown_curves, curves = both
    name = draw.__name__.replace("figure", "curve")
    text = study_figures.svg_text(draw(shown_curves[name], rounded=True))
    assert "the exact curve lies somewhere in the shaded range" in text
    assert "Number at risk" in text or "At risk" in text
    assert "shaded range" not in study_figures.svg_text(draw(curves[name]))


def test_at_risk_is_rounded_and_never_small(both):
    _, _, shown, _ = both
    for curve in shown.values():
        at_risk = curve["at_risk"].dropna()
        assert (at_risk % 5 == 0).all() and (at_risk >= 10).all()
    assert shown["survival_curve"][["deaths", "censored"]].isna().all(axis=None)


def _curve(events_on: list[int], size: int) -> pd.DataFrame:
    return survival_curve(
        patients(
            *({"death_day": day, "died": "yes"} for day in events_on), *({} for _ in range(size - len(events_on)))
        ),
        **FOLLOW_UP,
    )


@pytest.mark.parametrize(("deaths", "last"), [(0, 1.0), (9, None), (10, 0.9)])
def test_a_curve_of_nine_deaths_is_not_shown_and_of_none_is_flat(deaths, last):
    shown = protect_curve("survival_curve", _curve([12] * deaths, 100), PROTECTED.protection)
    end = shown["survival"].iloc[-1]
    assert pd.isna(end) if last is None else end == pytest.approx(last)


def test_events_left_over_join_the_last_step():
    """Ten deaths by day 12, three more on day 31: one step of thirteen, on day 35."""
    shown = protect_curve("survival_curve", _curve([12] * 10 + [31] * 3, 100), PROTECTED.protection).set_index("day")[
        "survival"
    ]
    assert shown[34] == 1 and shown[35] == pytest.approx(0.85) and shown[90] == pytest.approx(0.85)


def test_a_group_of_few_has_no_curve():
    shown = protect_curve("survival_curve", _curve([], 19), PROTECTED.protection)
    assert shown[["at_risk", "survival"]].isna().all(axis=None)


def test_an_unknown_curve_is_an_error():
    with pytest.raises(ValueError, match="no rule"):
        protect_curve("another_curve", _curve([], 30), PROTECTED.protection)


def test_a_statistic_without_a_rule_is_withheld():
    results = frame([cell("table1", "age_years", "control", "mean", 45.2, n=50, n_assessed=50, method="mean")])
    shown = protect_results(results, PROTECTED)
    assert shown["value"].isna().all() and shown["caveat"].iloc[0].startswith("withheld: ")
    assert list(shown.columns) == list(COLUMNS)


# ------------------------------------------------------------------------------------------------------------------
# outputs


def test_published_files_hold_no_patient_and_no_small_count(study_run, built_warehouse):
    import duckdb

    folder = study_run.warehouse / "outputs" / "protected"
    with duckdb.connect(str(built_warehouse), read_only=True) as connection:
        ids = {row[0] for row in connection.execute("select patient_id from marts.patient").fetchall()}
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for path in folder.iterdir()
        if path.suffix in (".csv", ".html", ".svg", ".md")
    }
    assert {"report_protected.html", "result.csv", "README.md", "survival.svg", "table7.csv"} <= set(texts)
    for name, text in texts.items():
        assert not ids & set(re.findall(r"[0-9a-f]{16}", text)), name
        assert "patient_id" not in text, name
    results = pd.read_csv(folder / "result.csv")
    own = results[results["statistic"] != "published"]
    assert not own["n"].between(1, 9).any() and not own["n_assessed"].between(1, 9).any()
    page = texts["report_protected.html"]
    assert (
        "Synthetic data; agreement" in page
        and "Protected version: counts below 10" in page
        and "for members of the study only" not in page
    )
    assert not re.search(r'<details class="insiders"|>By centre<', page)
