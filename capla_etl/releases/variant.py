"""Variants of the study: as of a day, by another rule set, or only what may leave the group.

A variant is built from its own loads in its own folder, never in place of the published study.
"""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from capla_etl import paths

JOURNAL, PROTECTED = "journal", "protected"
PROFILES = (JOURNAL, PROTECTED)


@dataclass(frozen=True)
class Variant:
    """What differs from the study as it is now.

    Attributes:
        as_of: only submissions, corrections and answers up to this day count; none: all.
        rule_set: the rule set that the tables use (``outcomes.rule_set``); none: the declared default.
        profile: ``journal`` publishes everything, ``protected`` only what may leave the group (docs/PRIVACY.md).
    """

    as_of: date | None = None
    rule_set: str | None = None
    profile: str = JOURNAL

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ValueError(f"profile: found {self.profile!r}; expected one of {', '.join(PROFILES)}")

    @classmethod
    def of(cls, as_of: str, rule_set: str, profile: str) -> "Variant":
        """Make a variant from what a person wrote, empty for none.

        Raises:
            ValueError: no such day, rule set or profile; the message says what is allowed.
        """
        if rule_set and rule_set not in (known := rule_set_names()):
            raise ValueError(f"rule set: found {rule_set!r}; expected one of {', '.join(known)}")
        return cls(day(as_of) if as_of else None, rule_set or None, profile)

    @property
    def name(self) -> str:
        """Name of its folder; empty: it is the study itself."""
        parts = [
            f"as-of-{self.as_of}" if self.as_of else "",
            f"rules-{self.rule_set}" if self.rule_set else "",
            self.profile if self.profile != JOURNAL else "",
        ]
        return "_".join(part for part in parts if part)

    @property
    def warehouse(self) -> Path:
        """Where it is built and published."""
        return paths.warehouse() / "variants" / self.name if self.name else paths.warehouse()

    def environment(self) -> dict[str, str]:
        """Environment variables of a process that computes it."""
        if not self.name:
            return {}
        settings = {
            "CAPLA_ACCEPTED": str(paths.accepted()),
            "CAPLA_SHOWN": str(paths.shown()),
            "CAPLA_WAREHOUSE": str(self.warehouse),
            "CAPLA_AS_OF": str(self.as_of or ""),
            "CAPLA_RULE_SET": self.rule_set or "",
            "CAPLA_PROFILE": self.profile,
        }
        return {name: value for name, value in settings.items() if value}


def day(text: str) -> date:
    """Read a day.

    Raises:
        ValueError: not a valid day.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"day: found {text!r}; expected a day of the calendar as YYYY-MM-DD") from None


def rule_set_names() -> list[str]:
    """Names of the rule sets (``outcomes.rule_set``)."""
    from capla_etl.protocol.definitions import rule_sets

    return [declared["rule_set"] for declared in rule_sets()]


def profile() -> str:
    """What is published (``CAPLA_PROFILE``): all of it, or only what may leave the group."""
    return Variant(profile=os.environ.get("CAPLA_PROFILE") or JOURNAL).profile
