"""Numbers of the protocol in prose: a text names the parameter, and its value is filled in where the text is shown.

Questions to centres, labels, titles, descriptions and expectations are written so: no value is typed in a text.
"""

import re
import string

from capla_etl.protocol.parameters import parameters

DAYS_IN_A_MONTH = 30


def worded(text: str) -> str:
    """Fill the parameters that a text names.

    Args:
        text: prose with parameters in braces: ``{early_start_by_day}``; ``{early_start_by_day+1}`` adds to the value;
            ``:days`` gives "3 days", ``:ordinal`` "5th", ``:months`` "3 months" and ``:month`` "3-month" (days where
            the value is no whole number of months of 30 days).

    Returns:
        The text with the values in force. A list is written with commas.

    Raises:
        ValueError: a parameter that the protocol does not have, or braces that name none.
    """
    return _Worded().format(text)


class _Worded(string.Formatter):
    def get_field(self, field_name: str, args, kwargs):
        named = re.fullmatch(r"(\w+?)([+-]\d+)?", field_name)
        if not named or named[1] not in parameters():
            raise ValueError(f"found {{{field_name}}}; expected a parameter of dbt_project.yml in the braces")
        value = whole(parameters()[named[1]].value)
        return (value + int(named[2]) if named[2] else value), named[1]

    def format_field(self, value, format_spec: str) -> str:
        if format_spec == "ordinal":
            return f"{value}{ordinal_suffix(value)}"
        if format_spec in ("months", "month"):
            number, unit = divmod(value, DAYS_IN_A_MONTH)[0], "month"
            if value % DAYS_IN_A_MONTH:
                number, unit = value, "day"
            return f"{number}-{unit}" if format_spec == "month" else f"{number} {unit}{'' if number == 1 else 's'}"
        if format_spec == "days":
            return f"{value} day{'' if value == 1 else 's'}"
        if format_spec:
            raise ValueError(f"found the form {format_spec!r}; expected days, ordinal, months or month")
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def whole(value):
    """A number without a part after the point as a whole number: 90.0 is 90."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def ordinal_suffix(number: int) -> str:
    """``st``, ``nd``, ``rd`` or ``th``."""
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
