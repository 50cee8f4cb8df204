"""Tables as Word, Excel, LaTeX and HTML: complete, safe in each format, and the same bytes on every day."""

import io
import re
import zipfile
from datetime import date

import openpyxl
import pandas as pd
import pytest
from docx import Document

from capla_etl.office import same_bytes
from capla_etl.protocol.parameters import Parameter
from capla_etl.report.documents.latex import escaped, latex_text
from capla_etl.report.documents.write import write_documents
from capla_etl.report.documents.xlsx import sheet_names, xlsx_bytes
from capla_etl.report.layout import (
    Edition,
    abbreviations,
    closing_notes,
    is_text,
    number_and_name,
    one_line,
    panels,
    used_in,
)
from capla_etl.report.page.strobe import ANCHORS, ITEMS, MANUSCRIPT, strobe_items
from capla_etl.report.printed_tables import Cell, PrintedTable, Row
from capla_etl.tables.labels import ADVERSE_EVENTS, ANALYSES, EFFECT_CAVEAT, GROUPS, STATISTICS, SYNTHETIC, TABLES

OUTCOMES = PrintedTable(
    table_id="own_outcomes",
    title="Table 2. Outcomes",
    note="n/N counts the patients assessed.",
    columns=[Cell("Control", "N 495"), Cell("Difference", "95 % CI"), Cell("p")],
    sections=[
        (
            "",
            [
                Row(
                    "Platelets, 10⁹/L & <LDH> × ULN",
                    [Cell("13 (9–19)", "n 495"), Cell("−3.0", "−4.0 to −3.0"), Cell("<\u00a00.0001")],
                    marks="a,b",
                ),
                Row("=Severe", [Cell("15.0 %", "74/494"), Cell("[c]"), Cell("–")], marks="b", indented=True),
            ],
        )
    ],
    footnotes=[("a", "median_of 100 %"), ("b", "95 % CI Wilson")],
    not_assessed=["Refractory: Control 1 of 495"],
    effects=True,
)
SECTIONED = PrintedTable(
    table_id="own_sections",
    title="As published, beside computed",
    note="",
    columns=[Cell("Group"), Cell("Published")],
    sections=[
        ("Drugs & others", [Row("Rituximab", [Cell("Control"), Cell("71 %")])]),
        ("Deaths", [Row("Death", [Cell("Early start"), Cell("–")])]),
    ],
)
COMPARED = PrintedTable(
    table_id="own_compared",
    title="Table 3. By start",
    note="",
    columns=[
        Cell("Control", "N 4"),
        Cell("Early", "N 3"),
        Cell("Early & control: Difference", "95 % CI"),
        Cell("Early & control: p"),
        Cell("Both: p"),
    ],
    sections=[
        (
            "",
            [
                Row(
                    "Refractory",
                    [Cell("18.0 %"), Cell("1.1 %"), Cell("−16.9 pp", "−20.6 to −13.6"), Cell("0.010"), Cell("0.5")],
                ),
                Row("First dose", [Cell("–"), Cell("2"), Cell(""), Cell(""), Cell("")]),
            ],
        )
    ],
)
EDITION = Edition(
    date(2023, 6, 30),
    {
        "follow_up_days": Parameter("follow_up_days", 90, "PROTOCOL 3.7"),
        "landmark_days": Parameter("landmark_days", [3, 4], "PROTOCOL 4"),
    },
    version="2023-06-30-0123456789",
)
RESULTS = pd.DataFrame(
    {
        "table_id": ["table2"] * 2,
        "row": ["refractory", "=1+1"],
        "statistic": ["percent"] * 2,
        "value": [18.0161943319838, None],
        "n": pd.array([89, None], dtype="Int32"),
        "caveat": [None, "not estimable: nobody"],
    }
)
# One red point.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    paths = write_documents([OUTCOMES, SECTIONED], RESULTS, ["Text: 10⁹/L."], folder, EDITION, {"Survival": PNG})
    return {path.relative_to(folder).as_posix(): path for path in paths}


