"""A draft of ``centre.yml``: each file recognised, each column profiled, each study field found or said to be missing.

``TO_DECIDE`` stands for what the files do not prove and what would change numbers: the spec refuses it, so that a person decides.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from capla_etl import fields as study
from capla_etl.centres.draft.detect import Found, detect, one_encoding
from capla_etl.centres.draft.profile import Column, DateOrder, column_of
from capla_etl.centres.draft.words import normal, without_unit, words
from capla_etl.centres.free_text import identifiers_in
from capla_etl.centres.spec import TO_DECIDE, Delimited, JsonLines, Workbook

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_WIDE = re.compile(r"[\uff10-\uff19\uff21-\uff5a]")
_NUMBERED = re.compile(r"^(.*?\D|)([1-9]\d?)(\D*)$")
_END = re.compile(r"(fim|fine?|ende?|stop|vege)\d?$|\s(bis|al|b|to|until)\d?$")
#: A repeated group has at least so many numbers.
_REPEATED = 3
_ANALYTES = {"platelets": "platelets_10e9_per_l", "ldh": "ldh_x_uln", "adamts13": "adamts13_percent"}
_LISTS = {"tpe_session": "plasma exchanges", "drug_course": "drugs", "adverse_event": "adverse events"}
#: A number of an exchange from here on is an amount of plasma in mL, and no mark or count.
_LEAST_VOLUME = 300
#: What the outcomes cannot do without.
_NEEDED = ["sex", "birth_date", "first_tpe_date", "platelets_10e9_per_l", "ldh_x_uln", "adamts13_percent", "session_date", "drug", "died", "death_date", "last_contact_date"]


@dataclass
class Entry:
    """One field of a record: the keys of its source and what the draft says about them."""

    source: dict
    note: str


@dataclass
class RecordDraft:
    """One record of a table; ``rows``: the kind of row that holds it."""

    table: str
    fields: dict[str, Entry]
    rows: str | None = None
    present: dict | None = None


@dataclass
class TableDraft:
    """One file, sheet or list of the draft."""

    name: str
    found: Found
    columns: dict[str, Column]
    key: str = TO_DECIDE
    key_note: str = ""
    options: dict[str, tuple] = field(default_factory=dict)
    kinds: tuple[str, dict[str, list[str]], dict[str, str]] | None = None
    forbidden: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    free_text: dict[str, str] = field(default_factory=dict)
    records: list[RecordDraft] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


@dataclass
class Draft:
    """A drafted spec.

    ``centre_yml``: its text. ``summary``: lines for the terminal. ``tables``: what was recognised. ``unreadable``: what could not be read, and why.
    """

    centre_yml: str
    summary: list[str]
    tables: list[TableDraft]
    unreadable: list[str]

    @property
    def to_decide(self) -> int:
        """How many decisions are left."""
        return sum(TO_DECIDE in line.split("#")[0] for line in self.centre_yml.splitlines())

    def as_json(self) -> dict:
        """The same for machines; no cell of a file."""
        return {
            "centre_yml": self.centre_yml,
            "to_decide": self.to_decide,
            "unreadable": self.unreadable,
            "tables": [
                {
                    "name": t.name,
                    "file": t.found.file,
                    "format": t.found.format.model_dump(exclude_defaults=True),
                    "key": t.key,
                    "columns": {
                        c.name: {"rows": c.rows, "filled": c.filled, "distinct": len(c.texts), "missing_codes": c.missing, "identifying": c.name in t.forbidden}
                        for c in t.columns.values()
                    },
                    "fields": sorted({name for record in t.records for name in record.fields}),
                }
                for t in self.tables
            ],
        }


def draft_centre(path: Path, centre_id: str | None = None) -> Draft:
    """Draft a spec from the files of a folder, of the newest dated folder in it, or from one file.

    Args:
        path: folder of files as sent, a centre's folder with dated submissions, or one file.
        centre_id: the centre's code; else the folder's name where it is one.

    Raises:
        FileNotFoundError: there is no such path, or no file in it.
    """
    folder, files = _files(path)
    found, unreadable = [], []
    for file in files:
        there, problems = detect(file)
        found += there
        unreadable += problems
    one_encoding(found, {file.name: file for file in files})
    tables = [_table(f) for f in found]
    _name(tables)
    _share_keys(tables)
    for table in tables:
        _recognise(table)
    code = centre_id or next((p.name for p in (folder, folder.parent) if re.fullmatch(r"[A-Z]{2}\d{2}", p.name)), TO_DECIDE)
    text = _text(code, tables, unreadable, [f.name for f in files])
    draft = Draft(text, [], tables, unreadable)
    return Draft(text, _summary(draft), tables, unreadable)


def _files(path: Path) -> tuple[Path, list[Path]]:
    if path.is_file():
        return path.parent, [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such file or folder.")
    dated = sorted(p for p in path.iterdir() if p.is_dir() and _DATED.fullmatch(p.name))
    folder = dated[-1] if dated else path
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", "~$")) and p.suffix not in (".yml", ".md"))
    if not files:
        raise FileNotFoundError(f"{folder}: no files in it.")
    return folder, files


def _table(found: Found) -> TableDraft:
    """Profiles of the columns, numbered groups as one column each."""
    cells = {name: found.table.rows[name].to_pylist() for name in found.table.header}
    footers = set(getattr(found.format, "footer_starts_with", []))
    first = found.table.header[0] if found.table.header else None
    if first and isinstance(found.format, Workbook):
        footers = {text for text in cells[first][-3:] if words().is_footer(text)}
        if footers:
            found.format = found.format.model_copy(update={"footer_starts_with": sorted(footers)})
    keep = [i for i in range(found.table.rows.num_rows) if any(cells[n][i].strip() for n in cells) and not (first and cells[first][i].strip() in footers)]
    groups: dict[str, list[str]] = {}
    for name in cells:
        if match := _NUMBERED.match(name):
            groups.setdefault(f"{match[1]}{{k}}{match[3]}", []).append(name)
    grouped = {template: names for template, names in groups.items() if _is_group(template, names)}
    columns = {}
    for name, values in cells.items():
        template = next((t for t, names in grouped.items() if name in names), None)
        if template is None:
            columns[name] = column_of(name, [values[i] for i in keep])
        elif template not in columns:
            columns[template] = column_of(template, [cells[n][i] for n in grouped[template] for i in keep])
    table = TableDraft("", found, columns)
    if any(_WIDE.search(text) for c in columns.values() for text in list(c.texts)[:200]):
        table.options["width"] = ("narrow", "full-width digits or letters are in the cells")
        columns = {n: column_of(n, [_narrow(t) for t, k in c.texts.items() for _ in range(k)] + [""] * (c.rows - c.filled)) for n, c in columns.items()}
        table.columns = columns
    return table


def _narrow(text: str) -> str:
    import unicodedata

    return "".join(unicodedata.normalize("NFKC", c) if 0xFF01 <= ord(c) <= 0xFF5E or c == "\u3000" else c for c in text)


def _is_group(template: str, names: list[str]) -> bool:
    """Numbers from 1 on without a gap."""
    numbers = sorted(int(_NUMBERED.match(n)[2]) for n in names)
    return len(numbers) >= _REPEATED and numbers == list(range(1, len(numbers) + 1)) and "{k}" in template


def _name(tables: list[TableDraft]) -> None:
    """A name for each table that the spec accepts, by its file, sheet or list."""
    taken: set[str] = set()
    for table in tables:
        base = re.sub(r"[^a-z0-9]+", "_", normal(table.found.label).encode("ascii", "ignore").decode()).strip("_")
        base = base if base and base[0].isalpha() else f"table_{base}".rstrip("_")
        name, number = base, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        table.name = name


def _share_keys(tables: list[TableDraft]) -> None:
    """The patient's key of each table: by its header, and by holding the same patients as the others."""
    candidates = []
    for table in tables:
        named = [(m.whole, m.letters, c) for c in table.columns.values() if (m := words().match("roles", c.name)) and m.name == "key" and c.filled]
        for whole, _, column in sorted(named, key=lambda x: (-x[0], -x[1])):
            if whole or column.unique:
                candidates.append((table, column))
                break
    shared = Counter(text for _, column in candidates for text in column.texts)
    for table in tables:
        if isinstance(table.found.format, JsonLines) and table.found.format.list:
            continue
        own = next((column for t, column in candidates if t is table), None)
        if own is not None:
            elsewhere = sum(shared[text] > 1 for text in own.texts)
            table.key = own.name
            table.key_note = f"certain: its values are those of {elsewhere} patients of other files" if elsewhere else "GUESS: by its name; see that it is the patient's number"
            continue
        best = max(table.columns.values(), key=lambda c: sum(text in shared for text in c.texts), default=None)
        if best is not None and sum(text in shared for text in best.texts) > len(best.texts) / 2:
            table.key, table.key_note = best.name, "certain: its values are the patients of the other files"
    for table in tables:
        if isinstance(table.found.format, JsonLines) and table.found.format.list:
            owner = next((t for t in tables if t.found.file == table.found.file and not t.found.format.list), None)
            table.key, table.key_note = (owner.key, "the owner of the list") if owner else (TO_DECIDE, "")


