"""Two more centres, from folder to tables without Python: they read as the patients that they were copied from."""

import pandas as pd
import pyarrow.parquet as pq
import pytest
from new_centres import COPIED_FROM, TABLES, source, write
from tiny_centre import load_centre

from capla_etl import paths
from capla_etl.centres.draft import draft_centre
from capla_etl.centres.spec.check import load_spec
from capla_etl.quality.centre_check import check_centre

#: Columns that say where a record came from, or that the new centres send in another way (an age instead of a birth
#: date).
NOT_COMPARED = {
    "patient_id",
    "centre_id",
    "centre_patient_id",
    "submission",
    "source_file",
    "source_sheet",
    "source_row",
    "source_record",
    "source_repetition",
    "birth_date_linkage",
    "age_years_reported",
    "reported_response_date",
}


@pytest.fixture(scope="module", params=list(COPIED_FROM))
def new_centre(request, tmp_path_factory):
    """One new centre, loaded: its code, its folder, and the courses that it was copied from."""
    root = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPLA_WAREHOUSE", str(root / "original"))
        load_centre(COPIED_FROM[request.param])
        courses = source(paths.centre_loads(), request.param)
        folder = write(request.param, courses, root / "data_raw")
        patch.setenv("CAPLA_DATA_RAW", str(root / "data_raw"))
        patch.setenv("CAPLA_WAREHOUSE", str(root / "warehouse"))
        load_centre(request.param)
        yield request.param, folder, courses


def _comparable(frame: pd.DataFrame, key: str) -> list[tuple]:
    columns = [key, *(c for c in frame.columns if c not in NOT_COMPARED and c != "number")]
    return sorted(
        tuple("" if v is None or v != v else f"{v:.9g}" if isinstance(v, float | int) else str(v) for v in row)
        for row in frame[columns].itertuples(index=False)
    )


@pytest.mark.parametrize("table", TABLES)
def test_every_record_is_read_as_the_one_that_it_was_copied_from(new_centre, table):
    code, _, courses = new_centre
    loaded = pq.read_table(paths.centre_loads() / code / f"harmonised.{table}.parquet").to_pandas(date_as_object=True)
    before = courses[table]
    transferred = [c for c in before.columns if c.startswith("transferred_from")]
    assert _comparable(loaded.drop(columns=transferred), "centre_patient_id") == _comparable(
        before.drop(columns=transferred), "number"
    )
    assert len(loaded) == len(before) > 0


def test_nothing_of_it_is_refused(new_centre):
    code, _, _ = new_centre
    assert check_centre(code).refused.empty


def test_its_draft_knows_every_file_and_leaves_meanings_to_decide(new_centre):
    code, folder, _ = new_centre
    draft = draft_centre(folder)
    assert draft.unreadable == []
    assert {t.found.file: t.found.format.type for t in draft.tables} == {
        t.file: t.format.type for t in load_spec(folder / "centre.yml").tables.values()
    }
    assert {record.table for t in draft.tables for record in t.records} >= {
        "patient",
        "lab_result",
        "tpe_session",
        "drug_course",
    }
    assert draft.to_decide > 0
    assert "太郎" not in draft.centre_yml and f"id: {code}" in draft.centre_yml
