"""Recognise what a table holds: which columns are fields of which records, identifying, free text or no study field.

How a column's cells are read does not belong here (sources.py).
"""

import re
from collections import Counter

from capla_etl import fields
from capla_etl.centres.draft.identifying import identifies, identifying_by_content
from capla_etl.centres.draft.parts import Entry, RecordDraft, TableDraft
from capla_etl.centres.draft.profile import MOST_WORDS, MOSTLY, TIMES_EACH, Column, column_of
from capla_etl.centres.draft.sources import coded, decimal_and_dates, note_of_rows, number_source, order_note
from capla_etl.centres.draft.words import normal, words
from capla_etl.centres.spec.grammar import TO_DECIDE

_END = re.compile(r"(終了|中止|最終)(投与)?日?$|(fim|fine?|ende?|stop|vege)\d?$|\s(bis|al|b|to|until)\d?$")
#: The field that holds a result of each analyte.
_ANALYTES = {"platelets": "platelets_10e9_per_l", "ldh": "ldh_x_uln", "adamts13": "adamts13_percent"}
#: Patients' fields that laboratories send with one row a test: field -> name of the kind of row.
_BASELINE = {
    "hemoglobin_g_per_dl": "hemoglobin",
    "creatinine_umol_per_l": "creatinine",
    "troponin_x_uln": "troponin",
    "anti_adamts13_u_per_ml": "anti_adamts13",
}
#: A number of an exchange from here on is a plasma volume in mL, and no mark or count.
_LEAST_VOLUME = 300
#: Dates of a patient, which are never the date of a result.
_DATES_OF_PATIENTS = ("birth_date", "birth_year", "death_date", "last_contact_date", "discharge_date", "first_tpe_date")
#: A day in figures, within a text; so many of the texts between two days are tried as what parts them.
_DAY = re.compile(r"(?<!\d)(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{4}年\d{1,2}月\d{1,2}日)(?!\d)")
_SEPARATORS = 3
_NOT_RECOGNISED = f"{TO_DECIDE}: not recognised"
_WHICH_DAY = "days, not dates: sdtm (day 1 is the first exchange) or true (day 0 is)"
_LAST_DAY = "GUESS: the last day of the course, inclusive; see the codebook"
#: Texts of more letters on average are free text.
_LONG = 25
#: What is said of a table with dates of death alone, if all of its columns were recognised.
NO_COLUMN = "no column says which patients live"
_BY_HEADER = "certain: by its header"


def recognise(table: TableDraft) -> None:
    """Find the records of a table, and account for every other column."""
    table.used.add(table.key)
    _set_apart(table)
    for kind, columns in _sections(table):
        _section(table, kind, columns)
    decimal_and_dates(table)
    for name, column in table.columns.items():
        if not (name in table.used or _apart(table, name)):
            table.ignored[name] = _why_ignored(table, column)
    _say_who_lives(table)


def _say_who_lives(table: TableDraft) -> None:
    """Say that a column that was not recognised may tell who lives."""
    unread = [name for name, why in table.ignored.items() if why.startswith(TO_DECIDE)]
    for record in table.records if unread else []:
        if "died" in record.fields:
            note = record.fields["died"].note
            look = (
                f"look first whether one of the {len(unread)} columns that were not recognised says who lives; if none"
            )
            record.fields["died"].note = note.replace(NO_COLUMN, look)


def _why_ignored(table: TableDraft, column: Column) -> str:
    """Why a column is ignored: only what no study field can be is; a person decides about the rest."""
    named = [m.name for group in ("fields", "event_columns") if (m := words().match(group, column.name)) and m.whole]
    if re.fullmatch(r"\(column \d+\)|", column.name) and column.unique and column.is_whole_number:
        return "row numbers without a name in the header; no study field"
    if column.filled == 0 and not named:
        return "empty in every row"
    if table.records and (known := words().match("ignored_beside", column.name)) and known.whole:
        return known.name
    if separator := _separator(column):
        return f"{TO_DECIDE}: several dates in a cell (separator: {separator!r}); a study field, or why it is none"
    if not column.dates and _between_days(column):
        return (
            f"{TO_DECIDE}: several dates in a cell, and nothing parts them that is not in a date too; ask for it anew"
        )
    constant = column.filled == column.rows and len(column.texts) == 1
    kind = "empty in every row" if not column.filled else "the same in every row" if constant else None
    could_be = f"by its header {named[0]}, in no record that was recognised" if named else "not recognised"
    return f"{TO_DECIDE}: {could_be} ({kind or _kind_in_words(column)}); a study field, or why it is none"


def _apart(table: TableDraft, name: str) -> bool:
    """Whether a column is set apart already."""
    return name in table.forbidden or name in table.free_text or name in table.ignored