# ------------------------------------------------------------------ what a table holds


def _recognise(table: TableDraft) -> None:
    """Records of a table, and what is to be said of every other column."""
    table.used.add(table.key)
    _set_apart(table)
    sections = _sections(table)
    for kind, columns in sections:
        _section(table, kind, columns)
    _decimal_and_dates(table)
    for column in table.columns.values():
        if column.name in table.used or column.name in table.forbidden or column.name in table.free_text or column.name in table.ignored:
            continue
        if column.filled == 0:
            table.ignored[column.name] = "empty in every row"
        elif len(column.texts) == 1 and column.filled == column.rows:
            table.ignored[column.name] = "the same in every row"
        else:
            table.ignored[column.name] = f"{TO_DECIDE}: not recognised ({_kind_in_words(column)}); a study field, or why it is none"


def _set_apart(table: TableDraft) -> None:
    """Identifying columns, free text, and what is known to be no study field."""
    for column in table.columns.values():
        if column.name == table.key:
            continue
        identifying = words().match("identifying", column.name)
        is_code = column.is_vocabulary and any(words().code(v, t) for v in ("drug", "analyte", "adverse_event_kind", "exchange") for t in column.values)
        if identifying and identifying.whole and not is_code:
            table.forbidden[column.name] = identifying.name
        elif words().is_free_text(column.name):
            table.free_text[column.name] = "remarks"
        elif known := words().match("ignored", column.name):
            if known.whole:
                table.ignored[column.name] = known.name
        elif _is_text(column):
            texts = list(column.texts)
            if sum(len(t) for t in texts) / len(texts) > 25:
                table.free_text[column.name] = "long texts; GUESS: people write freely here"
            elif kinds := identifiers_in(texts) - {"formula", "birth date"}:
                table.forbidden[column.name] = f"GUESS: holds what looks like a {', '.join(sorted(kinds))}"