@pytest.fixture(scope="module")
def document(written):
    from docx import Document

    return Document(str(written["tables.docx"]))


@pytest.fixture(scope="module")
def workbook(written):
    from openpyxl import load_workbook

    return load_workbook(written["tables.xlsx"], rich_text=True)


# ---------------------------------------------------------------- all documents


def test_no_document_of_real_data_says_synthetic(real_data, tmp_path):
    written = write_documents([OUTCOMES, SECTIONED], RESULTS, ["Text."], tmp_path / "documents", EDITION, {})
    for path in written:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as parts:
                text = " ".join(parts.read(name).decode() for name in parts.namelist() if name.endswith("xml"))
        else:
            text = path.read_text(encoding="utf-8")
        assert "synthetic" not in text.lower() and "Data of real patients" in text, path.name


def test_the_same_tables_give_the_same_files(written, tmp_path):
    again = write_documents([OUTCOMES, SECTIONED], RESULTS, ["Text: 10⁹/L."], tmp_path, EDITION, {"Survival": PNG})
    assert list(written) == [
        "tables.docx",
        "tables.xlsx",
        "tables.tex",
        "html/own_outcomes.html",
        "html/own_sections.html",
    ]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written.values()]


@pytest.mark.parametrize("name", ["tables.docx", "tables.xlsx"])
def test_an_office_file_knows_the_data_cut_off_and_no_other_time(written, name):
    with zipfile.ZipFile(written[name]) as parts:
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert parts.namelist()[0] == "[Content_Types].xml"
        stamps = re.findall(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", parts.read("docProps/core.xml"))
    assert set(stamps) == {b"2023-06-30T00:00:00Z"}


def test_zip_parts_come_in_one_order_whatever_the_order_they_were_written_in():
    def archive(names):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as parts:
            for name in names:
                parts.writestr(name, name)
        return same_bytes(content.getvalue(), date(2023, 6, 30))

    assert archive(["b", "a", "[Content_Types].xml"]) == archive(["[Content_Types].xml", "a", "b"])


def test_every_document_says_that_the_data_are_synthetic_and_the_comparison_observational(written, document, workbook):
    caveat = EFFECT_CAVEAT[1:]
    texts = {
        "docx": "\n".join(paragraph.text for paragraph in document.paragraphs),
        "xlsx": "\n".join(str(cell.value) for row in workbook["Table 2"].iter_rows() for cell in row),
        "tex": written["tables.tex"].read_text(),
        "html": written["html/own_outcomes.html"].read_text(),
    }
    for text in texts.values():
        assert SYNTHETIC in text and caveat in text
    assert caveat not in written["html/own_sections.html"].read_text()
    assert document.sections[-1].header.paragraphs[0].text == SYNTHETIC


def test_every_document_states_the_version_of_the_study(written, document, workbook):
    stated = "Data cut-off 2023-06-30. Version 2023-06-30-0123456789."
    assert stated in document.sections[0].footer.paragraphs[0].text
    assert stated in [row[0].value for row in workbook.worksheets[0].iter_rows()]
    assert stated in written["tables.tex"].read_text()
    pages = [path for name, path in written.items() if name.startswith("html/")]
    assert pages and all(stated in page.read_text() for page in pages)


# ---------------------------------------------------------------- what stands beneath a table


def test_notes_beneath_a_table_name_its_parameters_and_who_was_not_assessed():
    survival = PrintedTable(
        "survival", "Survival by day", "", [Cell("Control")], [("", [])], not_assessed=["Coma: Control 2 of 495"]
    )
    assert closing_notes(survival, EDITION) == [
        "Not assessed: Coma: Control 2 of 495.",
        "Parameters as used: follow_up_days 90.",
        SYNTHETIC,
    ]
    assert [(p.name, users) for p, users in used_in([survival], EDITION)] == [
        ("follow_up_days", "Survival by day"),
        ("landmark_days", ""),
    ]


def test_a_parameter_that_a_table_needs_and_the_edition_has_not_is_an_error():
    with pytest.raises(KeyError, match="follow_up_days"):
        closing_notes(PrintedTable("survival", "Survival by day", "", [], []), Edition(date(2023, 6, 30)))


def test_the_notice_of_the_disclosure_profile_is_beneath_every_table():
    assert closing_notes(SECTIONED, Edition(date(2023, 6, 30), notice="Protected."))[-1] == "Protected."


def test_abbreviations_are_explained_where_they_are_printed_and_only_as_whole_words():
    assert abbreviations(OUTCOMES) == (
        "[c]: not shown, to protect single patients; CI: confidence interval; LDH: lactate dehydrogenase; ULN: upper "
        "limit of normal."
    )
    assert abbreviations(SECTIONED) == ""


def test_a_column_of_words_is_told_from_one_of_numbers():
    assert is_text(SECTIONED) == [True, False]
    assert is_text(OUTCOMES) == [False, False, False]


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        (Cell("15.0 %", "74/494"), "15.0 % (74/494)"),
        (Cell("5 (3–8)", "n 927"), "5 (3–8); n 927"),
        (Cell("0.05"), "0.05"),
    ],
)
def test_small_print_goes_beside_the_number(cell, line):
    assert one_line(cell) == line


