"""Errors for the people who send and receive the files."""

import contextlib
import re
import traceback
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path


class CentreRefused(Exception):
    """A centre's submission or spec cannot be used.

    The message says where, what was found, what is allowed and what to do. It never holds a patient's value, except a
    code that is missing from a declared vocabulary.
    """

    def __init__(self, centre_id: str, problems: list[str]):
        self.centre_id = centre_id
        self.problems = problems
        head = f"{centre_id}: not loaded, {len(problems)} problem(s); the last good load is unchanged."
        super().__init__("\n".join([head, *(f"  - {p}" for p in problems)]))

    def __reduce__(self):
        """As it comes from another process."""
        return CentreRefused, (self.centre_id, self.problems)


@contextlib.contextmanager
def one_centres_problem(centre_id: str) -> Iterator[None]:
    """Make any error of a block the refusal of one centre, whatever it is; running out of memory stays what it is.

    The message names the kind and place of an unexpected error, and not its text, which may hold a patient's value.
    """
    try:
        yield
    except (CentreRefused, OSError, MemoryError):
        raise
    except Exception as error:
        found = f"an unexpected {_kind_and_place(error)}; report it to the maintainers with the file."
        raise CentreRefused(centre_id, [f"{centre_id}: {found}"]) from None


def damaged(error: Exception) -> str:
    """What an error of the reader of a file means for the people who send the file, without its text."""
    advice = "Ask the centre to open the file and to send it again; if it opens there, report this to the maintainers."
    return f"damaged, or not of the declared format; its reader stopped at: {_kind_and_place(error)}. {advice}"


def _kind_and_place(error: Exception) -> str:
    """The kind of an error, and the line of this package where it came from.

    Raises:
        MemoryError: the error says that memory ran out.
    """
    if type(error).__name__ == "OutOfMemoryException":  # DuckDB's is no MemoryError
        raise MemoryError from None
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "capla_etl" in f.filename]
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "an unknown place"
    return f"{type(error).__name__} in {place}"


def listed(words: Iterable) -> str:
    """Words for a message, joined by commas; an empty word is shown as '', one with a comma in quotation marks."""
    texts = map(str, words)
    return ", ".join(text if text and "," not in text else repr(text) for text in texts) or "none"


def place_of(number: int, of: int, what: str, name: str = "", digest: str = "") -> str:
    """A file, sheet, list or column that no spec declares, by its place: "file 3 of 5 (.xlsx)".

    Its name may be that of a patient, so no message, log or table repeats it; ``name`` gives only the ending.
    """
    ending = re.search(
        r"\.(csv|tsv|txt|xlsx?|ods|json|ndjson|jsonl|parquet|sav|zsav|dta|xpt|zip|gz|pdf|docx?)$", name, re.I
    )
    known = ", ".join(filter(None, [ending and ending[0].lower(), digest]))
    return f"{what} {number} of {of}" + (f" ({known})" if known else "")


def letters(number: int) -> str:
    """The letters of a column in a spreadsheet: 28 is AB."""
    found = ""
    while number:
        number, letter = divmod(number - 1, 26)
        found = chr(65 + letter) + found
    return found


def said_place(file: str, sheet: str) -> str:
    """A file, and the sheet or list in it if there is one, for a message."""
    return f"{file}, sheet {sheet!r}" if sheet else file


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like another, if one is."""
    by_letters = {name.casefold(): name for name in known}
    return next((by_letters[near] for near in get_close_matches(word.casefold(), list(by_letters), n=1)), None)


def closest(word: str, known: Iterable[str]) -> str:
    """A question that names the known word most like another; empty without one."""
    near = nearest(word, known)
    return f" (did you mean {near!r}?)" if near else ""
