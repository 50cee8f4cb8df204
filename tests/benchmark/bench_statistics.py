"""Each computation next to the library that does the same: ``make bench``. CPU time, best of several runs.

Times differ between machines and hours; what counts, and what docs/STATISTICS.md quotes, are the ratios. Data are
simulated: 1,437 and 143,700 patients in two groups, followed for 90 whole days.
"""

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from capla_etl import paths
from capla_etl.stats import competing_risks, cox, resampling, survival
from capla_etl.tables import table1

import numpy as np  # isort: skip  (after capla_etl, which sets the number of threads)
import pandas as pd  # isort: skip

SIZES = (1_437, 143_700)
DAY = 90
COVARIATES = ["exposed", "age_years", "log_ldh", "female", "first_episode"]


def simulated(patients: int) -> pd.DataFrame:
    """``marts.patient``-like rows with courses: time_days, event, cause."""
    draw = np.random.default_rng(20230930)
    exposed = draw.random(patients) < 2 / 3
    hazard = 0.0008 * np.where(exposed, 0.3, 1.0)
    death, response = draw.exponential(1 / hazard), draw.gamma(3, np.where(exposed, 1.6, 3.0)) + 1
    lost = np.where(draw.random(patients) < 0.05, draw.integers(1, DAY, patients), DAY)
    time_days = np.minimum(np.ceil(death), lost).astype(int)
    first = np.minimum(np.ceil(response), time_days)

    def yes_no(chance: float, unknown: float = 0.0) -> np.ndarray:
        return np.where(
            draw.random(patients) < unknown, "unknown", np.where(draw.random(patients) < chance, "yes", "no")
        )

    def lab(mean: float, missing: float = 0.0) -> np.ndarray:
        return np.where(
            draw.random(patients) < missing, np.nan, np.round(draw.lognormal(np.log(mean), 0.6, patients), 1)
        )

    return pd.DataFrame(
        {
            "patient_id": np.arange(patients).astype(str),
            "eligible": True,
            "exclusion_reason": None,
            "treatment_group": np.where(exposed, "caplacizumab", "control"),
            "group": np.where(exposed, "caplacizumab", "control"),
            "exposed": exposed.astype(float),
            "time_days": time_days,
            "event": np.ceil(death) <= lost,
            "cause": np.where(np.ceil(response) <= time_days, 1, np.where(np.ceil(death) <= lost, 2, 0)),
            "first_days": first.astype(int),
            "sex": np.where(draw.random(patients) < 0.65, "female", "male"),
            "female": (draw.random(patients) < 0.65).astype(float),
            "first_episode": yes_no(0.7),
            "neurological_involvement": yes_no(0.5),
            "coma": yes_no(0.08, 0.02),
            "corticosteroids": yes_no(0.97),
            "rituximab": yes_no(0.85),
            "age_years": np.round(draw.normal(45, 15, patients).clip(18, 95)),
            "hemoglobin_g_per_dl": lab(9),
            "creatinine_umol_per_l": lab(95),
            "troponin_x_uln": lab(2, 0.2),
            "adamts13_percent": lab(4),
            "adamts13_comparator": None,
            "anti_adamts13_u_per_ml": lab(60, 0.3),
            "french_severity_score": draw.integers(0, 5, patients),
            "platelets_10e9_per_l_day0": lab(14),
            "ldh_x_uln_day0": lab(5),
            "log_ldh": draw.normal(1.5, 0.5, patients),
            "caplacizumab_start_day": np.nan,
            "last_seen_day": 200,
            "death_day": np.nan,
        }
    )


def cpu_ms(compute: Callable[[], object], runs: int) -> float:
    """Best CPU time of several runs, in ms; the first, which imports, does not count."""
    compute()
    times = []
    for _ in range(runs):
        before = time.process_time()
        compute()
        times.append(time.process_time() - before)
    return 1000 * min(times)