def test_titles_give_their_number():
    assert number_and_name("Table 2. Outcomes") == (2, "Outcomes")
    assert number_and_name("Survival by day") == (None, "Survival by day")


# ---------------------------------------------------------------- Word


def test_word_tables_are_real_tables_with_the_numbers_as_printed(document):
    assert [[cell.text for cell in row.cells] for row in document.tables[0].rows] == [
        ["", "Control\nN 495", "Difference\n95 % CI", "p"],
        ["Platelets, 10⁹/L & <LDH> × ULNa,b", "13 (9–19); n 495", "−3.0 (−4.0 to −3.0)", "<\u00a00.0001"],
        ["=Severeb", "15.0 % (74/494)", "[c]", "–"],
    ]
    assert [cell.text for cell in document.tables[1].rows[1].cells] == ["Drugs & others"] * 3


def test_word_rows_are_not_split_and_the_first_is_repeated_on_every_page(document):
    from docx.oxml.ns import qn

    for table in document.tables:
        assert all(row._tr.trPr.find(qn("w:cantSplit")) is not None for row in table.rows)
        assert [row._tr.trPr.find(qn("w:tblHeader")) is not None for row in table.rows] == [True] + [False] * (
            len(table.rows) - 1
        )


def test_word_tables_have_three_rules_and_no_vertical_line(document):
    xml = document.tables[0]._tbl.xml
    assert len(re.findall(r'<w:(?:top|bottom) w:val="single"', xml)) == 2 + len(document.tables[0].columns)
    assert not re.search(r"<w:(left|right|insideV|insideH) w:val", xml)


def test_word_captions_keep_the_number_of_the_table_for_cross_references(document):
    from docx.oxml.ns import qn

    captions = [paragraph for paragraph in document.paragraphs if paragraph.style.name == "Caption"]
    assert ["".join(text.text for text in caption._p.iter(qn("w:t"))) for caption in captions] == [
        "Table 2. Outcomes",
        "As published, beside computed",
        "Survival",
        "Definitions and parameters as used",
    ]
    assert r"SEQ Table \* ARABIC \r 2" in captions[0]._p.xml
    assert [bool(caption.paragraph_format.page_break_before) for caption in captions] == [False, True, False, True]


def test_word_footnote_letters_are_superscript_and_rows_indented(document):
    label = document.tables[0].rows[1].cells[0].paragraphs[0]
    assert [(run.text, run.font.superscript) for run in label.runs] == [
        ("Platelets, 10⁹/L & <LDH> × ULN", None),
        ("a,b", True),
    ]
    assert [row.cells[0].paragraphs[0].paragraph_format.left_indent.pt for row in document.tables[0].rows[1:]] == [
        0,
        10,
    ]


def test_word_tables_are_on_landscape_pages_after_the_methods(document):
    portrait, landscape = document.sections
    assert portrait.page_width < portrait.page_height and landscape.page_width > landscape.page_height
    assert "Text: 10⁹/L." in [paragraph.text for paragraph in document.paragraphs]


