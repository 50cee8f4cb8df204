import pyarrow.parquet as pq
import pytest
from tiny_centre import TinyCentre

from capla_etl import paths


@pytest.fixture
def centre(tmp_path, monkeypatch) -> TinyCentre:
    """An empty warehouse and one tiny centre with two patients: A (alive) and B (died on 20/03/2020)."""
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    return TinyCentre(tmp_path / "data_raw")


@pytest.fixture
def real_data(tmp_path, monkeypatch) -> None:
    """A data folder that declares nothing synthetic, and an empty warehouse."""
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))


@pytest.fixture
def loaded():
    """Rows of a table of the last load of XX01, as a list of dicts."""

    def rows(table: str) -> list[dict]:
        return pq.read_table(paths.centre_loads() / "XX01" / f"{table}.parquet").to_pylist()

    return rows
