"""Clean data, drawn again: how often monitoring stops a centre, or asks to look at it, where nothing is wrong.

Patients are drawn again at the level of harmonised tables: within their centre; within it and some of them twice; or
from all centres, in the habits of one. Many copies of few patients would not be clean data: everything that they share
would look like a fault. The synthetic centres are more alike than real ones are, so that there are also draws in which
the centres truly differ.

What does not belong here: faults (kinds.py).
"""

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

import new_centres
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl import fields, paths
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.submissions.judge import judged
from capla_etl.quality.monitoring.monitor import CentrePatients, centre_patients, monitor
from capla_etl.quality.monitoring.signal import STOP

from . import peers
from .measure import by_name, centres, kept_of, others
from .peers import grid

#: How a study is drawn.
ONCE, TWICE, POOLED, DIFFERING = "within centres", "within centres, some twice", "from all centres", "centres differ"
HOWS = (ONCE, TWICE, POOLED, DIFFERING)
#: Patients of the centres of a drawn study, in turn; and of one drawn from all centres (who are 1,461).
SIZES = (30, 100, 400)
_POOLED_SIZES = (400, 100, 100, 100, 100, 30, 30, 30, 30, 30)
#: How much centres differ: levels by a factor, proportions by points, completeness by a share of the patients.
LEVEL, POINTS, MISSING = 1.25, 0.12, 0.12
#: Chance that a centre rounds a quantity in a way of its own.
_OWN_ROUNDING = 0.3
#: Columns of ``patient`` that hold quantities, and answers; analytes.
_QUANTITIES = (
    "hemoglobin_g_per_dl",
    "creatinine_umol_per_l",
    "troponin_x_uln",
    "adamts13_percent",
    "anti_adamts13_u_per_ml",
)
_ANSWERS = (
    "first_episode",
    "neurological_involvement",
    "coma",
    "corticosteroids",
    "reported_refractory",
    "reported_exacerbation",
)
_DATES = {
    "patient": ("first_tpe_date", "death_date", "last_contact_date", "discharge_date", "reported_response_date"),
    "lab_result": ("result_date",),
    "tpe_session": ("session_date",),
    "drug_course": ("start_date", "end_date"),
    "adverse_event": ("event_date",),
    "adverse_event_assessment": (),
}
Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Drawn:
    """A centre drawn again, and what monitoring said of it: ``said`` names severity, check and quantity.

    ``flagged``: how much each peer flags in it.
    """

    centre_id: str
    patients: int
    stops: int
    looks: int
    said: tuple[str, ...]
    flagged: dict[str, int]


def frames(tables: dict) -> Frames:
    """The harmonised tables of a centre as data frames; dates as days since 1970, NaN where there is none."""
    found = {}
    for name, dates in _DATES.items():
        frame = tables[f"harmonised.{name}"].to_pandas(date_as_object=True)
        for column in dates:
            frame[column] = pd.to_datetime(frame[column]).astype("datetime64[s]").astype("int64") / 86400
            frame.loc[frame[column] < -1e6, column] = np.nan
        found[name] = frame
    return found


def arrow(made: Frames, tables: dict) -> dict[str, pa.Table]:
    """The tables as ``centre_patients`` takes them."""
    found = {}
    for name, frame in made.items():
        frame = frame.copy()
        for column in _DATES[name]:
            days = pd.to_datetime(frame[column] * 86400, unit="s")
            frame[column] = days.dt.date.astype(object).where(frame[column].notna(), None)
        schema = tables[f"harmonised.{name}"].schema
        found[name] = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    return found


# ---------------------------------------------------------------- patients drawn again