def peers(data: pd.DataFrame) -> dict[str, tuple[Callable, dict[str, tuple[Callable, float]]]]:
    """Task -> (ours, {library: (the same, factor by which its time is extrapolated)})."""
    from lifelines import AalenJohansenFitter, CoxPHFitter, KaplanMeierFitter
    from lifelines.statistics import logrank_test
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight, survdiff
    from tableone import TableOne

    arms = [data[data["exposed"] == value] for value in (1, 0)]
    incidence = data[["group", "cause"]].assign(time_days=data["first_days"])
    incidence_arms = [incidence[data["exposed"] == value] for value in (1, 0)]
    array_arms = [tuple(arm[["time_days", "cause"]].to_numpy().T.copy()) for arm in incidence_arms]
    design = data[COVARIATES].assign(first_episode=(data["first_episode"] == "yes").astype(float))
    modelled = design.assign(time_days=data["time_days"], event=data["event"])
    draw = np.random.default_rng(1)

    def lifelines_bootstrap() -> None:
        for _ in range(20):
            for arm in arms:
                again = arm.iloc[draw.integers(0, len(arm), len(arm))]
                KaplanMeierFitter().fit(again["time_days"], again["event"]).predict(DAY)

    answers, values = list(table1.TABLE_1_ANSWERS), list(table1.TABLE_1_VALUES.values())
    baseline = data.assign(female=data["sex"].map({"female": "yes", "male": "no"})).replace("unknown", None)
    aalen = AalenJohansenFitter(calculate_variance=True, seed=1)
    return {
        "Kaplan-Meier, two groups": (
            lambda: survival.survival_at(data, [DAY]),
            {
                "lifelines": (lambda: [KaplanMeierFitter().fit(arm["time_days"], arm["event"]) for arm in arms], 1),
                "statsmodels": (lambda: [SurvfuncRight(arm["time_days"], arm["event"].astype(int)) for arm in arms], 1),
            },
        ),
        "Log-rank test": (
            lambda: survival.log_rank(data),
            {
                "lifelines": (
                    lambda: logrank_test(
                        arms[0]["time_days"], arms[1]["time_days"], arms[0]["event"], arms[1]["event"]
                    ),
                    1,
                ),
                "statsmodels": (lambda: survdiff(data["time_days"], data["event"].astype(int), data["group"]), 1),
            },
        ),
        "Survival difference, 2,000 bootstrap replicates": (
            lambda: resampling.bootstrap_survival_difference(data, DAY, seed=1),
            {"lifelines": (lifelines_bootstrap, 100)},
        ),
        "Aalen-Johansen with error, two causes, two groups": (
            lambda: competing_risks.aalen_johansen(incidence, [DAY]),
            {
                "statsmodels": (lambda: [CumIncidenceRight(*arm) for arm in array_arms], 1),
                "lifelines": (
                    lambda: [
                        aalen.fit(arm["time_days"], arm["cause"], event_of_interest=cause)
                        for arm in incidence_arms
                        for cause in (1, 2)
                    ],
                    1,
                ),
            },
        ),
        "Cox regression, five covariates": (
            lambda: cox.cox_regression(modelled, COVARIATES),
            {
                "lifelines": (lambda: CoxPHFitter().fit(modelled, "time_days", "event"), 1),
                "statsmodels": (
                    lambda: PHReg(data["time_days"], design, data["event"].astype(int), ties="efron").fit(),
                    1,
                ),
            },
        ),
        "Table 1": (
            lambda: table1.table1(data),
            {
                "tableone": (
                    lambda: TableOne(
                        baseline,
                        columns=[*answers, *values],
                        categorical=[*answers, "french_severity_score"],
                        groupby="group",
                        nonnormal=values,
                        pval=True,
                        smd=True,
                    ),
                    1,
                )
            },
        ),
    }


def compare() -> Iterator[str]:
    """Lines of a Markdown table: CPU ms of ours and of each library, and the ratio."""
    yield from ("| computation | patients | ours, ms | library | its, ms | ratio |", "|---|--:|--:|---|--:|--:|")
    for patients in SIZES:
        for task, (ours, others) in peers(simulated(patients)).items():
            own = cpu_ms(ours, 5)
            for library, (compute, factor) in others.items():
                its = cpu_ms(compute, 2 if patients > 10_000 else 5) * factor
                yield f"| {task} | {patients:,} | {own:.2f} | {library} | {its:.1f} | {its / own:.1f} |"


def stage() -> list[str]:
    """CPU seconds of the whole statistics and report stage on the published warehouse, in a process of its own."""
    program = """
import sys, time, duckdb
from pathlib import Path
from capla_etl.stats.conventions import PROTOCOL
from capla_etl.study_tables import recompute
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    recompute(connection, PROTOCOL)
    statistics = time.process_time()
    from capla_etl.defs.report import report_inputs, write_outputs, write_report
    imported = time.process_time()
    write_outputs(connection, Path(sys.argv[2]))
    write_report(report_inputs(connection, Path(sys.argv[2])), Path(sys.argv[2]) / "report.html")
print(f"{statistics:.1f} {time.process_time() - imported:.1f}")
"""
    database = paths.published_database()
    if not database.exists():
        return ["No published warehouse: run `make study` for the time of the whole stage."]
    with TemporaryDirectory() as folder:
        run = subprocess.run(
            [sys.executable, "-c", program, str(database), str(Path(folder))],
            capture_output=True,
            text=True,
            check=True,
        )
    computed, written = run.stdout.split()
    return [
        f"Whole stage on the published warehouse: statistics {computed} s of CPU (imports included), "
        f"report, figures and documents {written} s."
    ]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for line in chain(compare(), [""], stage()):
        print(line, flush=True)