def _set_apart(table: TableDraft) -> None:
    """Set apart identifying columns, free text, and what is known to be no study field."""
    for column in table.columns.values():
        if column.name == table.key:
            continue
        if identifying := identifies(column):
            table.forbidden[column.name] = identifying
        elif words().is_free_text(column.name):
            table.free_text[column.name] = "remarks"
        elif known := words().match("ignored", column.name):
            if known.whole:
                table.ignored[column.name] = known.name
        elif _is_text(column) and _length(column) > _LONG:
            table.free_text[column.name] = "long texts; GUESS: people write freely here"
        elif not _between_days(column) and (looks := identifying_by_content(column)):
            table.forbidden[column.name] = f"GUESS by content: {looks}"


def _length(column: Column) -> float:
    return sum(map(len, column.texts)) / len(column.texts)


def _is_text(column: Column) -> bool:
    is_other = column.is_vocabulary or column.is_number or column.dates or _separator(column) or _between_days(column)
    return bool(column.texts) and not is_other


def _sections(table: TableDraft) -> list[tuple[str | None, dict[str, Column]]]:
    """The rows of a table by kind, if a column tells kinds apart (REDCap's repeating instruments); else all rows."""
    roles = [(words().match("roles", c.name), c) for c in table.columns.values()]
    column = next((c for m, c in roles if m and m.name == "instrument" and m.whole), None)
    if column is None:
        return [(None, table.columns)]
    table.used.add(column.name)
    rows = table.found.cells()
    kinds = [text.strip() for text in rows[column.name]]
    names: dict[str, list[str]] = {}
    found = []
    for kind in dict.fromkeys(kinds):
        name = re.sub(r"[^a-z0-9]+", "_", normal(kind)).strip("_") or (f"kind_{len(names) + 1}" if kind else "base")
        name = name if name[0].isalpha() and name not in names else f"kind_{len(names) + 1}"
        names[name] = [kind]
        own = [i for i, k in enumerate(kinds) if k == kind]
        columns = {}
        for header in table.found.table.header:
            cells = [rows[header][i] for i in own]
            if header != column.name and (header == table.key or any(c.strip() for c in cells)):
                columns[header] = column_of(header, cells)
        found.append((name, columns))
    table.kinds = (column.name, names, {})
    return found


def _section(table: TableDraft, kind: str | None, columns: dict[str, Column]) -> None:
    """Find every record in the rows of one kind."""
    everything = {n: c for n, c in columns.items() if n != table.key and not _apart(table, n)}
    free = {n: c for n, c in everything.items() if c.filled}  # an empty column can only be a field of the patient
    key = columns.get(table.key)
    one_each = bool(key) and len(key.texts) == key.filled
    events = {} if one_each else _events(table, kind)
    is_patient = (one_each or bool(events)) and sum(_patient_field(c) is not None for c in free.values()) >= 3
    before, used = len(table.records), table.used
    table.used = set() if kind else used  # rows of another kind may use the same column for something else
    if kind is None and not is_patient:
        _long_results(table, free)
        _procedures(table, free)
        _answers_in_rows(table, free)
        _dispositions(table, free)
    _drug_rows(table, free)
    _event_rows(table, free)
    if is_patient:
        _patients_of_events(table, everything, events) if events else _patient(table, everything)
        _columns_of_drugs(table, free)
        _columns_of_events(table, free)
    _wide_results(table, free, is_patient and not events)
    _exchanges(table, free, is_patient, kind, table.records[before:])
    for record in table.records[before:]:
        record.rows = record.rows or kind
    table.used |= used


def _events(table: TableDraft, kind: str | None) -> dict[str, list[int]]:
    """The rows of each event (REDCap's longitudinal projects), where a patient has one row in each of several."""
    column = next((c.name for c in table.columns.values() if _has_role(c, "event_of_patient")), None)
    cells = table.found.cells()
    if column is None or table.key not in cells:
        return {}
    rows = range(len(cells[column]))
    if kind and table.kinds:
        rows = [i for i in rows if cells[table.kinds[0]][i].strip() in table.kinds[1][kind]]
    places = [(cells[table.key][i].strip(), cells[column][i].strip()) for i in rows]
    if len(set(places)) < len(places):
        return {}
    found: dict[str, list[int]] = {}
    for i in rows:
        found.setdefault(cells[column][i].strip(), []).append(i)
    return found if len(found) > 1 else {}


def _has_role(column: Column, role: str) -> bool:
    match = words().match("roles", column.name)
    return bool(match and match.whole and match.name == role)


