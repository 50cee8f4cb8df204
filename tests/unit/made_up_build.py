"""A small build of everything that a run publishes, each part of it holding one text: the name of its state."""

import shutil

import duckdb

from capla_etl import paths
from capla_etl.releases.publish import staged

#: Content of a file that is the same in every build.
SAME = "in every version"


def build_all(state: str) -> None:
    """Build a state of the study, ready to be published."""
    paths.build_database().parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(paths.build_database())) as connection:
        connection.execute("create or replace table t as select ? as text", [state])
    shutil.rmtree(staged(paths.outputs()).parent, ignore_errors=True)
    for folder in (paths.outputs(), paths.data_docs(), paths.differences(), paths.dbt_docs()):
        staged(folder).mkdir(parents=True)
        (staged(folder) / f"{state}.txt").write_text(state)
        (staged(folder) / "same.txt").write_text(SAME)
    for part in ("centres", "queries", "protected"):
        (staged(paths.outputs()) / part).mkdir()
        (staged(paths.outputs()) / part / "DE01.html").write_text(state)
    (staged(paths.data_docs()) / "index.html").write_text(state)
    staged(paths.report()).write_text(state)