def test_a_word_table_of_many_columns_still_fits_the_page():
    from docx import Document

    from capla_etl.report.documents.docx import docx_bytes

    wide = PrintedTable(
        "wide",
        "Wide",
        "",
        [Cell(f"Group {n}", "N 1") for n in range(14)],
        [("", [Row("A rather long label", [Cell("45.0 (35.0–56.8)", "n 781 of 942")] * 14)])],
    )
    document = Document(io.BytesIO(docx_bytes([wide], [], Edition(date(2023, 6, 30)))))
    assert all(sum(column.width.cm for column in table.columns) < 29.7 - 2 * 1.8 + 0.01 for table in document.tables)
    assert sum(len(table.columns) - 1 for table in document.tables) == 14 and len(document.tables) > 1
    assert document.tables[0].rows[1].cells[1].text == "45.0 (35.0–56.8)\nn 781 of 942"
    assert "Wide, continued" in [paragraph.text for paragraph in document.paragraphs]


def test_columns_that_share_a_heading_stay_in_one_panel():
    assert panels(COMPARED, [4, 4, 4, 4, 4], 20) == [[0, 1, 2, 3, 4]]
    assert panels(COMPARED, [4, 4, 4, 4, 4], 15) == [[0, 1], [2, 3, 4]]
    assert panels(COMPARED, [4, 4, 4, 4, 4], 5) == [[0], [1], [2, 3], [4]]


def test_what_columns_share_stands_once_above_them_in_every_document(tmp_path):
    from docx import Document
    from openpyxl import load_workbook

    docx, xlsx, tex, page = write_documents([COMPARED], RESULTS, [], tmp_path, Edition(date(2023, 6, 30)))
    rows = [[cell.text for cell in row.cells] for row in Document(str(docx)).tables[0].rows]
    assert rows[0] == ["", "", "", "Early & control", "Early & control", "Both"]
    assert rows[1] == ["", "Control\nN 4", "Early\nN 3", "Difference\n95 % CI", "p", "p"]
    sheet = load_workbook(xlsx)["Table 3"]
    assert [sheet["D3"].value, sheet["D4"].value, sheet["E4"].value, sheet.freeze_panes] == [
        "Early & control",
        "Difference\n95 % CI",
        "p",
        "B5",
    ]
    assert "D3:E3" in {str(merged) for merged in sheet.merged_cells.ranges}
    heads = (
        r"\multicolumn{2}{c}{\bfseries Early \& control} & \multicolumn{1}{c}{\bfseries Both}\\",
        r"\cmidrule(lr){4-5}\cmidrule(lr){6-6}",
    )
    assert "\n".join(heads) in tex.read_text()
    html = page.read_text()
    assert "Early &amp; control" in html and 'colspan="2"' in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids)) and all(name.startswith("own_compared") for name in ids)


# ---------------------------------------------------------------- Excel


def test_excel_has_a_sheet_for_each_table_one_to_read_first_and_the_numbers(workbook):
    assert workbook.sheetnames == ["Read me", "Table 2", "As published, beside computed", "Parameters", "results"]
    assert workbook["Table 2"].freeze_panes == "B4" and workbook["results"].freeze_panes == "A2"


def test_excel_prints_text_and_holds_the_numbers_behind_it_unrounded(workbook):
    assert workbook["Table 2"]["B5"].value == "15.0 % (74/494)"
    assert [cell.value for cell in workbook["results"][2]] == [
        "table2",
        "refractory",
        "percent",
        18.0161943319838,
        89,
        None,
    ]
    assert [cell.value for cell in workbook["Parameters"][2]] == ["follow_up_days", 90, "PROTOCOL 3.7", None]
    assert workbook["Parameters"]["B3"].value == "3, 4"


def test_excel_never_takes_a_text_for_a_formula(workbook):
    assert workbook["results"]["B3"].data_type == "s"
    label = workbook["Table 2"]["A5"]
    assert str(label.value) == "=Severeb" and label.data_type != "f" and label.alignment.indent == 2


