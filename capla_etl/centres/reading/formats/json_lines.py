"""Read JSON lines: one object a line, its own values or the elements of one of its lists."""

import duckdb
import pyarrow as pa

from capla_etl.centres.errors import listed
from capla_etl.centres.reading.formats.delimited import decode
from capla_etl.centres.reading.formats.file_table import FileTable, Unreadable
from capla_etl.centres.spec.grammar import JsonLines
from capla_etl.sql import identifier, quote


class JsonFile:
    """A file of JSON lines: its leaves by line, list and element, and the lists that it holds."""

    def __init__(self, content: bytes):
        text = decode(content, "utf-8")
        if not text.strip():
            raise Unreadable("the file is empty.")
        lines = text.removesuffix("\n").split("\n")
        self.con = duckdb.connect()
        numbers = pa.array(range(1, len(lines) + 1), pa.int64())
        self.con.register("arrived", pa.table({"source_row": numbers, "line": pa.array(lines, pa.string())}))
        self.con.execute(
            """create table lines as select source_row, line,
                case when json_valid(line) then json_type(line) = 'OBJECT' and line <> '{}' else false end as readable
            from arrived"""
        )
        unreadable = "select source_row, trim(line) <> '' from lines where not readable order by 1"
        blank, broken = (
            ("ignored", "blank_row", "Blank row."),
            ("quarantined", "not_json", "The line is no JSON object."),
        )
        aside = self.con.execute(unreadable).fetchall()
        self.set_aside = [(row, *(broken if filled else blank)) for row, filled in aside]
        if not self._values("select 1 from lines where readable limit 1"):
            raise Unreadable("no line is a JSON object; was the file cut off, or is it in another format?")
        self.con.execute(
            """create table node as
            select l.source_row, t.fullkey, t.type,
                   regexp_extract(t.fullkey, '^\\$\\.(.*?)\\[\\d+\\]', 1) as list_path,
                   try_cast(regexp_extract(t.fullkey, '\\[(\\d+)\\]', 1) as bigint) as list_index,
                   coalesce(nullif(regexp_replace(t.fullkey, '^\\$\\.(.*?\\[\\d+\\]\\.?)?', ''), ''), 'value') as
                   leaf_path, case t.type when 'NULL' then '' when 'VARCHAR' then json_extract_string(t.atom, '$')
                        else cast(t.atom as varchar) end as text
            from (select * from lines where readable) l, json_tree(l.line) t
            where t.fullkey <> '$' and t.type <> 'OBJECT'"""
        )
        repeated = "select source_row from node group by source_row, fullkey having count(*) > 1"
        aside = ("quarantined", "repeated_key", "The object names a key more than once.")
        self.set_aside += [(row, *aside) for row in sorted(set(self._values(repeated)))]
        self.con.execute(f"delete from node where source_row in ({repeated})")
        in_list = "leaf_path like '%[%' or (type = 'ARRAY' and list_path <> '')"
        if inner := self._values(f"select distinct leaf_path from node where {in_list} order by 1"):
            raise Unreadable(f"lists inside lists ({listed(inner)}); expected one level of lists.")
        self.lists = self._values("select distinct substr(fullkey, 3) from node where type = 'ARRAY' order by 1")

    def _values(self, query: str, parameters: list | None = None) -> list[str]:
        return [value for (value,) in self.con.execute(query, parameters).fetchall()]

    def read_alone(self, declared: JsonLines) -> FileTable:
        """The objects' own values, or the elements of one list without the owner's key."""
        found = self.read(declared, key="owner", used=[])
        if not declared.list:
            return found
        return FileTable(found.header[1:], found.rows.drop_columns(["owner"]), found.set_aside)

    def read(self, declared: JsonLines, key: str, used: list[str]) -> FileTable:
        """The objects' own values, or a list's elements with the owner's key; an empty list has ``used`` columns."""
        if declared.list and declared.list not in self.lists:
            raise Unreadable(f"no list {declared.list!r}; the objects have: {listed(self.lists)}.")
        names = self._values(
            "select leaf_path from node where type <> 'ARRAY' and list_path = ? group by 1 order by min(rowid)",
            [declared.list or ""],
        )
        values = ", ".join(f"coalesce(max(text) filter (leaf_path = {quote(n)}), '') as {identifier(n)}" for n in names)
        if not declared.list:
            query = f"""select {values}, source_row from node where type <> 'ARRAY' and list_path = ''
                group by source_row order by source_row"""
            return FileTable(names, self.con.execute(query).to_arrow_table(), self.set_aside)
        if not names:
            header = list(dict.fromkeys([key, *used]))
            schema = pa.schema([*((c, pa.string()) for c in header), ("source_row", pa.int64())])
            return FileTable(header, schema.empty_table())
        query = f"""
            select coalesce(owner, '') as {identifier(key)}, e.* exclude (line_row, list_index),
                row_number() over (order by line_row, list_index) as source_row
            from (
                select source_row as line_row, list_index, {values} from node
                where type <> 'ARRAY' and list_path = {quote(declared.list)} group by 1, 2
            ) e
            left join (
                select source_row as line_row, max(text) as owner from node
                where list_path = '' and leaf_path = {quote(key)} group by 1
            ) using (line_row)
            order by line_row, list_index"""
        return FileTable([key, *names], self.con.execute(query).to_arrow_table())
