"""Completeness: how many patients have a quantity, and a part of the file that has nothing.

The shares of categories are levels of yes and no (level.py).
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd

from capla_etl.quality.monitoring.beside import FEWEST_PATIENTS, Beside, Finding, NotJudged, as_others
from capla_etl.quality.monitoring.watched import Quantity
from capla_etl.stats.between_centres import Mean, expected, share_tail, share_variance

#: A share of patients without a quantity that is looked at if it is that much larger than elsewhere.
_MATTERS = 0.04
#: A part of the file without anything is at least so many patients, and at least that share of them.
_FEWEST_IN_A_ROW, _SMALLEST_PART = 3, 0.04
#: Rows at which programs stop writing a sheet.
_LIMITS = (65_536, 1_048_576)


def missing(beside: Beside, declared: bool) -> Iterator[Finding | NotJudged]:
    """How many patients lack one quantity, beside the other centres that have it at all.

    Args:
        declared: whether the centre's spec reads the field: then nobody having it is a finding, not a gap.
    """
    q = beside.quantity
    if not beside.own[q.name].notna().any() and not declared:
        yield NotJudged("completeness", "missing", q.name, q.field, "the centre does not send it")
        return
    known = _known(q, beside.own)
    shares = []
    for theirs in (_known(q, frame) for frame in beside.others.values()):
        if theirs.any() and (of := len(theirs)) >= FEWEST_PATIENTS:
            share = float(1 - theirs.mean())
            shares.append(Mean(share, share_variance(share, of), of, of))
    if not shares:
        yield NotJudged("completeness", "missing", q.name, q.field, "no other centre sends it", len(known))
        return
    if len(known) < FEWEST_PATIENTS:
        yield NotJudged("completeness", "missing", q.name, q.field, "too few patients", len(known))
        return
    others = expected(np.array([m.mean for m in shares]), np.array([m.variance for m in shares]), _MATTERS / 2)
    lacking, n = int((~known).sum()), len(known)
    usual = float(np.clip(others.mean, 0, 1))
    sd = float(np.sqrt(others.between + others.variance))
    more = lacking / n > usual
    yield Finding(
        family="completeness",
        check_name="missing",
        quantity=q.name,
        field=q.field,
        patients=n,
        found=f"not known in {100 * lacking / n:.0f} % of the patients",
        expected_text=f"about {100 * usual:.0f} %, as in {as_others(others.centres)}",
        looks_like=f"{'More' if more else 'Fewer'} patients than elsewhere without a value of {q.field}"
        + ("." if more else ": is unknown sent as a value?"),
        p_look=share_tail(lacking, n, usual, sd, _MATTERS / 2),
        matters=abs(lacking / n - usual) > _MATTERS,
        scale="share",
        estimate=lacking / n,
        expected=usual,
        places=tuple(np.flatnonzero(beside.own[q.name].isna())) if more else (),
        others=others.centres,
    )


def _known(q: Quantity, frame: pd.DataFrame) -> np.ndarray:
    """Which of the patients who can have a quantity have it."""
    known = frame[q.name].notna().to_numpy()
    return known[frame["treated"].to_numpy(bool)] if q.of_treated else known


def cut(
    quantities: Iterable[Quantity], own: pd.DataFrame, declared: Callable[[Quantity], bool]
) -> Iterator[Finding | NotJudged]:
    """A part of the patients, by the file or by time, without any row in a list that the rest of the patients has.

    ``declared``: whether the centre's spec reads it; a list that is read and empty is cut whole.
    A drug that a centre began to give, or stopped giving, is practice: only an end of the file stops.
    """
    for q in quantities:
        name, what = q.name, q.list
        of = own["treated"].to_numpy(bool) if q.of_treated else np.ones(len(own), bool)
        there = own[name].notna().to_numpy() & (own[name] != 0).to_numpy()
        if there[of].sum() < FEWEST_PATIENTS:
            if q.source != "drug" and declared(q) and not there.any() and len(own) >= FEWEST_PATIENTS:
                yield _empty(q, len(own))
            else:
                yield NotJudged("completeness", "cut", name, q.field, "too few patients with any", int(there[of].sum()))
            continue
        worst: Finding | None = None
        for order, how in (("place", "the file"), ("day0", "time")):
            ordered = np.flatnonzero(of & own[order].notna().to_numpy())
            ordered = ordered[np.argsort(own[order].to_numpy(float)[ordered], kind="stable")]
            steps, first = np.unique(own[order].to_numpy(float)[ordered], return_index=True)
            has = np.logical_or.reduceat(there[ordered], first)
            start, length = _longest_gap(has)
            n = len(steps)
            outside = (n - length - int(has.sum())) / max(n - length, 1)
            chance = min(1.0, n * max(outside, 0.5 / n) ** length)
            where = "last" if start + length == n else "first" if start == 0 else "middle"
            inside = ordered[first[start] : first[start + length] if start + length < n else len(ordered)]
            found = Finding(
                family="completeness",
                check_name="cut",
                quantity=name,
                field=q.field,
                patients=len(ordered),
                found=f"none for {100 * length / n:.0f} % of the patients in a row",
                expected_text=f"{100 * (1 - outside):.0f} % of the patients with some, as in the rest",
                looks_like=f"The {where} patients by {how} have no {what}: an export that ends early, or a part left "
                "out.",
                p_look=chance,
                p_stop=1.0 if q.source == "drug" and (order, where) != ("place", "last") else chance,
                matters=length >= max(_FEWEST_IN_A_ROW, _SMALLEST_PART * n),
                places=tuple(inside) if length else (),
            )
            worst = found if worst is None or found.p_look < worst.p_look else worst
        yield worst


def _empty(q: Quantity, patients: int) -> Finding:
    """A list that the spec reads, without any row."""
    return Finding(
        family="completeness",
        check_name="cut",
        quantity=q.name,
        field=q.field,
        patients=patients,
        found="none for all patients",
        expected_text="some for most patients",
        looks_like=f"No patient has any {q.list}, though the spec reads them: a part of the export is left out.",
        p_look=0.0,
        p_stop=0.0,
    )


def _longest_gap(there: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest run of patients without any."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], there, [True]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest] - starts[longest])


def full_sheets(rows: dict[tuple[str, str], int]) -> Iterator[Finding]:
    """A file or sheet with exactly as many rows as a program writes at most.

    Args:
        rows: (file, sheet) -> number of its last row.
    """
    for (file, sheet), last in rows.items():
        if last in _LIMITS:
            yield Finding(
                family="completeness",
                check_name="full_sheet",
                quantity=f"{file}/{sheet}",
                field="",
                patients=0,
                found=f"{last} rows",
                expected_text="another number: this is the most that a program writes",
                looks_like=f"{file} {sheet} ends at the last row that a program can write: rows are missing.",
                p_look=0.0,
                p_stop=0.0,
            )
