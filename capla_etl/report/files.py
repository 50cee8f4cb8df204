"""Study tables and figures to files: the same bytes for the same data, whatever the day.

What is in them does not belong here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from capla_etl.tables.labels import about_the_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from capla_etl.report.printed_tables import PrintedTable


def write_tables(frames: dict[str, pd.DataFrame], folder: Path, note: str = "") -> list[Path]:
    """Write each data frame as ``<name>.csv`` (UTF-8, comma, dot, empty for null) and ``<name>.parquet``, and a README.

    Args:
        frames: name of the table -> data frame, in its final row order.
        folder: made when missing; files of the same name are replaced.
        note: what else the README says about them.

    Returns:
        The paths written: the README, then in the order of ``frames``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    readme = folder / "README.md"
    paragraphs = ["# Study tables and figures", about_the_data(), *([note] if note else [])]
    readme.write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    written = [readme]
    for name, frame in frames.items():
        csv, parquet = folder / f"{name}.csv", folder / f"{name}.parquet"
        frame.to_csv(csv, index=False, encoding="utf-8", lineterminator="\n")
        # Without the pandas metadata, which names library versions.
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(table, parquet, compression="zstd")
        written += [csv, parquet]
    return written


# More compression takes longer than drawing the figure, and saves little.
_COMPRESSION = 1


def forest_parts(table: PrintedTable, results: pd.DataFrame, whole: Path) -> dict[str, bytes]:
    """The parts of the forest plot for documents as PNG, by caption, cut from the whole plot as written."""
    from PIL import Image

    from capla_etl.report.figures.study_figures import forest_by_outcome

    parts = {}
    with Image.open(whole) as picture:
        for caption, part in forest_by_outcome(table, results, picture).items():
            content = io.BytesIO()
            part.save(content, format="PNG", compress_level=_COMPRESSION)
            parts[caption] = content.getvalue()
    return parts


def write_figures(figures: dict[str, Figure], folder: Path) -> list[Path]:
    """Write each figure as ``<name>.svg`` and ``<name>.png`` (200 dots per inch; 150 if it is longer than a page).

    Returns:
        The paths written, in the order of ``figures``.
    """
    from capla_etl.report.figures.study_figures import svg_text

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        svg, png = folder / f"{name}.svg", folder / f"{name}.png"
        svg.write_text(svg_text(figure), encoding="utf-8")
        dpi = 200 if figure.get_figheight() < 12 else 150
        figure.savefig(
            png, dpi=dpi, facecolor="white", metadata={"Software": None}, pil_kwargs={"compress_level": _COMPRESSION}
        )
        written += [svg, png]
    return written


def svg_by_name(written: Iterable[Path]) -> dict[str, str]:
    """The SVG text of figures that were written, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in written if path.suffix == ".svg"}