def redrawn(of: Frames, drawn: np.ndarray, rng: np.random.Generator) -> Frames:
    """A centre of the patients drawn, each with a new number.

    A patient drawn again has dates some weeks earlier, and each number is one of the centre's own that lies next to it
    (so that its units and habits of writing stay).
    """
    copy = pd.Series(drawn).groupby(drawn).cumcount().to_numpy()
    places = pd.DataFrame({"patient_id": drawn, "copy": copy, "place": rng.permutation(len(drawn))})
    weeks = np.where(copy > 0, 7 * rng.integers(1, 40, len(copy)), 0)
    places["earlier"] = weeks.astype(float)
    made = {}
    for name, frame in of.items():
        rows = frame.assign(row=np.arange(len(frame))).merge(places, on="patient_id").sort_values(["place", "row"])
        again = (rows["copy"] > 0).to_numpy()
        for column in _DATES[name]:
            rows[column] -= rows["earlier"]
        if name == "patient":
            for column in (*_QUANTITIES, "age_years_at_first_tpe"):
                exact = again & (rows["adamts13_comparator"].isna() if column == "adamts13_percent" else True)
                rows[column] = _beside(rows[column], frame[column], exact, rng)
            rows["source_row"] = np.arange(2, len(rows) + 2)
            linkage = rows["birth_date_linkage"]
            rows["birth_date_linkage"] = linkage.where(~again, linkage + rows["place"].astype(str))
        elif name == "lab_result":
            for analyte in rows["analyte"].unique():
                of_it = (rows["analyte"] == analyte).to_numpy()
                known = frame.loc[frame["analyte"] == analyte, "value"]
                exact = again & of_it & rows["comparator"].isna().to_numpy()
                rows["value"] = _beside(rows["value"], known, exact, rng)
        number = rows["place"].astype(str).str.zfill(5)
        rows["patient_id"] = rows["patient_id"] + number
        rows["centre_patient_id"] = "P" + number
        made[name] = rows[frame.columns].reset_index(drop=True)
    return made


def _beside(values: pd.Series, known: pd.Series, where, rng: np.random.Generator) -> pd.Series:
    """Replace values by others of the centre that lie next to them."""
    own = np.sort(known.dropna().unique())
    chosen = np.asarray(where & values.notna())
    if len(own) < 3 or not chosen.any():
        return values
    reach = max(1, round(0.03 * len(own)))
    steps = rng.integers(1, reach + 1, chosen.sum()) * rng.choice([-1, 1], chosen.sum())
    at = np.searchsorted(own, values[chosen].to_numpy(float))
    result = values.copy()
    result[chosen] = own[np.clip(at + steps, 0, len(own) - 1)].astype(values.dtype)
    return result


# ---------------------------------------------------------------- centres that truly differ


