"""Tables as text, for a terminal or a Markdown page. What a table holds does not belong here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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
    texts = [list(headings), *([cell_text(value, thousands=right) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    sides = [False] * len(widths)
    if right and rows:
        sides = [all(v is None or isinstance(v, int) for v in column) for column in zip(*rows, strict=True)]
    if rule:
        texts.insert(1, ["-" * w for w in widths])
    room = width - sum(widths[:-1]) - 2 * len(widths)
    lines = []
    for row in texts:
        if width and 20 <= room < len(row[-1]):
            row[-1] = row[-1][: room - 1] + "…"
        cells = (text.rjust(w) if side else text.ljust(w) for text, w, side in zip(row, widths, sides, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(headings: Sequence[str], rows: Iterable[Sequence], digits: int = 6) -> str:
    """A table in Markdown; a bar or a line end in a value cannot end its cell."""
    texts = [[cell_text(value, digits).replace("|", "\\|").replace("\n", " ") for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(headings), ["---"] * len(headings), *texts])