def _is_text(column: Column) -> bool:
    return bool(column.texts) and not (column.is_vocabulary or column.is_number or column.dates or _separator(column))


def _sections(table: TableDraft) -> list[tuple[str | None, dict[str, Column]]]:
    """The rows of a table by kind, where a column tells kinds apart (REDCap's repeating instruments); else all of them."""
    column = next((c for c in table.columns.values() if (m := words().match("roles", c.name)) and m.name == "instrument" and m.whole), None)
    if column is None:
        return [(None, table.columns)]
    table.used.add(column.name)
    rows = table.found.table.rows
    kinds = [text.strip() for text in rows[column.name].to_pylist()]
    names: dict[str, list[str]] = {}
    found = []
    for kind in dict.fromkeys(kinds):
        name = re.sub(r"[^a-z0-9]+", "_", normal(kind)).strip("_") or "base"
        names[name] = [kind]
        own = [i for i, k in enumerate(kinds) if k == kind]
        columns = {}
        for header in table.found.table.header:
            cells = rows[header].take(own).to_pylist()
            if header != column.name and (header == table.key or any(c.strip() for c in cells)):
                columns[header] = column_of(header, cells)
        found.append((name, columns))
    table.kinds = (column.name, names, {})
    return found


def _section(table: TableDraft, kind: str | None, columns: dict[str, Column]) -> None:
    """Every record that rows of one kind hold."""
    free = {n: c for n, c in columns.items() if n != table.key and n not in table.forbidden and n not in table.free_text and n not in table.ignored}
    key = columns.get(table.key)
    is_patient = bool(key) and len(key.texts) == key.filled and sum(_patient_field(c) is not None for c in free.values() if c.filled) >= 3
    before = len(table.records)
    everything, free = free, {n: c for n, c in free.items() if c.filled}  # an empty column can be a field of the patient, nothing else
    if kind is None and not is_patient:
        _long_results(table, free)
        _procedures(table, free)
    _drug_rows(table, free)
    _event_rows(table, free)
    if is_patient:
        _patient(table, everything)
        _columns_of_drugs(table, free)
        _columns_of_events(table, free)
    _wide_results(table, free, is_patient)
    _exchanges(table, free, is_patient, kind)
    for record in table.records[before:]:
        record.rows = record.rows or kind


def _unused(table: TableDraft, columns: dict[str, Column]) -> list[Column]:
    return [c for n, c in columns.items() if n not in table.used]


def _by_role(table: TableDraft, columns: dict[str, Column], role: str, fits=lambda column: True) -> Column | None:
    """The column whose header says a role most clearly, among those whose cells fit."""
    named = [(m.whole, m.letters, c) for c in _unused(table, columns) if (m := words().match("roles", c.name)) and m.name == role and fits(c)]
    return max(named, key=lambda x: x[:2])[2] if named else None


def _day(table: TableDraft, columns: dict[str, Column]) -> tuple[Entry, Column] | None:
    """The date or study day of a row."""
    if column := _by_role(table, columns, "date", lambda c: c.dates is not None) or next((c for c in _unused(table, columns) if c.dates), None):
        return Entry({"column": column.name}, f"certain: {column.dates.why}" if not column.dates.either else column.dates.why), column
    if column := _by_role(table, columns, "study_day", lambda c: c.is_whole_number):
        is_sdtm = column.name.upper().endswith("DY") and "0" not in column.texts
        source = {"column": column.name, "study_day": TO_DECIDE}
        zero = "there is no day 0, as in SDTM" if is_sdtm else "day 0 is there" if "0" in column.texts else "no day 0 in the cells"
        return Entry(source, f"days, not dates; {zero}: sdtm (day 1 is the first exchange) or true (day 0 is)"), column
    return None