def test_sheet_names_are_short_unique_and_without_forbidden_characters():
    long = "Cumulative incidence of clinical response by day"
    assert sheet_names(["Table 2. Outcomes", "Table 2. Again", long, long, "a/b: [c]", "results"]) == [
        "Table 2",
        "Table 2 2",
        "Cumulative incidence of",
        "Cumulative incidence of 2",
        "a b   c",
        "results 2",
    ]


def test_an_empty_result_still_gives_a_workbook():
    assert xlsx_bytes([], RESULTS.head(0), Edition(date(2023, 6, 30)))[:2] == b"PK"


# ---------------------------------------------------------------- LaTeX


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("5 % & 1_a #1 $x", r"5 \% \& 1\_a \#1 \$x"),
        (r"a\b {c} ~ ^", r"a\textbackslash{}b \{c\} \textasciitilde{} \textasciicircum{}"),
        ("10⁹/L", r"10\textsuperscript{9}/L"),
        (
            "−3.0 ± 1 × 2 ≥ 5 µmol",
            r"\ensuremath{-}3.0 \ensuremath{\pm} 1 \ensuremath{\times} 2 \ensuremath{\geq} 5 \textmu{}mol",
        ),
        ("9–19", "9--19"),
        ("a--b", "a-{}-b"),
        ("a---b–c", "a-{}-{}-b--c"),
        ("<\u00a00.0001", r"\textless{}~0.0001"),
        ("12\u202f345", r"12\,345"),
        ("[c]", "{[}c{]}"),
        ("Übel, naïve, Łódź", "Übel, naïve, Łódź"),
    ],
)
def test_text_is_escaped_for_latex(text, latex):
    assert escaped(text) == latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a≀b", r"a\texttt{U+2240}b"),
        ("日本", r"\texttt{U+65E5}\texttt{U+672C}"),
        ("Αθήνα", r"A\ensuremath{\theta}\ensuremath{\eta}\ensuremath{\nu}\ensuremath{\alpha}"),
        ("Λς", r"\ensuremath{\Lambda}\ensuremath{\varsigma}"),
        ("\x07\t😀", r"\texttt{U+0007} \texttt{U+1F600}"),
        ("A\u0308", "Ä"),
    ],
)
def test_letters_that_latin_fonts_lack_are_named_by_their_numbers(text, latex):
    assert escaped(text) == latex


EVERY_SCRIPT = (
    "Θεσσαλονίκη 東京 서울 Київ القاهرة תל 😀👩‍⚕️ e\u0301 \x07\x00\x1b \u202e \ufffe \ud800 <&>\r\n\t\\{}%$#_~^"
)


def test_every_document_takes_every_text(tmp_path):
    odd = Cell(EVERY_SCRIPT, EVERY_SCRIPT)
    rows = [(EVERY_SCRIPT, [Row(EVERY_SCRIPT, [odd, odd], marks="a")]), ("other", [Row("x", [odd, odd])])]
    notes = {"footnotes": [("a", EVERY_SCRIPT)], "not_assessed": [EVERY_SCRIPT]}
    table = PrintedTable("odd", EVERY_SCRIPT, EVERY_SCRIPT, [odd, odd], rows, **notes)
    results = pd.DataFrame({"table_id": ["t"], "row": [EVERY_SCRIPT], "value": [1.0]})
    edition = Edition(date(2023, 6, 30), notice=EVERY_SCRIPT)
    written = write_documents([table], results, [EVERY_SCRIPT], tmp_path, edition)
    assert all(path.stat().st_size > 500 for path in written)
    Document(str(tmp_path / "tables.docx"))
    openpyxl.load_workbook(tmp_path / "tables.xlsx")
    assert "東京" in next((tmp_path / "html").iterdir()).read_text(encoding="utf-8")
    (tmp_path / "tables.tex").read_text(encoding="utf-8")


