"""A patient's own dates: which of them contradict each other, and which of those are then refused.

Only accepted dates judge others. Each contradiction is a vote against both dates. The date with more votes against it
is refused and the other stays; with as many against both, both are refused. Two exceptions: a date of death that no
other date outvotes stays (the primary outcome must not be lost through a typing error in another column), and exchanges
that were sent as rows count double against any other date, for there are several of them.

What does not belong here: dates that no patient can have (after the cut-off), and the dates of results (harmonise.py).
"""

from dataclasses import dataclass

#: Own dates as columns of table ``own``; death as the last day that it can have been on.
DATES = ("birth", "first_tpe_date", "first_session", "last_contact_date", "discharge_date", "reported_response_date")
DATES += ("death",)
#: Study field -> its column of ``own``, for dates that can be refused.
OWN = {"birth_date": "birth", "birth_year": "birth", "death_date": "death"}
OWN |= {name: name for name in ("first_tpe_date", "last_contact_date", "discharge_date", "reported_response_date")}
_MEANING = {
    "birth": "the birth",
    "first_tpe_date": "the first exchange",
    "first_session": "the exchanges sent as rows",
    "last_contact_date": "the last contact",
    "discharge_date": "the discharge",
    "reported_response_date": "the reported response",
    "death": "the death",
}
#: The rule that refuses the first date where the second one stays.
_RULES = {("death", "first_tpe_date"): "before_first_exchange", ("death", "first_session"): "before_first_exchange"}
_RULES |= {(date, "death"): "after_death" for date in DATES if date not in ("birth", "death")}
_RULES |= {(date, "birth"): "before_birth" for date in DATES if date != "birth"}
#: The rule where both are refused, or nothing more exact can be said.
CONTRADICT = "dates_contradict"


@dataclass(frozen=True)
class _Pair:
    """Two dates of which the first must not be after the second; ``only_a_vote``: other queries ask about the pair."""

    first: str
    second: str
    only_a_vote: bool = False

    @property
    def name(self) -> str:
        return f"{self.first}_after_{self.second}"

    @property
    def holds(self) -> str:
        """SQL of the contradiction; false where a date is not known."""
        if self.first == "birth":
            year = f"birth_year > year({self.second})"
            return f"coalesce(birth_date > {self.second}, false) or coalesce({year}, false)"
        return f"coalesce({self.first} > {self.second}, false)"


_LATER = DATES[3:-1]
_PAIRS = [
    *(_Pair("birth", later) for later in DATES[1:] if later != "first_session"),
    *(_Pair(earlier, "death") for earlier in DATES[1:-1]),
    *(_Pair("first_tpe_date", later, only_a_vote=True) for later in ("first_session", *_LATER)),
]


def judged_sql(own: str, columns: dict[str, str]) -> str:
    """SQL of the verdicts on own dates.

    Args:
        own: table with key_text, birth_date, birth_year and ``DATES`` but birth; accepted dates only.
        columns: own date -> how the message names its column.

    Returns:
        key_text; for each own date ``rule_<date>`` (null: it stays) and ``against_<date>`` (the dates that it
        contradicts, in words); ``death_in_doubt``: it stays, but judges nothing.
    """
    votes = {
        date: " + ".join(_vote(pair, date) for pair in _PAIRS if date in (pair.first, pair.second)) for date in DATES
    }
    counted = ", ".join(f"{sql} as votes_{date}" for date, sql in votes.items())
    held = ", ".join(f"{pair.holds} as {pair.name}" for pair in _PAIRS)
    refused = ", ".join(f"{_refused(date)} as refused_{date}" for date in DATES if date != "first_session")
    said = []
    for date in DATES:
        if date == "first_session":
            continue
        pairs = [(pair, other) for pair in _PAIRS if (other := _other(pair, date)) and not pair.only_a_vote]
        whens = " ".join(
            f"when {pair.name} and not {_is_refused(other)} then '{_RULES[date, other]}'"
            for pair, other in pairs
            if (date, other) in _RULES
        )
        rule = f"case {whens} else '{CONTRADICT}' end" if whens else f"'{CONTRADICT}'"
        said.append(f"case when refused_{date} then {rule} end as rule_{date}")
        against = ", ".join(
            f"case when {pair.name} then '{_MEANING[other]}{_quoted(columns.get(other))}' end" for pair, other in pairs
        )
        said.append(f"concat_ws(', ', {against}) as against_{date}")
    doubts = "(birth_after_death and votes_birth = votes_death) or (first_tpe_date_after_death and"
    doubts += " votes_first_tpe_date = votes_death)"
    return f"""
        select key_text, {", ".join(said)}, not refused_death and ({doubts}) as death_in_doubt
        from (select *, {refused} from (select *, {counted} from (select *, {held} from {own})))"""


def _quoted(column: str | None) -> str:
    return f" ({column.replace(chr(39), chr(39) * 2)})" if column else ""


def _other(pair: _Pair, date: str) -> str | None:
    return {pair.first: pair.second, pair.second: pair.first}.get(date)


def _vote(pair: _Pair, against: str) -> str:
    """SQL of the votes of a pair against one of its dates: two where the other is that of several rows."""
    return f"cast({pair.name} as integer)" + (" * 2" if _other(pair, against) == "first_session" else "")


def _refused(date: str) -> str:
    """SQL of whether a date is refused: outvoted in a pair, or, but for a death, as much in doubt as the other."""
    least = ">" if date == "death" else ">="
    parts = []
    for pair in _PAIRS:
        other = _other(pair, date)
        if other and not pair.only_a_vote:
            sign = ">=" if other == "first_session" else least
            parts.append(f"({pair.name} and votes_{date} {sign} votes_{other})")
    return " or ".join(parts)


def _is_refused(date: str) -> str:
    return "false" if date == "first_session" else f"refused_{date}"
