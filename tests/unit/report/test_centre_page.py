"""The page that is sent to a centre: what it says of the centre, and that nothing of another centre can be told."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from monitoring_frames import CENTRES, DAY, monitored, signal, signal_frame

from capla_etl.fields import meanings
from capla_etl.report.centre_page.content import OTHERS_FROM, Strip, centre_page
from capla_etl.report.centre_page.pdf import pdf_bytes
from capla_etl.report.centre_page.write import write_page


def _quality(centres: dict[str, int], complete: dict[str, int] | None = None) -> pd.DataFrame:
    rows = []
    for centre, patients in centres.items():
        row = dict.fromkeys(meanings.columns("quality.centre_quality"), 0)
        known = (complete or {}).get(centre, patients)
        row |= {name: known for name in row if name.endswith("_n")}
        rows.append(row | {"centre_id": centre, "eligible": patients, "caplacizumab": patients})
    return pd.DataFrame(rows).assign(data_cut_off=DAY)


def _status(centres: dict[str, int], **statuses: str) -> pd.DataFrame:
    columns = {"name": "Köln", "country": "DE", "submission": DAY, "received_submission": DAY, "problem": ""}
    return pd.DataFrame(
        [{"centre_id": centre, "status": statuses.get(centre, "current")} | columns for centre in centres]
    )


QUERIES = pd.DataFrame(
    [
        ("DE01", "refused_value", "open"),
        ("DE01", "refused_value", "corrected"),
        ("DE01", "contradiction", "open"),
        ("FR01", "missing_key_data", "open"),
    ],
    columns=["centre_id", "category", "status"],
)


def _page(centre="DE01", centres=CENTRES, signals=(), shifted=None, queries=QUERIES, **statuses):
    return centre_page(
        centre,
        quality=_quality(centres, {"DE01": 29}),
        status=_status(centres, **statuses),
        query=queries,
        signal=signal_frame(*signals),
        monitored=monitored(centres, shifted),
        version="2023-06-30-0123456789",
    )


def _section(page, heading):
    (found,) = [one for one in page.sections if one.heading == heading]
    return found


def _texts(page) -> str:
    cells = [cell for part in page.sections for row in part.rows for cell in row if isinstance(cell, str)]
    return "\n".join([page.title, *page.lead, *cells, *(part.note + part.empty for part in page.sections), page.foot])


def test_completeness_stands_beside_the_median_of_the_others():
    rows = {row[0]: row[1:] for row in _section(_page(), "Completeness and timeliness").rows}
    assert rows["Platelet count on day 0"] == ["10\u00a0% (29 of 290)", "100\u00a0%"]


def test_questions_are_counted_by_kind_with_the_workbook_named():
    page = _page()
    assert _section(page, "Questions to your centre").rows == [["Contradiction", "1", "0"], ["Refused value", "1", "1"]]
    assert "DE01.xlsx" in page.foot
    assert _section(_page("AT01"), "Questions to your centre").empty == "No question."


def test_signals_of_the_centre_are_said_in_words_and_silence_is_said_too():
    stop = signal(rows=list(range(2, 20)))
    (row,) = _section(_page(signals=[stop]), "Signals").rows
    assert row[0].startswith("stop") and "as if in mg/dL" in row[2] and row[3] == "2, 3, 4, 5, 6, 7, 8, 9 ..."
    (row,) = _section(_page(signals=[signal(patient_numbers=["K-017", "K-018"])]), "Signals").rows
    assert row[3] == "see the workbook", "patients are named there alone"
    none = _section(_page("AT01", signals=[stop]), "Signals")
    assert none.rows == [] and none.empty.startswith("No signal")


def test_what_is_held_back_is_said_at_the_top():
    assert "refused" not in " ".join(_page().lead)
    assert "last good one" in " ".join(_page(DE01="refused").lead)


def test_a_centre_that_is_not_in_the_warehouse_is_an_error():
    with pytest.raises(KeyError, match="XX01"):
        _page("XX01")


# ------------------------------------------------------------------ nothing of the others


def test_no_other_centre_is_named_even_where_a_signal_names_it():
    page = _page(signals=[signal(looks_like="ten patients have the series of patients of FR01.")])
    assert "of another centre" in _texts(page)
    assert [code for code in CENTRES if code != "DE01" and code in _texts(page)] == []


def test_no_number_of_patients_of_another_centre_is_on_the_page(tmp_path):
    """Sizes that occur nowhere else on the page: an own 291 among others with 17,001 to 17,009 patients."""
    centres = {code: 17001 + n for n, code in enumerate(CENTRES)} | {"DE01": 291}
    page = _page(centres=centres)
    html, _ = write_page(page, tmp_path)
    shown = _texts(page) + re.sub(r"<style>.*?</style>", "", html.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "291" in shown and not re.search(r"1700\d|17\u202f00\d|17,00\d", shown)


def test_the_others_are_dots_on_a_coarse_grid_in_the_order_of_their_values_alone():
    strips = [row[-1] for row in _section(_page(), "Levels").rows if len(row) > 1]
    assert strips and all(isinstance(strip, Strip) for strip in strips)
    for strip in strips:
        assert sum(dots for _, dots in strip.others) == len(CENTRES) - 1
        places = [place for place, _ in strip.others]
        assert places == sorted(places)
        assert all((20 * place) == pytest.approx(round(20 * place)) for place in places)


def test_the_order_of_the_centres_leaves_no_trace():
    frames = {"quality": _quality(CENTRES), "status": _status(CENTRES), "query": QUERIES, "signal": signal_frame()}
    frames["version"] = "2023-06-30-0123456789"
    looked = monitored()
    turned = pd.concat([looked[looked["centre_id"] == centre] for centre in reversed(CENTRES)])
    assert centre_page("DE01", monitored=looked, **frames) == centre_page("DE01", monitored=turned, **frames)


@pytest.mark.parametrize(("others", "shown"), [(OTHERS_FROM - 1, False), (OTHERS_FROM, True)])
def test_few_others_are_not_shown_because_they_could_be_told(others, shown):
    centres = dict(list(CENTRES.items())[: others + 1])
    page = _page("AT01", centres)
    for row in _section(page, "Levels").rows:
        if len(row) > 1:
            assert bool(row[-1].others) is shown and (row[2] != "–") is shown and (row[3] != "–") is shown
    for row in _section(page, "Completeness and timeliness").rows[:-1]:
        assert (row[2] != "–") is shown
    assert ("They are not shown" in _texts(page)) is not shown


# ------------------------------------------------------------------ levels, files


def test_a_level_beyond_its_limit_lies_outside_the_band_and_says_so():
    rows = {
        row[0]: row[-1]
        for row in _section(_page(shifted={("DE01", "creatinine"): (-1.2, "look")}), "Levels").rows
        if len(row) > 1
    }
    strip = rows["Creatinine: look"]
    assert strip.own < strip.below and strip.severity == "look"
    within = rows["Haemoglobin"]
    assert within.below <= within.own <= within.above


def test_the_page_is_one_file_that_loads_nothing_and_pdf_is_the_same_bytes_twice(tmp_path):
    page = _page(signals=[signal(sheet="検査 데이터 <b>")])
    html, pdf = write_page(page, tmp_path)
    text = html.read_text(encoding="utf-8")
    assert "default-src 'none'; style-src 'unsafe-inline'" in text and "<script" not in text
    assert not re.search(r'(?:src|href)="|@import|url\(', text) and "Synthetic data" in text
    assert "&lt;b&gt;" in text and "<b>" not in text
    assert pdf.read_bytes() == pdf_bytes(page) and pdf.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("signals", [0, 1, 12, 30])
def test_a_page_has_at_most_two_sheets_of_paper(signals):
    words = "Lower than in the other centres: creatinine, as if it were in mg/dL and read as umol/L. " * 2
    found = [signal(quantity=f"quantity {n}", looks_like=words, rows=list(range(20))) for n in range(signals)]
    page = _page(signals=found)
    levels = _section(page, "Levels")
    many = replace(levels, rows=[levels.rows[1]] * (60 - 3 * min(signals, 12)))  # as many as the page may have
    page = replace(page, sections=[many if part is levels else part for part in page.sections])
    sheets = re.findall(rb"/Type /Page\b(?!s)", pdf_bytes(page))
    assert 1 <= len(sheets) <= 2


@pytest.mark.parametrize(
    "text", ["Θεσσαλονίκη 東京 서울 القاهرة 😀", "e\u0301 \x07\x00 \u202e \ufffe \ud800 <&>\r\n\t\\"]
)
def test_a_page_takes_every_text(text, tmp_path):
    found = _page()
    odd = replace(found, title=text, lead=[text], foot=text)
    assert pdf_bytes(odd).startswith(b"%PDF")