def _long_results(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row a result: a column says what was measured; or the table's name does."""
    kind = next((c for c in _unused(table, columns) if c.is_vocabulary and sum(words().code("analyte", t) is not None for t in c.values) >= 1 and not c.is_number), None)
    result = _by_role(table, columns, "result", lambda c: c.is_number)
    day = _day(table, columns)
    label = words().code("analyte", table.found.label) or (m.name if (m := words().match("fields", table.found.label)) else None)
    analyte = next((a for a, f in _ANALYTES.items() if label in (a, f)), None)
    if result is None or day is None or (kind is None and analyte is None):
        return
    unit = _by_role(table, columns, "unit")
    uln = _by_role(table, columns, "uln", lambda c: c.is_number)
    comparator = _by_role(table, columns, "comparator", lambda c: set(c.texts) <= {"<", ">", "=", "≤", "≥"})
    analytes: dict[str, list[str]] = {analyte: []} if kind is None else {}
    ignored = {}
    for word in kind.texts if kind else []:
        if code := words().code("analyte", word):
            analytes.setdefault(code, []).append(word)
        else:
            ignored[word] = f"{TO_DECIDE}: not recognised; a study field, or why it is none"
    if kind:
        table.kinds = (kind.name, analytes, ignored)
    for code in analytes:
        own = _rows_of(table, kind, analytes[code]) if kind else None
        name = _ANALYTES[code]
        source, note = _number_source(study.fields()[name], result if own is None else column_of(result.name, own[result.name]), table)
        if unit is not None:
            texts = Counter(t.strip() for t in own[unit.name] if t.strip()) if own else unit.texts
            accepted = list(study.fields()[name].units)
            source["unit"] = {"column": unit.name, "codes": {text: words().unit(text, accepted) or TO_DECIDE for text in sorted(texts)}}
            note = "certain: the unit is in the row"
        if uln is not None and code == "ldh":
            source["uln"] = {"column": uln.name}
        if comparator is not None and code == "adamts13":
            source["comparator"] = {"column": comparator.name, "codes": {"": "", **{sign: {"=": "", "≤": TO_DECIDE, "≥": TO_DECIDE}.get(sign, sign) for sign in sorted(comparator.texts)}}}
        table.records.append(RecordDraft("lab_result", {"result_date": day[0], name: Entry(_with_limit(source, name), note)}, code if kind else None))
    table.used |= {c.name for c in (kind, result, day[1], unit, uln, comparator) if c is not None}


def _rows_of(table: TableDraft, kind: Column, texts: list[str]) -> dict[str, list[str]]:
    rows = table.found.table.rows
    own = [i for i, text in enumerate(rows[kind.name].to_pylist()) if text.strip() in texts]
    return {name: rows[name].take(own).to_pylist() for name in table.found.table.header}


def _with_limit(source: dict, name: str) -> dict:
    """LDH in U/L needs the laboratory's upper limit; where no column has it a person must say it."""
    units = source.get("unit")
    in_units = "U/L" in units["codes"].values() if isinstance(units, dict) else units in ("U/L", TO_DECIDE)
    if name == "ldh_x_uln" and in_units and "uln" not in source:
        return source | {"uln": {"constant": TO_DECIDE}}
    return source


def _procedures(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row a procedure, exchanges among them (SDTM PR)."""
    kind = _by_role(table, columns, "procedure", lambda c: any(words().code("exchange", t) for t in c.values))
    if kind is None:
        return
    exchanges = [t for t in kind.texts if words().code("exchange", t)]
    table.kinds = (kind.name, {"exchange": exchanges}, {t: f"{TO_DECIDE}: not recognised" for t in kind.texts if t not in exchanges})
    table.used.add(kind.name)
    if (day := _by_role(table, columns, "exchange_date", lambda c: c.dates is not None) or next((c for c in _unused(table, columns) if c.dates), None)) is not None:
        fields = {"session_date": Entry({"column": day.name}, f"certain: {day.dates.why}")} | _volume(table, columns)
        table.records.append(RecordDraft("tpe_session", fields, "exchange"))
        table.used.add(day.name)
    elif (day := _by_role(table, columns, "exchange_day", lambda c: c.is_whole_number)) is not None:
        fields = {"session_date": Entry({"column": day.name, "study_day": TO_DECIDE}, "days, not dates: sdtm (day 1 is the first exchange) or true (day 0 is)")}
        table.records.append(RecordDraft("tpe_session", fields | _volume(table, columns), "exchange"))
        table.used.add(day.name)


def _volume(table: TableDraft, columns: dict[str, Column]) -> dict[str, Entry]:
    volume = _by_role(table, columns, "exchange_volume", lambda c: c.is_number)
    if volume is None:
        return {}
    table.used.add(volume.name)
    return {"volume_ml": Entry(*_number_source(study.fields()["volume_ml"], volume, table))}


def _drug_rows(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row a course or dose of a drug."""
    drug = next((c for c in _unused(table, columns) if c.is_vocabulary and sum(words().code("drug", t) is not None for t in c.values) >= 1 and not c.is_number), None)
    drug = drug or _by_role(table, columns, "drug", lambda c: c.is_vocabulary and c.is_whole_number)
    if drug is None:
        return
    start = _by_role(table, columns, "start", lambda c: c.dates is not None) or _by_role(table, columns, "date", lambda c: c.dates is not None)
    end = _by_role(table, columns, "end", lambda c: c.dates is not None)
    if start is None:
        return
    fields = {"drug": _coded(study.fields()["drug"], drug, "drug"), "start_date": Entry({"column": start.name}, "")}
    if end is not None:
        fields["end_date"] = Entry({"column": end.name}, "GUESS: the last day of the course, inclusive; see the codebook")
    table.records.append(RecordDraft("drug_course", fields))
    if unit := _by_role(table, columns, "unit"):
        table.ignored[unit.name] = "unit of the dose; not a study field"
    table.used |= {c.name for c in (drug, start, end) if c is not None}


def _event_rows(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row an adverse event."""
    kind = next((c for c in _unused(table, columns) if c.is_vocabulary and sum(words().code("adverse_event_kind", t) is not None for t in c.values) >= 2 and not c.is_number), None)
    kind = kind or _by_role(table, columns, "event_kind", lambda c: words().match("roles", c.name).whole and c.is_vocabulary and (c.is_whole_number or any(words().code("adverse_event_kind", t) for t in c.values)))
    if kind is None:
        return
    fields = {"kind": _coded(study.fields()["kind"], kind, "adverse_event_kind")}
    table.used.add(kind.name)
    if day := _by_role(table, columns, "event_date", lambda c: c.dates is not None) or _by_role(table, columns, "date", lambda c: c.dates is not None):
        fields["event_date"] = Entry({"column": day.name}, f"certain: {day.dates.why}")
        table.used.add(day.name)
    if site := _by_role(table, columns, "event_site"):
        fields["site"] = _coded(study.fields()["site"], site, None)
        table.used.add(site.name)
    table.records.append(RecordDraft("adverse_event", fields))


def _patient_field(column: Column) -> str | None:
    """The field of the patient table that a column is, by its header and by cells that agree with it."""
    target = study.tables()["patient"]
    known = (*target.columns, *target.withheld)
    if "{k}" in column.name:
        return None
    return next((m.name for m in words().matches("fields", column.name) if m.whole and m.name in known and _agrees(m.name, column)), None)


def _agrees(name: str, column: Column) -> bool:
    declared = study.fields()[name]
    if not column.filled:
        return True
    if declared.type == "date":
        return column.dates is not None
    if declared.type in ("number", "integer"):
        return column.is_number
    if declared.type in ("code", "answer"):
        return column.is_vocabulary or len(column.values) <= 5
    return True


def _patient(table: TableDraft, columns: dict[str, Column]) -> None:
    """The patient's own fields; of two columns for one field the one whose header says more."""
    best: dict[str, Column] = {}
    for column in _unused(table, columns):
        name = _patient_field(column)
        if name and (name not in best or len(column.name) > len(best[name].name)):
            best[name] = column
    fields: dict[str, Entry] = {}
    for name in (*study.tables()["patient"].withheld, *study.tables()["patient"].columns):
        if name not in best:
            continue
        column, declared = best[name], study.fields()[name]
        table.used.add(column.name)
        if not column.filled:
            vocabulary = {"vocabulary": "study"} if declared.codes else {}
            unit = {"unit": TO_DECIDE} if declared.units else {}
            fields[name] = Entry({"column": column.name} | vocabulary | unit, "GUESS by its header: empty in every row so far")
        elif declared.type == "date":
            source = {"column": column.name}
            if declared.partial and column.dates.partial:
                source["partial_date_format"] = column.dates.partial
            fields[name] = Entry(source, "certain: " + column.dates.why if not column.dates.either else column.dates.why)
        elif declared.type in ("number", "integer"):
            source, note = _number_source(declared, column, table)
            fields[name] = Entry(source, note)
        else:
            vocabulary = {"answer": "answer"}.get(declared.type, declared.vocabulary)
            fields[name] = _coded(declared, column, vocabulary)
    if "died" not in fields and "death_date" in fields:
        fields["died"] = Entry({"column": fields["death_date"].source["column"], "filled": "yes", "blank": TO_DECIDE}, 'no column says who lives: is a blank date "no", or unknown?')
    table.records.append(RecordDraft("patient", fields))


def _columns_of_drugs(table: TableDraft, columns: dict[str, Column]) -> None:
    """Dates of drugs in columns of their own: starts, and the ends that follow them."""
    open_start: dict[str, RecordDraft] = {}
    for column in _unused(table, columns):
        match = words().match("drug_columns", re.sub(r"\d+", " ", column.name))
        separator = _separator(column)
        if match is None or not (column.dates or separator):
            continue
        table.used.add(column.name)
        if _END.search(normal(column.name)) and match.name in open_start:
            open_start.pop(match.name).fields["end_date"] = Entry({"column": column.name}, "GUESS: the last day of the course, inclusive; see the codebook")
            continue
        source = {"column": column.name} | ({"separator": separator} if separator else {})
        start = Entry(source, "")
        if not column.dates and column_of(column.name, re.findall(r"\S+", " ".join(column.values).replace(separator or " ", " "))).is_whole_number:
            start = Entry(source | {"study_day": TO_DECIDE}, "days, not dates: sdtm (day 1 is the first exchange) or true (day 0 is)")
        record = RecordDraft("drug_course", {"drug": Entry({"constant": match.name}, "certain: by its header"), "start_date": start})
        table.records.append(record)
        open_start[match.name] = record


def _separator(column: Column) -> str | None:
    """What parts several dates in one cell."""
    if column.dates or not column.values:
        return None
    for separator in ("; ", ";", ", ", " "):
        parts = Counter(part for text in column.values for part in text.split(separator) if part)
        several = column_of(column.name, list(parts.elements()))
        if any(separator in text for text in column.values) and (several.dates or (several.is_whole_number and separator != " ") or _named_days(several)):
            return separator
    return None


def _named_days(column: Column) -> bool:
    """Whole numbers in a column that says that they are days ("Rituximab days")."""
    return column.is_whole_number and any(words().unit(word, ["days"]) for word in normal(column.name).split())


def _columns_of_events(table: TableDraft, columns: dict[str, Column]) -> None:
    """One column a kind of adverse event, with an answer in it."""
    for column in _unused(table, columns):
        match = words().match("event_columns", column.name)
        if match and match.whole and (column.is_vocabulary or len(column.values) <= 4):
            fields = {"kind": Entry({"constant": match.name}, "certain: by its header"), "answer": _coded(study.fields()["answer"], column, "assessment")}
            table.records.append(RecordDraft("adverse_event_assessment", fields))
            table.used.add(column.name)


def _wide_results(table: TableDraft, columns: dict[str, Column], is_patient: bool) -> None:
    """One row a day with a column for each analyte, or numbered groups in the patient's row."""
    measured = [(m.name, c) for c in _unused(table, columns) if (m := words().match("fields", c.name.replace("{k}", ""))) and m.name in _ANALYTES.values() and m.whole and c.is_number]
    measured = [(name, c) for name, c in measured if not is_patient or "{k}" in c.name]
    if not measured:
        return
    days = [c for c in _unused(table, columns) if "{k}" in c.name and (c.dates or c.is_whole_number) and c not in [m for _, m in measured]]
    shared = None if is_patient else _day(table, columns)
    used = []
    for name, column in measured:
        if is_patient:
            fits = [c for c in days if _pairs(c.name, column.name, [d.name for d in days])]
            if not fits:
                continue
            day = Entry({"column": fits[0].name}, "GUESS: the date of the same number")
            used.append(fits[0].name)
        elif shared:
            day = shared[0]
        else:
            return
        source, note = _number_source(study.fields()[name], column, table)
        uln = _by_role(table, columns, "uln", lambda c: c.is_number)
        if name == "ldh_x_uln" and uln is not None:
            source["uln"] = {"column": uln.name}
            used.append(uln.name)
        table.records.append(RecordDraft("lab_result", {"result_date": day, name: Entry(_with_limit(source, name), note)}))
        used.append(column.name)
    table.used |= {*used, *([shared[1].name] if shared else [])}


def _pairs(day: str, column: str, days: list[str]) -> bool:
    """Whether a numbered date belongs to a numbered result: the one that names it, else the one that names none."""
    stem = re.sub(r"[^a-z0-9]", "", column.lower().replace("{k}", ""))
    naming = [d for d in days if stem in re.sub(r"[^a-z0-9]", "", d.lower())]
    return day in naming if naming else day == min(days, key=len)


def _exchanges(table: TableDraft, columns: dict[str, Column], is_patient: bool, kind: str | None) -> None:
    """Exchanges: a date of their own, a list in a cell, a run from-to, or a mark in a row of the day."""
    if any(r.table == "tpe_session" and r.rows == kind for r in table.records):
        return
    dated = _by_role(table, columns, "exchange_date", lambda c: c.dates is not None or _separator(c) is not None)
    label = f"{kind or ''} {table.found.label}"
    if dated is None and not is_patient and not any(r.table != "tpe_session" and r.rows == kind for r in table.records) and words().match("roles", label):
        match = words().match("roles", label)
        dated = next((c for c in _unused(table, columns) if c.dates), None) if match.name in ("exchange_date", "exchange_given") or words().code("exchange", label.strip()) else None
    if dated is not None:
        separator = _separator(dated)
        source = {"column": dated.name} | ({"separator": separator} if separator else {})
        table.used.add(dated.name)
        table.records.append(RecordDraft("tpe_session", {"session_date": Entry(source, "")} | _volume(table, columns), kind))
        return
    mark = _by_role(table, columns, "exchange_given", lambda c: c.is_vocabulary and not c.dates and not c.is_number)
    day = next((r.fields["result_date"] for r in table.records if r.table == "lab_result" and "result_date" in r.fields), None)
    amount = _by_role(table, columns, "exchange_volume", lambda c: c.is_number) or _by_role(table, columns, "exchange_given", lambda c: c.is_number and min(c.numbers("."), default=0) >= _LEAST_VOLUME)
    if amount is not None and mark is None and day is not None and not is_patient:
        table.used.add(amount.name)
        volume = Entry(*_number_source(study.fields()["volume_ml"], amount, table))
        table.records.append(RecordDraft("tpe_session", {"session_date": day, "volume_ml": volume}, kind, {"column": amount.name}))
        return
    if mark is not None and day is not None and not is_patient:
        table.used.add(mark.name)
        yes = [t for t in mark.texts if words().code("answer", t) == "yes"]
        no = [t for t in mark.texts if words().code("answer", t) == "no"]
        unknown = [t for t in mark.texts if t not in (*yes, *no)]
        present = {"column": mark.name, "yes": yes or unknown, "no": no}
        if unknown:
            present["no"] = [*no, *(f"{TO_DECIDE}: {t}" for t in unknown if yes)]
        table.records.append(RecordDraft("tpe_session", {"session_date": day} | _volume(table, columns), kind, present))


# ------------------------------------------------------------------ sources of fields


def _number_source(declared: study.Field, column: Column, table: TableDraft) -> tuple[dict, str]:
    """Source of a number: its unit where the header proves it, codes for missing; the rest is to decide."""
    source: dict = {"column": column.name}
    notes = []
    if declared.units:
        written = without_unit(column.name.replace("_{k}", ""))[1]
        unit = words().unit(written, list(declared.units)) if written else None
        in_words = next((word for word in normal(column.name).split() if set(declared.units) <= {"days", "years"} and words().unit(word, list(declared.units))), None)
        if unit or in_words:
            source["unit"] = unit or next(iter(declared.units))
            notes.append(f"certain: {written or in_words!r} in the header")
        else:
            source["unit"] = TO_DECIDE
            notes.append(f"unit not written; {_units_that_fit(declared, column)}")
    if column.missing:
        source["missing"] = sorted(column.missing)
        notes.append("codes for missing by their form; see the codebook")
    mark, why = column.decimal()
    if mark is not None and any(re.search(rf"\d\{'.' if mark == ',' else ','}\d{{3}}(?!\d)", t) for t in column.values):
        source["thousands"] = "." if mark == "," else ","
        notes.append("the other mark stands before three digits only")
    if column.has_comparators and not declared.comparator:
        notes.append("results below a limit will be refused: the study has no place for them here")
    return source, "; ".join(notes)


def _units_that_fit(declared: study.Field, column: Column) -> str:
    """Units in which nearly all numbers are plausible, in words."""
    if not declared.range or any(isinstance(f, dict) for f in declared.units.values()):
        return f"one of {', '.join(declared.units)}"
    numbers = column.numbers(column.decimal()[0] or ".")
    low, high = declared.range
    fits = [u for u, factor in declared.units.items() if numbers and sum(low <= n * factor <= high for n in numbers) >= 0.95 * len(numbers)]
    between = f"the numbers go from {min(numbers):g} to {max(numbers):g}" if numbers else "no numbers"
    return f"{between}, plausible in {', '.join(fits) or 'none of ' + ', '.join(declared.units)}"


def _coded(declared: study.Field, column: Column, vocabulary: str | None) -> Entry:
    """Source of a code or an answer: every word found, mapped where its meaning is known; a bare number never is."""
    texts = sorted(column.values)
    if vocabulary is None or (declared.codes and set(texts) <= set(declared.codes)):
        if declared.codes and set(texts) <= set(declared.codes):
            return Entry({"column": column.name, "vocabulary": "study"}, "certain: the study's own words")
        if not column.is_vocabulary:
            return Entry({"column": column.name, "vocabulary": {TO_DECIDE: TO_DECIDE}}, f"{len(texts)} different words: map each onto one of {', '.join(declared.codes)}")
    mapped = {text: (words().code(vocabulary, text) if vocabulary else None) or TO_DECIDE for text in texts}
    if vocabulary is None:
        mapped = {text: text if text in declared.codes else TO_DECIDE for text in texts}
    bare = [t for t in texts if re.fullmatch(r"-?\d+", t)]
    mapped |= dict.fromkeys(bare, TO_DECIDE)
    source: dict = {"column": column.name, "vocabulary": mapped}
    if column.missing:
        source["missing"] = sorted(column.missing)
    if bare:
        return Entry(source, f"numbers mean what the codebook says: one of {', '.join(declared.codes)}")
    unknown = [t for t, code in mapped.items() if code == TO_DECIDE]
    return Entry(source, f"words not known: map them onto one of {', '.join(declared.codes)}" if unknown else "certain: words of the language")


def _decimal_and_dates(table: TableDraft) -> None:
    """The table's decimal mark and date format, and what differs from them column by column."""
    entries = [(name, e) for r in table.records for name, e in r.fields.items() if "column" in e.source]
    numbers = {e.source["column"] for name, e in entries if study.fields().get(name) and study.fields()[name].type in ("number", "integer")}
    proven = {c: table.columns[c].decimal() for c in sorted(numbers) if c in table.columns}
    marks = Counter(mark for mark, _ in proven.values() if mark)
    if marks:
        commonest = marks.most_common(1)[0][0]
        table.options["decimal"] = (commonest, "certain: " + next(why for mark, why in proven.values() if mark == commonest))
        for _, entry in entries:
            mark = proven.get(entry.source["column"], (None, ""))[0]
            if mark and mark != commonest:
                entry.source["decimal"] = mark
    elif any("either" in why or "both" in why for _, why in proven.values()):
        table.options["decimal"] = (TO_DECIDE, next(why for _, why in proven.values() if "either" in why or "both" in why))
    dates = {}
    for name, entry in entries:
        declared = study.fields().get(name)
        if declared and declared.type == "date" and "study_day" not in entry.source:
            dates[entry.source["column"]] = _order_of(table, entry.source)
    formats = Counter(tuple(_named(table, order)) for order in dates.values() if order and order.formats and not order.either)
    if formats:
        commonest = list(formats.most_common(1)[0][0])
        table.options["date_format"] = (commonest[0] if len(commonest) == 1 else commonest, "certain: " + next(o.why for o in dates.values() if o and _named(table, o) == commonest))
    language = next((o.language for o in dates.values() if o and o.language), None)
    if language:
        table.options["date_language"] = (language, "certain: by the names of the months")
    for _, entry in entries:
        order = dates.get(entry.source["column"])
        if order is None or entry.source.get("date_format"):
            continue
        own = _named(table, order)
        if order.either and formats and any(f in order.either for f in commonest):
            entry.note = f"GUESS: as in the table's other columns; here {order.why}"
        elif order.either or not own:
            entry.source["date_format"] = TO_DECIDE
            entry.note = order.why + (f": {' or '.join(order.either)}" if order.either else "")
        elif own != commonest:
            entry.source["date_format"] = own[0] if len(own) == 1 else own


def _order_of(table: TableDraft, source: dict) -> DateOrder | None:
    column = table.columns[source["column"]]
    if "separator" in source:
        parts = Counter(part.strip() for text, n in column.values.items() for part in text.split(source["separator"].strip() or " ") for _ in range(n) if part.strip())
        return column_of(column.name, list(parts.elements())).dates
    return column.dates


def _named(table: TableDraft, order: DateOrder) -> list[str]:
    """Formats by the names that the spec gives them: a date cell of a typed file is ISO text."""
    iso = "iso" if isinstance(table.found.format, Delimited | JsonLines) else "date_cell"
    return [iso if f == "%Y-%m-%d" else f for f in order.formats]


def _kind_in_words(column: Column) -> str:
    if column.dates:
        return "dates"
    if column.is_number:
        return "numbers"
    if column.is_vocabulary:
        return f"{len(column.values)} words"
    return "texts"


# ------------------------------------------------------------------ the text of the draft


def _scalar(value) -> str:
    """A YAML scalar that reads back as the same text."""
    text = str(value)
    if value is True or value is False:
        return str(value).lower()
    plain = re.fullmatch(r"[^\W\d_][\w .%/^-]*|\d+", text) and text.strip() == text and text.lower() not in ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    return text if plain and ": " not in text else json.dumps(text, ensure_ascii=False)


def _inline(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(v) for v in value) + "]"
    return _scalar(value)


def _line(indent: int, text: str, note: str = "") -> str:
    return " " * indent + text + (f"   # {note}" if note else "")


def _text(code: str, tables: list[TableDraft], unreadable: list[str], files: list[str]) -> str:
    """The draft as YAML with comments."""
    found = {name for t in tables for r in t.records for name in r.fields}
    lacking = [f"{name} ({study.fields()[name].meaning.rstrip('.')})" for name in _NEEDED if name not in found and not (name == "birth_date" and found & {"birth_year", "age_years_reported"})]
    lines = [
        "# DRAFT, written from the files alone. `certain`: the files prove it. `GUESS`: likely; confirm it with the centre.",
        f"# {TO_DECIDE}: nobody can know it from the files; the spec is refused until each is replaced by an answer from the centre's codebook.",
        f"# Files: {', '.join(files)}",
        *(f"# NOT READ: {problem}" for problem in unreadable),
        *(f"# NOT FOUND: {name}" for name in lacking),
        _line(0, f"centre: {{id: {code}, name: {TO_DECIDE}, country: {TO_DECIDE}}}"),
        "lists:",
    ]
    kinds = {r.table for t in tables for r in t.records}
    for name, meaning in _LISTS.items():
        there = name in kinds or (name == "adverse_event" and "adverse_event_assessment" in kinds)
        lines.append(_line(2, f"{name}: {TO_DECIDE}", f"a patient without {meaning} in the files: none, or unknown?" + ("" if there else " No such file was found.")))
    lines.append("tables:")
    for table in tables:
        lines += _table_text(table)
    return "\n".join(lines) + "\n"


def _table_text(table: TableDraft) -> list[str]:
    found = table.found
    lines = [_line(2, f"{table.name}:"), _line(4, f"file: {_scalar(found.file)}")]
    declared = {k: v for k, v in found.format.model_dump(exclude_defaults=True).items() if not (k == "header_row" and v == 1)}
    lines.append(_line(4, f"format: {_inline(declared)}", "; ".join([*(f"certain: {c}" for c in found.certain), *(f"GUESS: {g}" for g in found.guesses)])))
    lines.append(_line(4, f"key: {_scalar(table.key)}", table.key_note or "which column names the patient?"))
    lines += [_line(4, f"{name}: {_inline(value)}", note) for name, (value, note) in table.options.items()]
    if table.kinds:
        column, kinds, ignored = table.kinds
        lines += [_line(4, "row_kinds:"), _line(6, f"column: {_scalar(column)}"), _line(6, f"kinds: {_inline(kinds)}")]
        lines += [_line(6, f"ignored: {_inline(ignored)}")] if ignored else []
    for name in ("forbidden", "free_text", "ignored"):
        if said := getattr(table, name):
            lines.append(_line(4, f"{name}:"))
            lines += [_line(6, f"{_scalar(column)}: {_scalar(reason)}") for column, reason in said.items()]
    if not table.records:
        return [*lines, _line(4, f"records: [{{table: {TO_DECIDE}, fields: {{}}}}]", "nothing of it was recognised: describe its records (docs/CENTRE_SPEC.md), or put the file under ignored_files")]
    lines.append(_line(4, "records:"))
    for record in table.records:
        lines.append(_line(6, f"- table: {record.table}"))
        lines += [_line(8, f"rows: {record.rows}")] if record.rows else []
        lines += [_line(8, f"present: {_inline(record.present)}", "GUESS: the marks that say that there was one")] if record.present else []
        lines.append(_line(8, "fields:"))
        lines += [_line(10, f"{name}: {_inline(entry.source)}", entry.note) for name, entry in record.fields.items()]
    return lines


def _summary(draft: Draft) -> list[str]:
    """What was recognised, a line a table, and how much is left to decide."""
    lines = []
    for t in draft.tables:
        what = Counter(r.table for r in t.records)
        said = ", ".join(f"{name} ({count} records)" if count > 1 else name for name, count in what.items()) or "nothing recognised"
        lines.append(f"{t.found.file} {t.found.label!r}: {t.found.format.type}, {t.found.table.rows.num_rows} rows, {len(t.found.table.header)} columns: {said}")
        lines += [f"  identifying, forbidden: {', '.join(t.forbidden)}"] if t.forbidden else []
    lines += [f"NOT READ {problem}" for problem in draft.unreadable]
    return [*lines, f"{draft.to_decide} lines are left to decide: look for {TO_DECIDE} in the draft."]
