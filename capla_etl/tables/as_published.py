"""The figures of the abstract (PROTOCOL section 5), each once, and where its computed counterpart stands.

Nothing is computed here. Labels are the abstract's: a number in them is what was published, whatever the parameters
are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from capla_etl.tables import cells
from capla_etl.tables.results import KEY, NOT_ESTIMABLE, cell, frame, join_caveats


@dataclass(frozen=True)
class PublishedFigure:
    """One published figure.

    Attributes:
        source: (table_id, row, group, statistic) of the computed cell.
        column: which of its numbers is meant.
        bound: published only as an upper bound ("p < 0.0001").
        about: published as approximate.
    """

    row: str
    group: str
    section: str
    label: str
    value: float
    unit: str
    source: tuple[str, str, str, str]
    column: str = "value"
    decimals: int = 0
    bound: bool = False
    about: bool = False


# Row, group, label, value with unit and decimals (and how it was published, where not as a plain number), and the
# computed cell: table, row, group, statistic, and column where it is not the value; "=" is as in the figure. Three
# values are median and quartiles. The abstract does not say from which day it counts days to death: both are compared
# with it.
_PUBLISHED = """
# Patients and treatment
patients | caplacizumab | Patients | 942 patients | flow caplacizumab all count
patients | control | Patients | 495 patients | flow control all count
corticosteroids | caplacizumab | Corticosteroids | 99 % | table1 = = percent
corticosteroids | control | Corticosteroids | 93 % | table1 = = percent
rituximab | caplacizumab | Rituximab | 92 % | table1 = = percent
rituximab | control | Rituximab | 71 % | table1 = = percent
patients | early | Start within 3 days | 715 patients | flow early all count
patients | delayed | Delayed start | 218 patients | flow delayed all count
patients | rescue | Delayed start, rescue | 63 patients | flow rescue all count
patients | slow_response | Delayed start, slow response | 155 patients | flow slow_response all count
# Survival and death
survival_3_months | caplacizumab | Survival at 3 months | 98.6 % 1 | table2 = = percent
survival_3_months | control | Survival at 3 months | 93.3 % 1 | table2 = = percent
survival_3_months_p | difference | Survival at 3 months, p | 0.0001 p 4 bound | table2 survival_3_months = p_value
death_day | caplacizumab | Death, days from day 0 | 4.5 3 5 days 1 | table6 = = quartiles
days_from_first_dose | caplacizumab | Death, days from first dose | 4.5 3 5 days 1 | table6 = = quartiles
# Response and disease course
failure_risk_ratio | difference | Failure to achieve response, risk ratio | 0.2 ratio 2 about |
  table2 failure = risk_ratio
failure_risk_ratio_lower | difference | … lower 95 % limit | 0.1 ratio 2 | table2 failure = risk_ratio lower
failure_risk_ratio_upper | difference | … upper 95 % limit | 0.37 ratio 2 | table2 failure = risk_ratio upper
failure_p | difference | Failure to achieve response, p | 0.0001 p 4 bound | table2 failure = p_value
exacerbation_after_stop_undetectable | caplacizumab | Exacerbation after stopping with ADAMTS13 undetectable | 46
  patients | table2 = = percent n
died_by_day_90 | early | Death | 1 % 1 | table3 = = percent
refractory | early | Refractory | 1.1 % 1 | table3 = = percent
exacerbation | early | Exacerbation | 5.3 % 1 | table3 exacerbation_all_patients = percent
response_day | early | Time to response from first TPE | 4 3 6 days 1 | table3 = = quartiles
days_from_caplacizumab_to_response | delayed | Time to response from first dose | 4 2 8 days 1 | table3 = = quartiles
time_to_response_p | difference | Time to response, early against delayed, p | 0.8 p 2 |
  table3 time_to_response early_delayed p_value
time_to_response_ratio | difference | Time to response among survivors, early over control | 0.5 ratio 2 about |
  table3 response_day_survivors early_control ratio_of_medians
adamts13_recovery_p | difference | ADAMTS13 recovery earlier, p | 0.01 p 3 | table2 adamts13_recovery_day = p_value
# Adverse events
any_adverse_event_patients | caplacizumab | Any adverse event | 220 patients | table5 any_adverse_event = percent n
any_adverse_event_percent | caplacizumab | Any adverse event | 23 % 1 | table5 any_adverse_event = percent
major_bleeding_patients | caplacizumab | Major bleeding | 19 patients | table5 major_bleeding = percent n
major_bleeding_percent | caplacizumab | Major bleeding | 2.2 % 1 | table5 major_bleeding = percent
crnm_bleeding_patients | caplacizumab | Clinically relevant non-major bleeding | 34 patients |
  table5 crnm_bleeding = percent n