def differing(of: Frames, rng: np.random.Generator) -> Frames:
    """A centre that differs: other levels and proportions, other rounding, sampling days and completeness."""
    made = {name: frame.copy() for name, frame in of.items()}
    patient, lab = made["patient"], made["lab_result"]
    for column in _QUANTITIES:
        if column != "adamts13_percent":
            patient[column] = _other_level(patient[column], rng)
        patient.loc[rng.random(len(patient)) < rng.uniform(0, MISSING), column] = np.nan
    patient.loc[patient["adamts13_percent"].isna(), "adamts13_comparator"] = None
    for analyte in lab["analyte"].unique():
        of_it = lab["analyte"] == analyte
        values = lab.loc[of_it, "value"]
        if analyte == "adamts13":
            # One laboratory, one level: the activity at presentation is often one of these results, sent twice.
            both = _other_level(pd.concat([patient["adamts13_percent"], values], ignore_index=True), rng)
            patient["adamts13_percent"] = both[: len(patient)].to_numpy()
            lab.loc[of_it, "value"] = both[len(patient) :].to_numpy()
        else:
            lab.loc[of_it, "value"] = _other_level(values, rng)
    made["tpe_session"]["volume_ml"] = _other_level(made["tpe_session"]["volume_ml"], rng)
    for column, yes, no in [*((name, "yes", "no") for name in _ANSWERS), ("sex", "female", "male")]:
        patient[column] = _other_share(patient[column], yes, no, rng)
    days = lab["result_date"].to_numpy()
    weekend = (days + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    first = lab["patient_id"].map(patient.set_index("patient_id")["first_tpe_date"]).to_numpy()
    left_out = rng.random(len(lab)) < np.where(weekend, rng.uniform(0, 0.5), rng.uniform(0, 0.25))
    made["lab_result"] = lab[~left_out | (days <= first + 1)].reset_index(drop=True)
    return made


def _other_level(values: pd.Series, rng: np.random.Generator) -> pd.Series:
    """Multiply by the centre's factor, and round as the column was or in a way of the centre's own."""
    known = values.dropna().to_numpy(float)
    if not len(known):
        return values
    step = grid(known)
    if rng.random() < _OWN_ROUNDING:
        coarser = [step * times for times in (2, 5, 10) if step * times <= 0.06 * np.median(known)]
        step = rng.choice(coarser) if coarser else step
    factor = math.exp(rng.uniform(-math.log(LEVEL), math.log(LEVEL)))
    return (np.maximum(1, (values * factor / step).round()) * step).round(9).where(values > 0, values)


def _other_share(answers: pd.Series, yes: str, no: str, rng: np.random.Generator) -> pd.Series:
    """Turn some answers over, so that the proportion moves by up to ``POINTS``; some of each answer stay."""
    result = answers.copy()
    at = {word: result.index[result == word] for word in (yes, no)}
    change = rng.uniform(-POINTS, POINTS) * (len(at[yes]) + len(at[no]))
    source, other = (no, yes) if change > 0 else (yes, no)
    turned = min(round(abs(change)), int(0.8 * len(at[source])))
    result[rng.choice(at[source].to_numpy(), turned, replace=False)] = other
    return result


# ---------------------------------------------------------------- studies


@cache
def _frames(centre_id: str) -> Frames:
    return frames(centres()[centre_id].tables)


@cache
def _all() -> Frames:
    """The patients of all centres, without those whom two centres sent."""
    of = {name: pd.concat([_frames(c)[name] for c in centres()], ignore_index=True) for name in _DATES}
    patient = of["patient"]
    twice = patient["birth_date_linkage"].notna() & patient["birth_date_linkage"].duplicated(keep=False)
    kept = patient.loc[~twice & patient["transferred_from_centre_id"].isna(), "patient_id"]
    return {name: frame[frame["patient_id"].isin(kept)].reset_index(drop=True) for name, frame in of.items()}


def _ids(of: Frames) -> np.ndarray:
    return of["patient"]["patient_id"].to_numpy()


def in_the_habits_of(centre_id: str, made: Frames) -> Frames:
    """Patients of other centres, written as a centre writes its own."""
    own = _frames(centre_id)
    made = {
        name: frame.assign(centre_id=centre_id, source_file="drawn", source_sheet="") for name, frame in made.items()
    }
    for column in (*_QUANTITIES, "age_years_at_first_tpe"):
        made["patient"][column] = _on_grid(made["patient"][column], own["patient"][column])
    lab = made["lab_result"]
    for analyte in lab["analyte"].unique():
        of_it, known = lab["analyte"] == analyte, own["lab_result"]["analyte"] == analyte
        lab.loc[of_it, "value"] = _on_grid(lab.loc[of_it, "value"], own["lab_result"].loc[known, "value"])
    made["tpe_session"]["volume_ml"] = _on_grid(made["tpe_session"]["volume_ml"], own["tpe_session"]["volume_ml"])
    return made


def _on_grid(values: pd.Series, own: pd.Series) -> pd.Series:
    known = own.dropna().to_numpy(float)
    step = grid(known) if len(known) else 1e-4
    return (np.maximum(1, (values / step).round()) * step).round(9).where(values > 0, values)


def differed(centre_id: str, seed: int = 1) -> CentrePatients:
    """A centre's own patients, had it truly differed."""
    rng = np.random.default_rng([seed, *centre_id.encode()])
    centre = centres()[centre_id]
    return centre_patients(centre.spec, arrow(differing(_frames(centre_id), rng), centre.tables))


def study(number: int, how: str, seed: int = 1) -> list[Drawn]:
    """All centres of one drawn study, each judged beside the others."""
    rng = np.random.default_rng([seed, number, HOWS.index(how)])
    pooled, first = rng.permutation(_ids(_all())), 0
    made = {}
    for i, (name, centre) in enumerate(centres().items()):
        place = (i + number) % len(centres())
        if how in (ONCE, TWICE):
            source, size = _frames(name), SIZES[place % len(SIZES)]
            ids = rng.permutation(_ids(source))
            if how == TWICE:
                ids = rng.permutation(np.concatenate([ids, ids]))
            drawn = redrawn(source, ids[:size], rng)
        else:
            size = _POOLED_SIZES[place % len(_POOLED_SIZES)]
            drawn = in_the_habits_of(name, redrawn(_all(), pooled[first : first + size], rng))
            first += size
        if how == DIFFERING:
            drawn = differing(drawn, rng)
        made[name] = centre_patients(centre.spec, arrow(drawn, centre.tables))
    return [_judged(name, of, [p for other, p in made.items() if other != name]) for name, of in made.items()]


def _judged(centre_id: str, own: CentrePatients, others: list[CentrePatients]) -> Drawn:
    signals = monitor(own, others).signals
    stops = sum(signal.severity == STOP for signal in signals)
    said = tuple(f"{s.severity} {s.check_name} {s.quantity}" for s in signals)
    found = peers.flags(own.quantities, [other.quantities for other in others])
    flagged = {name: len(what) for name, what in found.items()}
    return Drawn(centre_id, len(own.quantities), stops, len(signals) - stops, said, flagged)


def sent_again(centre_id: str, folder: Path) -> Drawn:
    """A later submission of a centre, beside its own before and the other centres.

    Args:
        folder: holds the dated folder of the submission.
    """
    with _data_raw() as data_raw:
        shutil.copytree(paths.data_raw() / centre_id, Path(data_raw, centre_id))
        shutil.copytree(folder, Path(data_raw, centre_id), dirs_exist_ok=True)
        tables = _judged_in(data_raw, centre_id)
    centre = centres()[centre_id]
    own = centre_patients(centre.spec, by_name(tables), kept_of(centre, tables))
    return _judged(centre_id, own, others(centre_id))


def new_centre(centre_id: str) -> Drawn:
    """A centre of ``tests/golden/new_centres``: some patients of another one in formats that the ten do not use."""
    source = new_centres.COPIED_FROM[centre_id]
    with _data_raw() as data_raw:
        loads = Path(data_raw.parent, "loads", source)
        loads.mkdir(parents=True)
        for name in fields.tables():
            pq.write_table(centres()[source].tables[f"harmonised.{name}"], loads / f"harmonised.{name}.parquet")
        written = new_centres.write(centre_id, new_centres.source(loads.parent, centre_id), data_raw)
        new_centres.declare_synthetic(written, data_raw)
        tables = _judged_in(data_raw, centre_id)
        spec = load_spec(written / "centre.yml")
    return _judged(centre_id, centre_patients(spec, by_name(tables)), [c.patients for c in centres().values()])


@contextmanager
def _data_raw() -> Iterator[Path]:
    """A data folder of synthetic data, with their key of pseudonyms."""
    with tempfile.TemporaryDirectory() as folder:
        data_raw = Path(folder, "data_raw")
        data_raw.mkdir()
        shutil.copy(paths.data_raw() / "SYNTHETIC", data_raw)
        yield data_raw


def _judged_in(data_raw: Path, centre_id: str) -> dict:
    with mock.patch.dict(os.environ, {"CAPLA_DATA_RAW": str(data_raw)}):
        return judged(centre_id).tables


def as_table(found: dict[str, list[Drawn]]) -> str:
    """One line for each way of drawing and size of centre."""
    head = "| drawn | patients | centres | with a stop | of 1,000 | look a centre | with two or more to look at |"
    lines = [head, "|---|--:|--:|--:|--:|--:|--:|"]
    for name, some in found.items():
        for size in ("to 50", "51 to 200", "over 200", "all"):
            of = [d for d in some if size in ("all", _size(d.patients))]
            if of:
                stops, looks, two = sum(d.stops > 0 for d in of), sum(d.looks for d in of), sum(d.looks > 1 for d in of)
                shares = f"{1000 * stops / len(of):.0f} | {looks / len(of):.2f} | {two}"
                lines.append(f"| {name} | {size} | {len(of)} | {stops} | {shares} |")
    return "\n".join(lines)


def _size(patients: int) -> str:
    return "to 50" if patients <= 50 else "51 to 200" if patients <= 200 else "over 200"


def frequent(found: dict[str, list[Drawn]], at_most: int = 15) -> Iterator[str]:
    """Which checks gave signals on clean data, most often first."""
    for name, some in found.items():
        counts = pd.Series([said for d in some for said in d.said], dtype=object).value_counts().head(at_most)
        yield from (f"{name}: {count} x {said}" for said, count in counts.items())
