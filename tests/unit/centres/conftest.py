from datetime import date

import pytest

from capla_etl.centres.harmonising.harmonise import Harmoniser
from capla_etl.centres.harmonising.pseudonym import DEMONSTRATION_KEY
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.submissions.history import read_current


@pytest.fixture
def harmonised(centre):
    """Rows of a table of XX01 as harmonised, or of the quarantine; nothing is judged as a whole, nothing is kept."""
    made: list[Harmoniser] = []

    def rows(table: str, *columns: str) -> list:
        if not made:
            spec = load_spec(centre.folder / "centre.yml")
            raws = read_current(spec, centre.folder, None)
            made.append(Harmoniser(spec, raws, date(2020, 12, 31), DEMONSTRATION_KEY).run())
        found = made[0].quarantine() if table == "quarantine" else made[0].table(table)
        if len(columns) == 1:
            return found[columns[0]].to_pylist()
        return [tuple(row[c] for c in columns) for row in found.to_pylist()]

    return rows