def _patients_of_events(table: TableDraft, columns: dict[str, Column], events: dict[str, list[int]]) -> None:
    """Add a record of patients for each event that has fields of its own, read in the rows of that event alone."""
    event = next(name for name, c in table.columns.items() if _has_role(c, "event_of_patient"))
    cells = table.found.cells()
    everywhere = {
        name for name in columns if all(any(cells[name][i].strip() for i in rows) for rows in events.values())
    }
    for text, rows in events.items():
        own = {n: column_of(n, [cells[n][i] for i in rows]) for n in columns if n in cells and n != event}
        own = {n: c for n, c in own.items() if c.filled}
        if not any(_patient_field(c) for c in _unused(table, own)):
            continue
        _patient(table, own)
        record = table.records[-1]
        record.present = {"column": event, "yes": [text], "no": [other for other in events if other != text]}
        record.present_note = "GUESS: the event in whose rows these fields are filled in"
        for entry in record.fields.values():
            if entry.source.get("column") in everywhere:
                entry.note += "; GUESS: filled in at several events, of which this is the first"
    table.used.add(event)


def _unused(table: TableDraft, columns: dict[str, Column]) -> list[Column]:
    return [c for n, c in columns.items() if n not in table.used]


def _by_role(table: TableDraft, columns: dict[str, Column], role: str, fits=lambda column: True) -> Column | None:
    """The column whose header names a role most clearly, among those whose cells fit; rather a filled one."""
    named = []
    for column in _unused(table, columns):
        matches = words().matches("roles", column.name)
        best = [m for m in matches if (m.whole, m.letters) == (matches[0].whole, matches[0].letters)]
        if any(m.name == role for m in best) and fits(column):
            named.append((best[0].whole, column.filled > column.rows / 2, best[0].letters, column.filled, column))
    return max(named, key=lambda x: x[:-1])[-1] if named else None


def _is_date(column: Column) -> bool:
    return column.dates is not None


def _is_number(column: Column) -> bool:
    return column.is_number


def _any_date(table: TableDraft, columns: dict[str, Column]) -> Column | None:
    """The first date that can be the date of a row: no date of the patient, and not the same in a patient's rows."""
    return next((c for c in _unused(table, columns) if c.dates and not _is_of_the_patient(table, c)), None)


def _names_date_of_patient(header: str) -> bool:
    return any(match.name in _DATES_OF_PATIENTS for match in words().matches("fields", header))


def _is_of_the_patient(table: TableDraft, column: Column) -> bool:
    """Whether a date belongs to the patient (birth, death), by its header or because no patient has two of it."""
    if _names_date_of_patient(column.name):
        return True
    cells = table.found.cells()
    if table.key not in cells or column.name not in cells:
        return False
    keys = cells[table.key]
    seen: dict[str, set[str]] = {}
    for key, cell in zip(keys, cells[column.name], strict=True):
        seen.setdefault(key.strip(), set()).add(cell.strip())
    return len(keys) > len(seen) > 0 and all(len(days - {""}) < 2 for days in seen.values())


def _of_vocabulary(table: TableDraft, columns: dict[str, Column], name: str, least: int = 1) -> Column | None:
    """The first column that holds at least so many words of a vocabulary."""
    return next(
        (
            c
            for c in _unused(table, columns)
            if c.is_vocabulary and not c.is_number and sum(words().code(name, t) is not None for t in c.values) >= least
        ),
        None,
    )


def _dated(column: Column) -> Entry:
    """The entry of a date that its header names: how its days are written, and doubts about what it is the date of."""
    doubt = words().match("doubtful", column.name)
    meaning = f"GUESS: {doubt.name} " if doubt and doubt.whole else ""
    return Entry({"column": column.name}, meaning + order_note(column.dates))


def _day(table: TableDraft, columns: dict[str, Column]) -> tuple[Entry, Column] | None:
    """The date or study day of a row."""
    if column := _by_role(table, columns, "date", lambda c: _is_date(c) and not _names_date_of_patient(c.name)):
        return _dated(column), column
    if column := _by_role(table, columns, "study_day", lambda c: c.is_whole_number):
        is_sdtm = column.name.upper().endswith("DY") and "0" not in column.texts
        source = {"column": column.name, "study_day": TO_DECIDE}
        zero = "day 0 is there" if "0" in column.texts else "no day 0 in the cells"
        zero = "there is no day 0, as in SDTM" if is_sdtm else zero
        return Entry(source, f"days, not dates; {zero}: sdtm (day 1 is the first exchange) or true (day 0 is)"), column
    if column := _any_date(table, columns):
        return _only_date(column), column
    return None


def _only_date(column: Column) -> Entry:
    """The entry of a date whose header does not say what it is the date of."""
    return Entry({"column": column.name}, f"GUESS: the date that is filled in these rows; {order_note(column.dates)}")


