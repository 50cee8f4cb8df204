"""One centre's patients beside the others', on the scale of comparison: what every family of checks begins with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from capla_etl.quality.monitoring.watched import SHARE, Quantity
from capla_etl.stats.between_centres import TRIMMED, Expected, Mean, expected, share_variance, trimmed_mean

#: With fewer patients a quantity of a centre is not judged, and another centre is no measure.
FEWEST_PATIENTS = 10
#: With fewer other centres, natural differences cannot be learned from them: the declared ones are used.
FEWEST_CENTRES = 4
#: Where practice may differ by any amount, so many times what matters is as far as a centre or patients may lie off.
_WITHOUT_NATURAL = 4
#: Near none and all, this part of a difference between shares matters that matters in the middle.
_LEAST_OF_SHARE = 0.2
#: A group needs as many patients of the others for a mean of its own.
_FEWEST_OF_GROUP = 20


@dataclass(frozen=True)
class Finding:
    """What one check found of one quantity, before chance is judged over all checks of the centre.

    ``p_look``: how likely chance gives it; ``p_stop``: the same where the centre truly differs by as much as centres
    may. ``matters``: whether the difference is large enough. ``estimate``, ``standard_error``, ``expected``,
    ``look_below``, ``look_above``: on the scale of comparison, for plots. ``places``: patients who show it,
    by their place in the frame; ``rows``, ``patient_numbers``: the same by row and number. ``others``: with how many
    other centres it compares; None: with none. ``found_of_few``: ``found`` without a figure that a few others would
    be known from, where it holds one.
    """

    family: str
    check_name: str
    quantity: str
    field: str
    patients: int
    found: str
    expected_text: str
    looks_like: str
    p_look: float
    p_stop: float = 1.0
    matters: bool = True
    scale: str = ""
    estimate: float = np.nan
    standard_error: float = np.nan
    expected: float = np.nan
    look_below: float = np.nan
    look_above: float = np.nan
    places: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    patient_numbers: tuple[str, ...] = ()
    others: int | None = None
    found_of_few: str = ""

    @property
    def words(self) -> tuple[str, str]:
        """What was found and expected as it may be said: signals go to the centre, and a figure of a few other
        centres would tell theirs."""
        if self.others is None or self.others >= FEWEST_CENTRES:
            return self.found, self.expected_text
        return self.found_of_few or self.found, f"as in {as_others(self.others)}"


@dataclass(frozen=True)
class NotJudged:
    """A check that could not be made, and why."""

    family: str
    check_name: str
    quantity: str
    field: str
    why_not: str
    patients: int = 0


def average(values: np.ndarray, of_share: bool) -> float:
    """The trimmed mean; of yes and no the plain one."""
    if not len(values):
        return 0.0
    cut = 0 if of_share else int(TRIMMED * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())


@dataclass(frozen=True)
class Beside:
    """One quantity: the centre's values and the others', less what the others' patients of the same treatment have.

    ``own``: the centre's frame of patients. ``others``: the same of each other centre.
    """

    quantity: Quantity
    own: pd.DataFrame
    others: dict[str, pd.DataFrame]

    def values(self, frame: pd.DataFrame) -> np.ndarray:
        """The values of a frame's patients on the scale of comparison."""
        return self.quantity.compared(frame[self.quantity.name].to_numpy(float))

    @cached_property
    def _by_group(self) -> dict[bool, float]:
        """What the others' patients of each group have on average (where no other has it: the centre's own)."""
        frames = list(self.others.values())
        if not any(f[self.quantity.name].notna().any() for f in frames):
            frames = [self.own]
        values = np.concatenate([self.values(f) for f in frames])
        treated = np.concatenate([f["treated"].to_numpy(bool) for f in frames])
        known = ~np.isnan(values)
        of_share = self.quantity.scale == SHARE
        overall = average(values[known], of_share)
        groups = {group: values[known & (treated == group)] for group in (False, True)}
        enough = {g: len(of) >= _FEWEST_OF_GROUP for g, of in groups.items()}
        # where the others show one treatment only, the patients of the other one are not judged
        lacking = np.nan if any(enough.values()) else overall
        return {g: average(of, of_share) if enough[g] else lacking for g, of in groups.items()}

    def group_values(self, frame: pd.DataFrame) -> np.ndarray:
        """For each patient of a frame what the others' patients of the group have."""
        groups = self._by_group
        return np.where(frame["treated"].to_numpy(bool), groups[True], groups[False])

    def residuals(self, frame: pd.DataFrame) -> np.ndarray:
        """The values less those of the group; NaN where not known."""
        return self.values(frame) - self.group_values(frame)

    @cached_property
    def mine(self) -> np.ndarray:
        """The centre's residuals, one per patient in the order of the frame; NaN where not known."""
        return self.residuals(self.own)

    @cached_property
    def known(self) -> np.ndarray:
        """The centre's residuals that are known."""
        return self.mine[~np.isnan(self.mine)]

    @cached_property
    def theirs(self) -> dict[str, np.ndarray]:
        """The known residuals of each other centre with enough patients."""
        found = {}
        for centre, frame in self.others.items():
            values = self.residuals(frame)
            values = values[~np.isnan(values)]
            if len(values) >= FEWEST_PATIENTS:
                found[centre] = values
        return found

    @cached_property
    def pooled(self) -> np.ndarray:
        """All the others' residuals, in ascending order."""
        return np.sort(np.concatenate([*self.theirs.values(), np.empty(0)]))

    def means(self, of=lambda values: values) -> tuple[Mean, list[Mean]]:
        """The centre's mean of a function of its residuals, and those of the others that are a measure."""
        spread = float(np.var(of(self.pooled))) if len(self.pooled) > 1 else 0.0
        least = max(spread / 10, 1e-8)
        return trimmed_mean(of(self.known), least), [trimmed_mean(of(v), least) for v in self.theirs.values()]

    def shares(self) -> tuple[Mean, list[Mean]]:
        """The same for yes and no: how much more of a centre's patients have it than the others' let expect."""

        def of(values: np.ndarray, frame: pd.DataFrame) -> Mean:
            known = ~np.isnan(self.residuals(frame))
            share = float(np.mean(self.group_values(frame)[known]))
            n = len(values)
            return Mean(float(values.mean()), share_variance(share, n), n, n)

        return of(self.known, self.own), [of(values, self.others[c]) for c, values in self.theirs.items()]

    @property
    def share_of_groups(self) -> float:
        """Which share of the centre's patients would have it if they were the others' of the same treatment."""
        return float(np.mean(self.group_values(self.own)[~np.isnan(self.mine)]))

    @cached_property
    def smallest_that_matters(self) -> float:
        """``matters`` on the scale of comparison; of a share, less near none and all, where each patient counts."""
        matters = self.quantity.limit(self.quantity.matters)
        if self.quantity.scale != SHARE or not len(self.known):
            return matters
        share = self.share_of_groups
        return matters * max(_LEAST_OF_SHARE, 2 * np.sqrt(share * (1 - share)))

    @property
    def farthest(self) -> float:
        """How far a centre may lie off at most: ``natural``, or some times what matters where none is declared."""
        q = self.quantity
        return q.limit(q.natural) if q.natural else _WITHOUT_NATURAL * self.smallest_that_matters

    def natural(self, others: Expected) -> float | None:
        """How far centres may truly differ: as declared, or more where they do; None: by any amount."""
        if self.quantity.natural is None:
            return None
        return max(self.quantity.limit(self.quantity.natural), 3 * float(np.sqrt(others.between)))

    def expected(self, others: list[Mean]) -> Expected:
        """What the others let expect of one more centre. Those who lie far off themselves are no measure."""
        means = np.array([m.mean for m in others])
        variances = np.array([m.variance for m in others])
        natural = self.farthest
        near = np.abs(means - np.median(means)) <= natural + 4 * np.sqrt(variances)
        if near.any():
            means, variances = means[near], variances[near]
        prior = self.smallest_that_matters / 2 if len(means) >= FEWEST_CENTRES else natural / 2
        return expected(means, variances, prior)


def as_others(centres: int) -> str:
    """The other centres in words."""
    return f"the {centres} other centres" if centres > 1 else "the other centre"


def too_few(n: int, fewest: int = FEWEST_PATIENTS) -> str:
    """Why a quantity is not judged that few patients have."""
    return f"known in {n} patients; at least {fewest} are needed"
