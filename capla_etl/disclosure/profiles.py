"""Disclosure profiles of ``profiles.yml``. A profile is known, or it is an error."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from capla_etl.disclosure.suppression import CountRules

PROFILES = Path(__file__).with_name("profiles.yml")


class Protection(BaseModel):
    """Thresholds of a protecting profile; the limits are the least strict ones that are accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suppress_below: int = Field(ge=10)
    round_to: int = Field(ge=5)
    possible_values_from: int = Field(ge=5)
    possible_unprinted_from: int = Field(ge=3)
    quartiles_from_patients: int = Field(ge=40)
    curves_from_at_risk: int = Field(ge=20)
    curve_step_days: int = Field(ge=5)
    p_significant_digits: int = Field(ge=1, le=2)
    smd_decimals: int = Field(ge=0, le=2)

    @property
    def counts(self) -> CountRules:
        """The rules for counts alone."""
        return CountRules(self.suppress_below, self.round_to, self.possible_values_from, self.possible_unprinted_from)


@dataclass(frozen=True)
class Profile:
    """One profile: its protection (None: all as computed), the tables that it may show, what a reader is told."""

    name: str
    protection: Protection | None
    tables: tuple[str, ...]
    notice: str


@cache
def profiles() -> dict[str, Profile]:
    """All profiles by name.

    Raises:
        ValueError: a profile other than ``journal`` without protection, or with one that is less strict than is
            accepted.
    """
    found = {}
    for name, declared in yaml.safe_load(PROFILES.read_text(encoding="utf-8")).items():
        if declared["protection"] == "none" and name != "journal":
            raise ValueError(f"profiles.yml: {name}: only the profile journal is without protection")
        protection = None if declared["protection"] == "none" else Protection(**declared["protection"])
        notice = declared["notice"].format(**protection.model_dump()) if protection else declared["notice"]
        found[name] = Profile(name, protection, tuple(declared.get("tables", ())), notice)
    return found


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none; nothing is shown then.
    """
    if name not in profiles():
        raise ValueError(f"no profile {name!r}; known are {', '.join(profiles())}")
    return profiles()[name]
