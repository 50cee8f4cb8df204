"""Tables as text: columns line up, numbers to the right where asked, nothing breaks out of its cell."""

from capla_etl.report.text_table import aligned, markdown

ROWS = [("AT01", 12345, None), ("FR01", 7, "a rather long text that does not fit")]


def test_columns_line_up_under_their_headings():
    assert aligned(["centre", "rows", "note"], [("AT01", 1.23456789, None)], rule=True).splitlines() == [
        "centre  rows     note",
        "------  -------  ----",
        "AT01    1.23457",
    ]


def test_whole_numbers_stand_on_the_right_and_the_last_column_is_cut_to_the_line():
    assert aligned(["centre", "rows", "note"], ROWS, right=True, width=42).splitlines() == [
        "centre    rows  note",
        "AT01    12,345",
        "FR01         7  a rather long text that d…",
    ]


def test_a_table_without_rows_has_its_headings():
    assert aligned(["a", "b"], [], right=True) == "a  b"


def test_a_value_cannot_break_a_markdown_table():
    assert markdown(["a|b", "b"], [("x|y\r\nz", None)]).splitlines() == [
        "| a\\|b   | b |",
        "|--------|---|",
        "| x\\|y z |   |",
    ]
