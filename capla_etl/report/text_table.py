"""Tables as text, for a terminal or a Markdown page. What a table holds does not belong here."""

from collections.abc import Iterable, Sequence

import tabulate

#: Columns are as wide as what is in them; tabulate would widen each heading by two.
tabulate.MIN_PADDING = 0

#: A last column is cut to the line's width only where this many characters of it stay.
_LEAST_SHOWN = 20


def cell_text(value, digits: int = 6, thousands: bool = False) -> str:
    """A value as text: empty for null, a number with at most ``digits`` significant digits, or whole with commas."""
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return f"{value:,}" if thousands and isinstance(value, int) else str(value)


def aligned(
    headings: Sequence[str], rows: Iterable[Sequence], *, right: bool = False, rule: bool = False, width: int = 0
) -> str:
    """Columns of equal width, two spaces apart.

    Args:
        headings: of the columns.
        rows: values, one per column.
        right: whether columns of whole numbers are on the right, with commas between thousands.
        rule: whether a line of dashes stands under the headings.
        width: of a line; text of the last column beyond it is cut ("…"). 0 cuts nothing.
    """
    rows = [list(row) for row in rows]
    texts = [[cell_text(value, thousands=right) for value in row] for row in rows]
    room = width - sum(max(map(len, column)) + 2 for column in list(zip(headings, *texts, strict=True))[:-1])
    if width and room >= _LEAST_SHOWN:
        texts = [[*row[:-1], row[-1] if len(row[-1]) <= room else row[-1][: room - 1] + "…"] for row in texts]
    numbers = [all(v is None or isinstance(v, int) for v in column) for column in zip(*rows, strict=True)]
    sides = ["right" if right and number else "left" for number in numbers] or None
    form = "simple" if rule else "plain"
    return _tabulated(texts, headings, form, sides)


def markdown(headings: Sequence[str], rows: Iterable[Sequence], digits: int = 6) -> str:
    """A table in Markdown; a bar or a line end in a value cannot end its cell."""

    def safe(value) -> str:
        return " ".join(cell_text(value, digits).replace("\\", "\\\\").replace("|", "\\|").splitlines())

    return _tabulated([list(map(safe, row)) for row in rows], list(map(safe, headings)), "github", None)


def _tabulated(texts: list[list[str]], headings: Sequence[str], form: str, sides: list[str] | None) -> str:
    return tabulate.tabulate(
        texts, headings, tablefmt=form, disable_numparse=True, preserve_whitespace=True, colalign=sides
    )
