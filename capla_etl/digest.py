"""Whether two warehouses hold the same: a digest of each table's rows, in the order in which they are stored."""

import duckdb

#: Schemas that the same inputs must always give again, byte for byte.
REPRODUCIBLE = ("marts", "outcomes", "study")


def table_digests(con: duckdb.DuckDBPyConnection, schemas: tuple[str, ...] = REPRODUCIBLE) -> dict[str, str]:
    """``schema.table`` -> SHA-256 over column names, types and every row as text, in stored order.

    Args:
        con: connection to a warehouse.
        schemas: the schemas to look at; their tables, no views.
    """
    tables = con.execute(
        "select schema_name, table_name from duckdb_tables() where schema_name in (select unnest(?)) order by all", [list(schemas)]
    ).fetchall()
    digests = {}
    for schema, table in tables:
        relation = f'{schema}."{table}"'
        columns = con.execute("select column_name || ' ' || data_type from duckdb_columns() where schema_name = ? and table_name = ? order by column_index", [schema, table])
        header = ", ".join(c for (c,) in columns.fetchall())
        query = f"select sha256(? || coalesce(string_agg(cast(t as varchar), chr(10) order by rowid), '')) from {relation} t"
        digests[f"{schema}.{table}"] = con.execute(query, [header]).fetchone()[0]
    return digests