def test_every_label_of_the_study_can_be_set_in_latex():
    for text in TABLES.values():
        for printed in (text.title, text.note, *text.rows.values()):
            escaped(printed)
    described = [analysis.description for analysis in ANALYSES.values()]
    for printed in (
        *GROUPS.values(),
        *STATISTICS.values(),
        *ADVERSE_EVENTS.values(),
        *described,
        EFFECT_CAVEAT,
        SYNTHETIC,
    ):
        escaped(printed)


def test_latex_tables_have_rules_caption_and_the_numbers_as_printed(written):
    text = written["tables.tex"].read_text()
    assert r"\setcounter{table}{1}" + "\n" + r"\begin{longtable}" in text and r"\caption{Outcomes}\\" in text
    assert r"\caption*{\textbf{As published, beside computed}}\\" in text
    assert r"\hspace*{1em}=Severe\textsuperscript{b} & 15.0 \% (74/494) & {[}c{]} & --\\" in text
    assert r"\multicolumn{3}{@{}l}{\bfseries Drugs \& others}\\" in text
    for command in ("toprule", "midrule", "bottomrule", "endhead"):
        assert text.count(rf"\{command}") >= 3
    body = re.sub(r"\\[{}]", "", text)
    assert (
        body.count("{") == body.count("}") and text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 3
    )


def test_latex_without_methods_and_parameters_has_tables_only():
    text = latex_text([SECTIONED], [], Edition(date(2023, 6, 30)))
    assert "Statistical methods" not in text and text.count(r"\begin{longtable}") == 1


# ---------------------------------------------------------------- HTML


def test_html_tables_need_nothing_else_and_escape_what_they_print(written):
    page = written["html/own_outcomes.html"].read_text()
    assert "<script" not in page and not re.search(r"""(src|href)=|url\(|@import""", page)
    assert "10⁹/L &amp; &lt;LDH&gt; × ULN<sup>a,b</sup>" in page and "<LDH>" not in page and "&amp;lt;" not in page
    assert '15.0 %<span class="sub">74/494</span>' in page
    assert "<sup>a</sup>&nbsp;median_of 100 %; <sup>b</sup>&nbsp;95 % CI Wilson." in page


def test_html_ids_are_fixed_and_sections_named(written):
    page = written["html/own_sections.html"].read_text()
    assert '<div id="own_sections"' in page and "Drugs &amp; others" in page and "&amp;amp;" not in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and all(name.startswith("own_sections") for name in ids)


# ---------------------------------------------------------------- STROBE


def test_every_strobe_item_says_where_it_is_answered(request):
    items = strobe_items()
    assert tuple(items["item"]) == ITEMS and len({item.rstrip("abcde") for item in ITEMS}) == 22
    places = {place for where in items["where"] for place in where.split(", ")}
    assert places - ANCHORS - {MANUSCRIPT} == {"docs/LINEAGE.md"}
    assert (request.config.rootpath / "docs" / "LINEAGE.md").is_file()
    assert items.set_index("item").loc[["1a", "22"], "where"].eq(MANUSCRIPT).all()


def test_a_strobe_item_pointing_nowhere_is_refused():
    with pytest.raises(ValueError, match="item 13a: the place '#flow' does not exist"):
        strobe_items(ANCHORS - {"#flow"})


def test_an_unknown_key_or_a_missing_item_of_the_checklist_is_refused(tmp_path):
    path = tmp_path / "strobe.yml"
    path.write_text(
        '- {item: "1a", section: Title, recommendation: x, where: for the manuscript, answer: x, page: "3"}\n'
    )
    with pytest.raises(ValueError, match="item 1a: unknown key 'page'"):
        strobe_items(path=path)
    path.write_text('- {item: "1a", section: Title, recommendation: x, where: for the manuscript, answer: ""}\n')
    with pytest.raises(ValueError, match="item 1a: answer is missing"):
        strobe_items(path=path)
    path.write_text('- {item: "1a", section: Title, recommendation: x, where: for the manuscript, answer: x}\n')
    with pytest.raises(ValueError, match="the items are 1a; expected 1a, 1b"):
        strobe_items(path=path)