def _long_results(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row a result; a column or the table's name says what was measured."""
    kind = _of_tests(table, columns)
    result = _by_role(table, columns, "result", _is_number)
    day = _day(table, columns)
    match = words().match("fields", table.found.label)
    label = words().code("analyte", table.found.label) or (match.name if match else None)
    analyte = next((a for a, f in _ANALYTES.items() if label in (a, f)), None)
    if result is None or day is None or (kind is None and analyte is None):
        return
    unit = _by_role(table, columns, "unit")
    uln = _by_role(table, columns, "uln", _is_number)
    comparator = _by_role(table, columns, "comparator", lambda c: set(c.texts) <= {"<", ">", "=", "≤", "≥"})
    kinds: dict[str, list[str]] = {analyte: []} if kind is None else {}
    ignored = {}
    named = _names_of_tests(table, kind) if kind else {}
    baseline = _by_role(table, columns, "baseline")
    for word in kind.texts if kind else []:
        if code := _test(word) or _test(named.get(word, "")):
            kinds.setdefault(code, []).append(word)
        else:
            ignored[word] = f"{_NOT_RECOGNISED}; a study field, or why it is none"
    if kind:
        table.kinds = (kind.name, kinds, ignored)
    for code in list(kinds):
        own = _rows_of(table, kind, kinds[code]) if kind else None
        name = _ANALYTES.get(code) or next(field for field, kind_name in _BASELINE.items() if kind_name == code)
        present = None
        if code not in _ANALYTES and _has_twice(own[table.key] if own and table.key in own else []):
            present = _at_baseline(table.key, baseline, own)
        if present is None and code not in _ANALYTES and _has_twice(own[table.key] if own and table.key in own else []):
            reason = f"{TO_DECIDE}: by its name {name}, of which a patient has one, but patients have several rows"
            ignored |= dict.fromkeys(kinds.pop(code), reason)
            continue
        declared = fields.fields()[name]
        cells = result if own is None else column_of(result.name, own[result.name])
        source, note = number_source(declared, cells, table)
        if unit is not None:
            texts = Counter(t.strip() for t in own[unit.name] if t.strip()) if own else unit.texts
            source["unit"], note = _unit_of_row(declared, unit.name, texts)
            rows = own or table.found.cells()
            pairs = list(zip(rows[result.name], rows[unit.name], strict=True))
            note = note_of_rows(declared, pairs, source["unit"]["codes"], table, note)
        if uln is not None and code == "ldh":
            source["uln"] = {"column": uln.name}
        if comparator is not None and code == "adamts13":
            means = {"=": "", "≤": TO_DECIDE, "≥": TO_DECIDE}
            codes = {"": ""} | {sign: means.get(sign, sign) for sign in sorted(comparator.texts)}
            source["comparator"] = {"column": comparator.name, "codes": codes}
        entry = Entry(_with_limit(source, name), note)
        if code in _ANALYTES:
            table.records.append(
                RecordDraft("lab_result", {"result_date": day[0], name: entry}, code if kind else None)
            )
        else:
            record = RecordDraft("patient", {name: entry}, code, present)
            record.present_note = "several rows a patient: are the marked ones those at presentation, one a patient?"
            table.records.append(record)
            table.used |= {baseline.name} if present else set()
    table.used |= {c.name for c in (kind, result, day[1], unit, uln, comparator) if c is not None}


def _of_tests(table: TableDraft, columns: dict[str, Column]) -> Column | None:
    """The first column of few words among which are tests."""
    free = (c for c in _unused(table, columns) if c.is_vocabulary and not c.is_number)
    return next((c for c in free if any(map(_test, c.values))), None)


def _test(word: str) -> str | None:
    """The kind of row of a test: an analyte of the daily results, or a value of the patient."""
    field = words().match("fields", word)
    return words().code("analyte", word) or (_BASELINE.get(field.name) if field and field.whole else None)


def _names_of_tests(table: TableDraft, kind: Column) -> dict[str, str]:
    """The name of each test whose code has one, in another column of tests (LBTEST beside LBTESTCD)."""
    cells = table.found.cells()
    found: dict[str, set[str]] = {}
    for column in table.columns.values():
        if column.name != kind.name and _has_role(column, "kind_of_test"):
            for code, name in zip(cells[kind.name], cells[column.name], strict=True):
                found.setdefault(code.strip(), set()).add(name.strip())
    return {code: next(iter(names)) for code, names in found.items() if len(names) == 1}


def _at_baseline(key: str, baseline: Column | None, own: dict[str, list[str]]) -> dict | None:
    """Which rows are those at baseline, if a column marks at most one row of each patient; else None."""
    if baseline is None:
        return None
    marks = {mark.strip() for mark in own[baseline.name]} - {""}
    yes = [mark for mark in marks if words().code("answer", mark) == "yes"]
    patients = [k for k, mark in zip(own[key], own[baseline.name], strict=True) if mark.strip() in yes]
    if not yes or _has_twice(patients):
        return None
    no = ["", *sorted(marks - set(yes)), f"{TO_DECIDE}: only the marked rows?"]
    return {"column": baseline.name, "yes": yes, "no": no}


def _unit_of_row(declared: fields.Field, column: str, texts: Counter) -> tuple[dict, str]:
    """The source of a unit that a column says row by row, and what is to be decided about it."""
    codes = {text: words().unit(text, declared) or TO_DECIDE for text in sorted(texts)}
    note = "certain: the unit is in the row"
    if TO_DECIDE in codes.values():
        note = f"the unit is in the row; which of {', '.join(declared.units)} does each word mean?"
    return {"column": column, "codes": codes}, note


def _has_twice(keys: list[str]) -> bool:
    return len(set(keys)) < len(keys)


def _rows_of(table: TableDraft, kind: Column, texts: list[str]) -> dict[str, list[str]]:
    cells = table.found.cells()
    own = [i for i, text in enumerate(cells[kind.name]) if text.strip() in texts]
    return {name: [column[i] for i in own] for name, column in cells.items()}


def _with_limit(source: dict, name: str) -> dict:
    """LDH in U/L needs the laboratory's upper limit; if no column has it, a person must state it."""
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
    others = {t: _NOT_RECOGNISED for t in kind.texts if t not in exchanges}
    table.kinds = (kind.name, {"exchange": exchanges}, others)
    table.used.add(kind.name)
    if day := _by_role(table, columns, "exchange_date", _is_date):
        entry = _dated(day)
    elif day := _by_role(table, columns, "exchange_day", lambda c: c.is_whole_number):
        entry = Entry({"column": day.name, "study_day": TO_DECIDE}, _WHICH_DAY)
    elif day := _any_date(table, columns):
        entry = _only_date(day)
    else:
        return
    entries = {"session_date": entry} | _volume(table, columns)
    table.records.append(RecordDraft("tpe_session", entries, "exchange"))
    table.used.add(day.name)


def _volume(table: TableDraft, columns: dict[str, Column]) -> dict[str, Entry]:
    volume = _by_role(table, columns, "exchange_volume", _is_number)
    if volume is None:
        return {}
    table.used.add(volume.name)
    declared = fields.fields()["volume_ml"]
    entry = Entry(*number_source(declared, volume, table))
    unit = _by_role(table, columns, "unit")
    if entry.source["unit"] == TO_DECIDE and unit is not None:
        entry.source["unit"], entry.note = _unit_of_row(declared, unit.name, unit.texts)
        table.used.add(unit.name)
        table.ignored.pop(unit.name, None)
    return {"volume_ml": entry}


def _answers_in_rows(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row a question, with its answer (SDTM MH): answers of the patient."""
    answer = _by_role(table, columns, "answer", lambda c: all(words().code("answer", t) for t in c.values))
    if answer is None or table.kinds:
        return
    asked = next((c for c in _unused(table, columns) if c.is_vocabulary and any(map(_question, c.values))), None)
    if asked is None:
        return
    kinds: dict[str, list[str]] = {}
    for text in asked.texts:
        if name := _question(text):
            kinds.setdefault(name, []).append(text)
    others = {t: f"{_NOT_RECOGNISED}; a study field, or why it is none" for t in asked.texts if not _question(t)}
    table.kinds = (asked.name, kinds, others)
    for name in kinds:
        own = column_of(answer.name, _rows_of(table, asked, kinds[name])[answer.name])
        table.records.append(RecordDraft("patient", {name: coded(fields.fields()[name], own, "answer")}, name))
    table.used |= {asked.name, answer.name}


def _question(text: str) -> str | None:
    """The patient's field that a question asks for; questions for earlier episodes ask for the contrary of one."""
    known = {name for name in fields.tables()["patient"].columns if fields.fields()[name].type == "answer"}
    return next((m.name for m in words().matches("fields", text) if m.whole and m.name in known), None)


def _dispositions(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row an end of the study (SDTM DS): deaths; the other rows are to decide."""
    kind = _by_role(table, columns, "disposition", lambda c: c.is_vocabulary)
    day = _by_role(table, columns, "disposition_date", _is_date)
    deaths = [t for t in kind.texts if words().code("died_in_words", t) == "yes"] if kind else []
    if not deaths or day is None:
        return
    ask = f"{TO_DECIDE}: is the date of these rows the last contact (last_contact_date)? If not, why they are none"
    table.kinds = (kind.name, {"death": deaths}, {t: ask for t in kind.texts if t not in deaths})
    entries = {"death_date": _dated(day)}
    entries["death_date"].note = f"GUESS: the day of death; {entries['death_date'].note}"
    term = _by_role(table, columns, "disposition_term")
    if term is not None:
        own = column_of(term.name, _rows_of(table, kind, deaths)[term.name])
        if not set(own.values) <= set(deaths):
            entries["death_cause"] = coded(fields.fields()["death_cause"], own, "death_cause")
            entries["death_cause"].note = f"GUESS: the cause; {entries['death_cause'].note}"
        table.used.add(term.name)
    table.records.append(RecordDraft("patient", entries, "death"))
    table.used |= {kind.name, day.name}


def _drug_rows(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row a course or dose of a drug."""
    drug = _of_vocabulary(table, columns, "drug")
    drug = drug or _by_role(table, columns, "drug", lambda c: c.is_vocabulary and c.is_whole_number)
    if drug is None:
        return
    start = _by_role(table, columns, "start", _is_date) or _by_role(table, columns, "date", _is_date)
    end = _by_role(table, columns, "end", _is_date)
    if start is None:
        return
    entries = {"drug": coded(fields.fields()["drug"], drug, "drug"), "start_date": Entry({"column": start.name}, "")}
    if end is not None:
        entries["end_date"] = Entry({"column": end.name}, _LAST_DAY)
    table.records.append(RecordDraft("drug_course", entries))
    if unit := _by_role(table, columns, "unit"):
        table.ignored[unit.name] = "unit of the dose; not a study field"
    table.used |= {c.name for c in (drug, start, end) if c is not None}


def _known_events(column: Column) -> int:
    """How many cells are known kinds of event, or could be their numbers; a few events make no vocabulary yet."""
    if column.is_whole_number:
        return column.filled if len(column.values) <= MOST_WORDS else 0
    return sum(n for t, n in column.values.items() if words().code("adverse_event_kind", t))


def _event_rows(table: TableDraft, columns: dict[str, Column]) -> None:
    """One row an adverse event."""

    named = [c for c in _unused(table, columns) if _has_role(c, "event_kind") and _known_events(c)]
    kind = max(named, key=lambda c: (_known_events(c), "decod" in c.name.casefold()), default=None)
    kind = kind or _of_vocabulary(table, columns, "adverse_event_kind", least=2)
    if kind is None:
        return
    entries = {"kind": coded(fields.fields()["kind"], kind, "adverse_event_kind")}
    table.used.add(kind.name)
    if day := _by_role(table, columns, "event_date", _is_date) or _by_role(table, columns, "date", _is_date):
        entries["event_date"] = _dated(day)
        table.used.add(day.name)
    if site := _by_role(table, columns, "event_site"):
        entries["site"] = coded(fields.fields()["site"], site, None)
        table.used.add(site.name)
    table.records.append(RecordDraft("adverse_event", entries))


def _patient_field(column: Column) -> str | None:
    """The field of the patient table that a column is, by its header and by cells that agree with it."""
    target = fields.tables()["patient"]
    known = (*target.columns, *target.withheld)
    if "{k}" in column.name:
        return None
    names = (m.name for m in words().matches("fields", column.name) if m.whole and m.name in known)
    return next((name for name in names if _agrees(name, column)), None)


def _agrees(name: str, column: Column) -> bool:
    declared = fields.fields()[name]
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
    """Add the patient's own fields; of two columns for one field, the one with the longer header."""
    best: dict[str, Column] = {}
    for column in _unused(table, columns):
        name = _patient_field(column)
        if name and (name not in best or len(column.name) > len(best[name].name)):
            best[name] = column
    entries: dict[str, Entry] = {}
    for name in (*fields.tables()["patient"].withheld, *fields.tables()["patient"].columns):
        if name not in best:
            continue
        column, declared = best[name], fields.fields()[name]
        table.used.add(column.name)
        if not column.filled:
            vocabulary = {"vocabulary": "study"} if declared.codes else {}
            unit = {"unit": TO_DECIDE} if declared.units else {}
            source = {"column": column.name} | vocabulary | unit
            entries[name] = Entry(source, "GUESS by its header: empty in every row so far")
        elif declared.type == "date":
            entries[name] = _dated(column)
            if declared.partial and column.dates.partial:
                entries[name].source["partial_date_format"] = column.dates.partial
        elif declared.type in ("number", "integer"):
            entries[name] = Entry(*number_source(declared, column, table))
            unit = _by_role(table, columns, "age_unit") if name == "age_years_reported" else None
            if unit is not None and entries[name].source["unit"] == TO_DECIDE:
                entries[name].source["unit"], entries[name].note = _unit_of_row(declared, unit.name, unit.texts)
                table.used.add(unit.name)
        else:
            answer = _answer(declared, column)
            entries[name] = _marked(column, answer, "unknown") if declared.type == "answer" else answer
    if "died" not in entries and "death_date" in entries:
        column = best["death_date"]
        source = {"column": column.name, "filled": "yes", "blank": TO_DECIDE}
        note = f'{NO_COLUMN}: does a blank date mean "no", or unknown?'
        if others := _words_beside(column):
            source["missing"] = [f"{TO_DECIDE}: {text}" for text in others]
            note += " And does each of these words mean that the patient lives, died, or neither is known?"
        entries["died"] = Entry(source, note)
    table.records.append(RecordDraft("patient", entries))


def _words_beside(column: Column) -> list[str]:
    """Texts in a column of dates that are none: codes for missing, and words that occur often enough to be shown."""
    texts = [t for t, n in column.values.items() if n >= TIMES_EACH and not any(c.isdigit() for c in t)]
    return sorted({*column.missing, *texts}) if column.dates else []


def _columns_of_drugs(table: TableDraft, columns: dict[str, Column]) -> None:
    """Add drugs whose dates have columns of their own: starts, and the ends that follow them."""
    open_start: dict[str, RecordDraft] = {}
    for column in _unused(table, columns):
        match = words().match("drug_columns", re.sub(r"\d+", " ", column.name))
        separator = _separator(column)
        if match is None or not (column.dates or separator):
            continue
        table.used.add(column.name)
        if _END.search(normal(column.name)) and match.name in open_start:
            open_start.pop(match.name).fields["end_date"] = Entry({"column": column.name}, _LAST_DAY)
            continue
        source = {"column": column.name} | ({"separator": separator} if separator else {})
        start = Entry(source, "")
        if not column.dates:
            parts = re.findall(r"\S+", " ".join(column.values).replace(separator or " ", " "))
            if column_of(column.name, parts).is_whole_number:
                start = Entry(source | {"study_day": TO_DECIDE}, _WHICH_DAY)
        named = _BY_HEADER if match.whole else "GUESS: by a word of its header"
        entries = {"drug": Entry({"constant": match.name}, named), "start_date": start}
        record = RecordDraft("drug_course", entries)
        table.records.append(record)
        open_start[match.name] = record


def _separator(column: Column) -> str | None:
    """The separator of several dates in one cell."""
    if column.dates or not column.values:
        return None
    between = _between_days(column)
    for separator in [part for part, _ in between.most_common(_SEPARATORS)] or ["; ", ";", ", ", " "]:
        parts = Counter(part.strip() for text in column.values for part in text.split(separator.strip() or separator))
        parts.pop("", None)
        several = column_of(column.name, list(parts.elements()))
        if any(separator in text for text in column.values) and (
            several.dates or (not between and (several.is_whole_number and separator != " ")) or _named_days(several)
        ):
            return separator
    return None


def _between_days(column: Column) -> Counter:
    """What stands between several days in the cells of a column; empty unless nearly all cells hold days alone."""
    parts = [_DAY.split(text) for text in column.values]
    of_days = [part for part in parts if len(part) > 1 and not part[0].strip() and not part[-1].strip()]
    if len(of_days) < MOSTLY * len(parts):
        return Counter()
    return Counter(between for part in of_days for between in part[1:-1] if between)


def _named_days(column: Column) -> bool:
    """Whether a column holds whole numbers and its header calls them days ("Rituximab days")."""
    return column.is_whole_number and any(
        words().unit(word, fields.fields()["icu_days"]) == "days" for word in normal(column.name).split()
    )


def _columns_of_events(table: TableDraft, columns: dict[str, Column]) -> None:
    """Add adverse events whose kinds have columns of their own, with answers."""
    for column in _unused(table, columns):
        match = words().match("event_columns", column.name)
        if match and match.whole and (column.is_vocabulary or len(column.values) <= 4):
            answer = _marked(column, coded(fields.fields()["answer"], column, "assessment"), "not_assessed")
            entries = {"kind": Entry({"constant": match.name}, _BY_HEADER), "answer": answer}
            table.records.append(RecordDraft("adverse_event_assessment", entries))
            table.used.add(column.name)


def _answer(declared: fields.Field, column: Column) -> Entry:
    """Source of a patient's code or answer; some fields have words of their own for yes and no (alive, relapse)."""
    names = ["answer"] if declared.type == "answer" else [declared.vocabulary]
    if (own := f"{declared.name}_in_words") in words().vocabularies:
        names.append(own)
    entries = [coded(declared, column, name) for name in names]
    return min(entries, key=lambda entry: TO_DECIDE in str(entry.source))


def _marked(column: Column, answer: Entry, otherwise: str) -> Entry:
    """An answer in a column that only ever says yes: what a blank cell means is to decide, as people mark only yes."""
    if column.filled == column.rows or not column.values:
        return answer
    blank = f"{column.rows - column.filled} cells are blank: no, or {otherwise}?"
    if _are_all_yes(answer):
        source = {"column": column.name, "filled": "yes", "words": sorted(column.values), "blank": TO_DECIDE}
        return Entry(source, blank)
    if len(column.values) == 1 and TO_DECIDE in str(answer.source):
        return Entry(answer.source, f"{answer.note}; {blank} (`filled` and `blank` say it)")
    return answer


def _are_all_yes(answer: Entry) -> bool:
    """Whether every word of a column means yes: a mark, which leaves open what a blank cell means."""
    vocabulary = answer.source.get("vocabulary")
    return isinstance(vocabulary, dict) and set(vocabulary.values()) == {"yes"}


def _wide_results(table: TableDraft, columns: dict[str, Column], is_patient: bool) -> None:
    """Add results of one row a day with a column for each analyte, or of numbered columns in the patient's row."""
    free = _unused(table, columns)
    numbers = [c for c in free if c.is_number and (not is_patient or "{k}" in c.name)]
    matches = [(words().match("fields", c.name.replace("{k}", "")), c) for c in numbers]
    measured = [(m.name, c) for m, c in matches if m and m.whole and m.name in _ANALYTES.values()]
    if not measured:
        return
    results = [c for _, c in measured]
    days = [c for c in free if "{k}" in c.name and (c.dates or c.is_whole_number) and c not in results]
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
        source, note = number_source(fields.fields()[name], column, table)
        uln = _by_role(table, columns, "uln", _is_number)
        if name == "ldh_x_uln" and uln is not None:
            source["uln"] = {"column": uln.name}
            used.append(uln.name)
        entries = {"result_date": day, name: Entry(_with_limit(source, name), note)}
        table.records.append(RecordDraft("lab_result", entries))
        used.append(column.name)
    table.used |= {*used, *([shared[1].name] if shared else [])}


def _pairs(day: str, column: str, days: list[str]) -> bool:
    """Whether a numbered date belongs to a numbered result: the one that names it, else the one that names none."""
    stem = re.sub(r"[^a-z0-9]", "", column.lower().replace("{k}", ""))
    naming = [d for d in days if stem in re.sub(r"[^a-z0-9]", "", d.lower())]
    return day in naming if naming else day == min(days, key=len)


def _can_date_exchanges(column: Column) -> bool:
    """Whether a column holds days, one or several in a cell, and not the day of the first exchange alone."""
    return not _names_date_of_patient(column.name) and (column.dates is not None or _separator(column) is not None)


def _exchanges(
    table: TableDraft, columns: dict[str, Column], is_patient: bool, kind: str | None, own: list[RecordDraft]
) -> None:
    """Add exchanges: a date of their own, a list in a cell, a run from-to, or a mark in a row of the day."""
    of_kind = {r.table for r in own}
    if "tpe_session" in of_kind:
        return
    dated, guessed = _by_role(table, columns, "exchange_date", _can_date_exchanges), False
    label = kind or table.found.label
    if dated is None and not is_patient and not of_kind and (match := words().match("roles", label)):
        named = match.name in ("exchange_date", "exchange_given") or words().code("exchange", label.strip())
        dated = _any_date(table, columns) if named else None
        guessed = dated is not None
    if dated is not None:
        separator = _separator(dated)
        source = {"column": dated.name} | ({"separator": separator} if separator else {})
        table.used.add(dated.name)
        entries = {"session_date": _only_date(dated) if guessed else Entry(source, "")} | _volume(table, columns)
        table.records.append(RecordDraft("tpe_session", entries, kind))
        return
    mark = _by_role(table, columns, "exchange_given", lambda c: c.is_vocabulary and not c.dates and not c.is_number)
    day = next((r.fields["result_date"] for r in own if "result_date" in r.fields), None)
    if day is None or is_patient:
        return
    if mark is None:
        amount = _by_role(table, columns, "exchange_volume", _is_number) or _by_role(
            table, columns, "exchange_given", lambda c: c.is_number and min(c.numbers("."), default=0) >= _LEAST_VOLUME
        )
        if amount is not None:
            table.used.add(amount.name)
            volume = Entry(*number_source(fields.fields()["volume_ml"], amount, table))
            entries = {"session_date": day, "volume_ml": volume}
            table.records.append(RecordDraft("tpe_session", entries, kind, {"column": amount.name}))
    else:
        table.used.add(mark.name)
        yes = [t for t in mark.texts if words().code("answer", t) == "yes"]
        no = [t for t in mark.texts if words().code("answer", t) == "no"]
        unknown = [t for t in mark.texts if t not in (*yes, *no)]
        blank = [""] if mark.filled < mark.rows else []
        present = {"column": mark.name, "yes": yes, "no": [*no, *blank, *(f"{TO_DECIDE}: {t}" for t in unknown)]}
        table.records.append(RecordDraft("tpe_session", {"session_date": day} | _volume(table, columns), kind, present))


def _kind_in_words(column: Column) -> str:
    if column.dates:
        return "dates"
    if column.is_number:
        return "numbers"
    if column.is_vocabulary:
        return f"{len(column.values)} words"
    return "texts"