crnm_bleeding_percent | caplacizumab | Clinically relevant non-major bleeding | 3.7 % 1 | table5 crnm_bleeding = percent
minor_bleeding_patients | caplacizumab | Minor bleeding | 114 patients | table5 minor_bleeding = percent n
minor_bleeding_percent | caplacizumab | Minor bleeding | 14 % 1 | table5 minor_bleeding = percent
injection_site_reaction_patients | caplacizumab | Injection-site reaction | 35 patients |
  table5 injection_site_reaction = percent n
injection_site_reaction_percent | caplacizumab | Injection-site reaction | 4.5 % 1 |
  table5 injection_site_reaction = percent
major_bleeding_digestive_tract | caplacizumab | Major bleeding, digestive | 8 patients | table5 = = count
major_bleeding_intracranial | caplacizumab | Major bleeding, intracranial | 2 patients | table5 = = count
major_bleeding_catheter_insertion | caplacizumab | Major bleeding, catheter | 2 patients | table5 = = count
major_bleeding_metrorrhagia | caplacizumab | Major bleeding, metrorrhagia | 2 patients | table5 = = count
"""
_QUARTILES = {"median": "median", "q1": "first quartile", "q3": "third quartile"}


def _figures() -> Iterator[PublishedFigure]:
    section = ""
    for line in re.sub(r"\n +", " ", _PUBLISHED).strip().splitlines():
        if line.startswith("# "):
            section = line.removeprefix("# ")
            continue
        row, group, label, printed, source = line.split(" | ")
        values, unit, decimals, qualifier = re.fullmatch(r"([\d. ]+) (\S+)(?: (\d))?(?: (\w+))?", printed).groups()
        table_id, of_row, of_group, statistic, *column = source.split()
        place = table_id, row if of_row == "=" else of_row, group if of_group == "=" else of_group
        more = {"column": (*column, "value")[0], "decimals": int(decimals or 0), qualifier or "bound": bool(qualifier)}
        if statistic == "quartiles":
            for (key, name), value in zip(_QUARTILES.items(), values.split(), strict=True):
                of = f"{row}_{key}", group, section, f"{label}, {name}", float(value), unit
                yield PublishedFigure(*of, (*place, key), **more)
        else:
            yield PublishedFigure(row, group, section, label, float(values), unit, (*place, statistic), **more)


FIGURES = tuple(_figures())


def as_published(results: pd.DataFrame) -> pd.DataFrame:
    """Every figure of PROTOCOL section 5 with the computed one.

    Args:
        results: the other study tables, concatenated (flow, table1, table2, table3, table5, table6).

    Returns:
        Rows of table ``as_published``: for each figure the statistics ``published``, ``computed`` and ``difference``
        (computed minus published; none where a bound was published).

    Raises:
        ValueError: a figure has no computed counterpart.
    """
    found = {tuple(line[name] for name in KEY): line for line in results.to_dict("records")}
    rows = []
    for figure in FIGURES:
        if figure.source not in found:
            raise ValueError(f"as published: nothing computed for {figure.row} ({', '.join(figure.source)})")
        source, key = found[figure.source], ("as_published", figure.row, figure.group)
        value = cells.known(source[figure.column])
        counts = {name: None if pd.isna(source[name]) else int(source[name]) for name in ("n", "n_assessed")}
        limits = {name: cells.known(source[name]) for name in ("lower", "upper", "p_value") if figure.column == "value"}
        about = "published as approximate" if figure.about else None
        qualifier = "published as an upper bound" if figure.bound else about
        method = "PROTOCOL section 5 (abstract)"
        rows.append(cell(*key, "published", figure.value, method=method, caveat=qualifier))
        caveat = None if pd.isna(source["caveat"]) else source["caveat"]
        if value is None and not (caveat or "").startswith(NOT_ESTIMABLE):
            caveat = join_caveats(f"{NOT_ESTIMABLE}no interval", caveat)
        rows.append(cell(*key, "computed", value, **counts, **limits, method=source["method"], caveat=caveat))
        reason = "a bound was published" if figure.bound else "nothing computed" if value is None else None
        caveat = f"{NOT_ESTIMABLE}{reason}" if reason else qualifier
        difference = None if reason else value - figure.value
        rows.append(cell(*key, "difference", difference, method="computed minus published", caveat=caveat))
    return frame(rows)
