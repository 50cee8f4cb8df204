"""Survival and incidence curves as a protecting profile shows them."""

import math

import pandas as pd

from capla_etl.disclosure.profiles import Protection


def patients_of(percent: float, patients: int) -> int | None:
    """A percentage that is no n/N (a survival) as whole patients; at least one where it is neither 0 nor 100."""
    if pd.isna(percent):
        return None
    number = math.floor(patients * percent / 100 + 1e-6)
    if 0 < percent < 100:
        number = min(max(number, 1), max(patients - 1, 0))
    return number


# By curve: column -> whether it counts those still without the event; the limits are of the first. Columns that are not
# named here (running totals) are not shown.
_CURVES = {
    "survival_curve": {"survival": True},
    "response_incidence_curve": {"incidence": False, "death_incidence": False},
}


def protect_curve(name: str, curve: pd.DataFrame, rules: Protection) -> pd.DataFrame:
    """A curve that changes only on fixed days and only by enough patients at a time, on the grid of rounded counts.

    Args:
        name: ``survival_curve`` or ``response_incidence_curve``.
        curve: one row per group and day, as ``study.<name>``.

    Returns:
        The same columns and rows. A curve ends (null) on the last fixed day with enough at risk; one with events, but
        fewer than may be shown, is not shown at all; numbers at risk are those of the fixed days, rounded; running
        totals of deaths and of the censored are not shown. ``lower`` and ``upper`` are no confidence limits here: the
        exact curve lies between them, as far as a reader can tell who knows the rules.

    Raises:
        ValueError: an unknown curve.
    """
    if name not in _CURVES:
        raise ValueError(f"no rule for the curve {name!r}")
    parts = [_protect_group(group, _CURVES[name], rules) for _, group in curve.groupby("group", sort=False)]
    return pd.concat(parts, ignore_index=True)[list(curve.columns)] if parts else curve.copy()


def _protect_group(curve: pd.DataFrame, columns: dict[str, bool], rules: Protection) -> pd.DataFrame:
    curve = curve.sort_values("day").reset_index(drop=True)
    protected = pd.DataFrame(
        {column: pd.Series(pd.NA, index=curve.index, dtype="Float64") for column in curve.columns}
    ).astype({"group": "string"})
    protected["group"], protected["day"] = curve["group"], curve["day"]
    patients = int(curve["at_risk"].iloc[0])
    if patients < rules.curves_from_at_risk:
        return _plain(protected)
    at_risk = curve["at_risk"].where(curve["day"] % rules.curve_step_days == 0).ffill()
    enough = at_risk >= rules.curves_from_at_risk
    # Of the days after the last fixed one nothing is known that may be shown.
    open_end = enough & (curve["day"] <= curve["day"][enough & (curve["day"] % rules.curve_step_days == 0)].max())
    protected.loc[open_end, "at_risk"] = [rules.counts.rounded(left) for left in at_risk[open_end]]
    whole = rules.counts.rounded(patients)
    for column, alive in columns.items():
        value = curve[column].astype(float)
        reached = (
            ((1 - value) if alive else value).mul(patients).where(curve["day"] % rules.curve_step_days == 0).ffill()
        )
        shown = open_end & reached.notna()
        reached = reached[shown].round(6)
        if reached.empty or 0 < reached.iloc[-1] < rules.suppress_below:
            continue
        steps = _steps(reached, rules.suppress_below)
        # Counted as in the tables, so that the two never differ for the same day.
        shares = [
            min(rules.counts.rounded(patients_of(100 * ((1 - x) if alive else x), patients)) / whole, 1)
            for x in value.loc[steps]
        ]
        protected.loc[reached.index, column] = [(1 - share) if alive else share for share in shares]
        if column == next(iter(columns)) and {"lower", "upper"} <= set(protected.columns):
            limits = _range(shares, patients_shown=whole, rounded_by=rules.round_to // 2)
            limits = [(1 - high, 1 - low) for low, high in limits] if alive else limits
            protected.loc[reached.index, ["lower", "upper"]] = limits
    return _plain(protected)


def _range(shares: list[float], *, patients_shown: int, rounded_by: int) -> list[tuple[float, float]]:
    """Between which shares the exact one lies, day by day: at least what is shown, at most what the next step shows.

    Args:
        shares: shown shares with the event, rising.
        patients_shown: the rounded number of patients that they are shares of.
        rounded_by: how far a count, and the number of patients, may be from its rounded one.
    """
    limits, following = [], shares[-1]
    for place in reversed(range(len(shares))):
        if place + 1 < len(shares) and shares[place + 1] != shares[place]:
            following = shares[place + 1]
        fewest, most = (
            count + by if count else 0
            for count, by in ((shares[place] * patients_shown, -rounded_by), (following * patients_shown, rounded_by))
        )
        # An incidence beside competing events is no whole number of patients: up to one more than was rounded.
        most += 1 if most else 0
        limits.append((fewest / (patients_shown + rounded_by), min(1.0, most / (patients_shown - rounded_by))))
    return limits[::-1]


def _plain(protected: pd.DataFrame) -> pd.DataFrame:
    numbers = [column for column in protected.columns if column != "group"]
    return protected.astype(dict.fromkeys(numbers, "float64")).astype({"day": int})


def _steps(reached: pd.Series, enough: int) -> list[int]:
    """For each day, the day whose value is shown: a new one after ``enough`` events, the last with the rest."""
    total = reached.iloc[-1]
    shown, found = reached.index[0], []
    for day, count in reached.items():
        if count - reached[shown] >= enough and (total - count >= enough or total == count):
            shown = day
        found.append(shown)
    return found
