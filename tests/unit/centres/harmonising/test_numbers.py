"""Numbers: how they are written, in which notation, and what is no number."""

import pytest

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.spec.check import load_spec

LABS = """
labs:
  file: labs.csv
  format: {{type: delimited, encoding: utf-8, delimiter: ";"}}
  key: id
  decimal: "{decimal}"
  width: {width}
  row_key: [other]
  date_format: "%d/%m/%Y"
  records:
    - {{table: lab_result, fields: {{result_date: date, {field}: {{column: value, {source}}}}}}}
"""


def read(centre, harmonised, texts, field: str, source: str, decimal: str = ".", width: str = "as_sent") -> list:
    """What becomes of results of patient A, each a text or (text, text of the other column), in order.

    Each is (value, comparator), the value alone where it has no comparator, the rule that refuses it, or None where
    there is no result.
    """
    centre.spec(LABS.format(field=field, source=source, decimal=decimal, width=width))
    cells = [(text, "") if isinstance(text, str) else text for text in texts]
    rows = [f"A;12/01/2020;{text};{other or row}" for row, (text, other) in enumerate(cells)]
    centre.write("labs.csv", "\n".join(["id;date;value;other", *rows]))
    results = {
        row: (value, sign) if sign else value
        for row, value, sign in harmonised("lab_result", "source_row", "value", "comparator")
    }
    rules = dict(harmonised("quarantine", "row_number", "rule"))
    assert not results.keys() & rules.keys()
    return [(results | rules).get(row) for row in range(2, len(cells) + 2)]


@pytest.mark.parametrize(
    ("decimal", "texts"),
    [
        (
            ".",
            {
                "1.5E+02": 150,
                "1.5e2": 150,
                "1500e-1": 150,
                "1.5E\u22121": "out_of_range",
                "1.5E": "not_a_number",
                "1.5E1.5": "not_a_number",
                "+150": 150,
                "+ 150": 150,
                "\u2212150": "out_of_range",
                "- 150": "out_of_range",
                "150.": "not_a_number",
                ".5": "out_of_range",
                ".": "not_a_number",
                "5,0": "not_a_number",
                "150 %": "not_a_number",
                "150 000": "not_a_number",
                "1.7999999999999998": 1.7999999999999998,
                "1e400": "out_of_range",
                "NaN": "not_a_number",
                "inf": "not_a_number",
                "=150": "not_a_number",
                "~150": "not_a_number",
                "<=150": "comparator_not_allowed",
                "≥150": "comparator_not_allowed",
                "<150": "comparator_not_allowed",
            },
        ),
        (",", {"1,5e2": 150, "150,": "not_a_number", ",5": "out_of_range", "5.0": "not_a_number", ",": "not_a_number"}),
    ],
)
def test_a_number_is_read_as_it_is_written(centre, harmonised, decimal, texts):
    found = read(centre, harmonised, texts, "platelets_10e9_per_l", "unit: 10^9/L", decimal)
    assert dict(zip(texts, found, strict=True)) == texts


@pytest.mark.parametrize(
    ("thousands", "texts"),
    [
        (
            ".",
            {
                "150.000": 150,
                "1.150.000": 1150,
                "150000": 150,
                "15.00": "not_a_number",
                "0.120": "not_a_number",  # 0.12 in another notation, not 120
                "015.000": "not_a_number",
                "<0.120": "not_a_number",
                "1.50.000": "not_a_number",
                "150'000": "not_a_number",
                "150 000": "not_a_number",
            },
        ),
        (
            " ",
            {"150 000": 150, "150\u00a0000": 150, "150\u2009000": 150, "150\u202f000": 150, "150.000": "not_a_number"},
        ),
        ("\u2009", {"150\u202f000": 150, "150 000": 150}),
        ("'", {"150'000": 150, "150’000": 150, "15'000,5": 15.0005, "150 000": "not_a_number"}),
    ],
)
def test_marks_between_thousands_must_be_declared(centre, harmonised, thousands, texts):
    source = f'unit: /mm3, thousands: "{thousands}"'
    found = read(centre, harmonised, texts, "platelets_10e9_per_l", source, decimal=",")
    assert dict(zip(texts, found, strict=True)) == texts


@pytest.mark.parametrize(
    ("unit", "texts"),
    [
        ("%", {"5%": 5, "5 %": 5, "<5 %": (5, "<"), "5%%": "not_a_number", "%5": "not_a_number", "150.0%": 150}),
        ("IU/dL", {"5%": "not_a_number", "5": 5}),
        (
            "IU/mL",
            {
                "0.05%": "not_a_number",
                "0.57": 57,  # in binary arithmetic 56.99999999999999
                "0.000000001": 1e-7,  # not rounded to 0
            },
        ),
    ],
)
def test_a_percent_sign_belongs_to_the_unit_per_cent(centre, harmonised, unit, texts):
    found = read(centre, harmonised, texts, "adamts13_percent", f'unit: "{unit}"')
    assert dict(zip(texts, found, strict=True)) == texts


#: "<= 5" is not below 5, but below every threshold above 5.
AT_MOST_5 = (5, "<=")


@pytest.mark.parametrize(
    ("width", "texts"),
    [
        (
            "as_sent",
            {
                "< 5": (5, "<"),
                "> 5": (5, ">"),
                ">=5": (5, ">="),
                "≥ 5": (5, ">="),
                ">=0": (0, ">="),
                "<=5": AT_MOST_5,
                "≤5": AT_MOST_5,
                "≦ 5": AT_MOST_5,
                "=<5": AT_MOST_5,
                "<=200": (200, "<="),
                "<=201": "out_of_range",
                "\uff1c5": "not_a_number",
                "<5%<": "not_a_number",
                "<>5": "not_a_number",
                "<<5": "not_a_number",
                "5<": "not_a_number",
                "< =5": "not_a_number",
                "<": "not_a_number",
            },
        ),
        ("narrow", {"\uff1c5": (5, "<"), "\uff1c\uff1d\uff15": AT_MOST_5, "\uff15\uff05": 5}),
    ],
)
def test_a_comparator_never_decides_more_than_it_says(centre, harmonised, width, texts):
    found = read(centre, harmonised, texts, "adamts13_percent", 'unit: "%"', width=width)
    assert dict(zip(texts, found, strict=True)) == texts


def test_words_of_a_second_column_may_mean_any_comparator(centre, harmonised):
    codes = '{LE: "<=", GE: ">=", LT: "<", EQ: ""}'
    source = f'unit: "%", comparator: {{column: other, codes: {codes}}}'
    cells = [("5", "LE"), ("5", "GE"), ("5", "LT"), ("5", "EQ"), ("<=5", "LE"), ("<5", "LE")]
    expected = [AT_MOST_5, (5, ">="), (5, "<"), 5, AT_MOST_5, "comparator_contradiction"]
    assert read(centre, harmonised, cells, "adamts13_percent", source) == expected


@pytest.mark.parametrize(
    ("decimal", "texts"),
    [
        (
            ".",
            {
                "0": (5, "<"),
                "0.0": (5, "<"),
                "0E0": (5, "<"),
                "0.1": 0.1,
                "<0": (0, "<"),
                "-99": None,
                "-99.0": None,
                "-9.9e1": None,
                "-98": "out_of_range",
                "n.d.": None,
                "N.D.": "not_a_number",
            },
        ),
        (",", {"0,00": (5, "<"), "-99,0": None, "-99": None}),
    ],
)
def test_a_code_is_compared_as_the_number_that_it_is(centre, harmonised, decimal, texts):
    source = 'unit: "%", stands_for: {"0": "<5"}, missing: ["-99", n.d.]'
    found = read(centre, harmonised, texts, "adamts13_percent", source, decimal)
    assert dict(zip(texts, found, strict=True)) == texts


@pytest.mark.parametrize(
    ("field", "source", "said"),
    [
        ("platelets_10e9_per_l", 'unit: /mm3, thousands: "."', "which is the decimal mark too"),
        ("adamts13_percent", 'unit: "%", stands_for: {"0": low}', "found 'low'; expected a number such as <5"),
        ("adamts13_percent", 'unit: "%", comparator: {column: other, codes: {a: "~"}}', "expected '', '<', '>'"),
        ("ldh_x_uln", 'unit: U/L, uln: {constant: "two hundred"}', "a number from 50 to 1000 U/L, with '.'"),
        ("ldh_x_uln", 'unit: U/L, uln: {constant: "49"}', "found '49'; expected a number from 50 to 1000 U/L"),
        ("ldh_x_uln", 'unit: U/L, uln: {constant: "<250"}', "found '<250'"),
        ("ldh_x_uln", 'unit: ukat/L, uln: {constant: "250"}', "from 0.833333 to 16.6667 ukat/L"),
        ("ldh_x_uln", "unit: U/L", "needs `uln`"),
        ("ldh_x_uln", "unit: U/L, uln: {}", "needs `uln`"),
    ],
)
def test_a_spec_of_numbers_that_cannot_be_meant_is_refused(centre, field, source, said):
    centre.spec(LABS.format(field=field, source=source, decimal=".", width="as_sent"))
    with pytest.raises(CentreRefused) as refusal:
        load_spec(centre.folder / "centre.yml")
    assert said in str(refusal.value)


@pytest.mark.parametrize("limit", ["50", "1000"])
def test_a_limit_within_the_plausible_range_is_accepted(centre, harmonised, limit):
    source = f'unit: U/L, uln: {{constant: "{limit}"}}'
    assert read(centre, harmonised, ["500"], "ldh_x_uln", source) == [500 / float(limit)]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ('volume_ml: {constant: "3000"}', 3000.0),
        ('volume_ml: {constant: "3", unit: L}', 3000.0),
        ('volume_ml: {constant: "3,5", unit: L}', "found '3,5'; expected a number from 0.3 to 12 L"),
        ("volume_ml: {constant: much}", "found 'much'; expected a number from 300 to 12000 mL"),
        ('volume_ml: {constant: "200"}', "found '200'; expected a number from 300 to 12000 mL"),
    ],
)
def test_a_constant_is_a_number_in_the_plausible_range(centre, harmonised, field, expected):
    centre.spec(
        f"""
        pex:
          file: pex.csv
          format: {{type: delimited, encoding: utf-8, delimiter: ";"}}
          key: id
          date_format: "%d/%m/%Y"
          records:
            - {{table: tpe_session, fields: {{session_date: day, {field}}}}}
        """
    )
    centre.write("pex.csv", "id;day\nA;12/01/2020")
    if isinstance(expected, float):
        assert harmonised("tpe_session", "volume_ml") == [expected]
        return
    with pytest.raises(CentreRefused) as refusal:
        load_spec(centre.folder / "centre.yml")
    assert expected in str(refusal.value)


@pytest.mark.parametrize(
    ("more", "texts"),
    [
        ('missing: ["<5"]', {"<5": None, "< 5.0": None, "<5 %": None, "5": 5, "<6": (6, "<"), "<=5": (5, "<=")}),
        ('stands_for: {">100": ">=100"}', {">100": (100, ">="), "> 100.0": (100, ">="), "100": 100, ">99": (99, ">")}),
        ('stands_for: {"0": "<5"}', {"0%": (5, "<"), "0.0 %": (5, "<"), "0": (5, "<"), "0.1 %": 0.1}),
        ('stands_for: {"0 %": "<5"}', {"0%": (5, "<"), "0": (5, "<")}),
        ('missing: ["0"]', {"0 %": None, "0%": None, "0": None, "<0%": (0, "<")}),
    ],
)
def test_a_code_is_a_number_with_its_comparator_and_without_its_percent_sign(centre, harmonised, more, texts):
    found = read(centre, harmonised, texts, "adamts13_percent", f'unit: "%", {more}')
    assert dict(zip(texts, found, strict=True)) == texts


def test_a_percent_sign_is_no_code_of_another_unit(centre, harmonised):
    found = read(centre, harmonised, ["0%", "0"], "adamts13_percent", 'unit: IU/dL, missing: ["0"]')
    assert found == ["not_a_number", None]


def test_a_code_beside_a_column_of_comparators_means_what_it_stands_for(centre, harmonised):
    codes = '{LT: "<", GT: ">", EQ: "", "": ""}'
    source = f'unit: "%", stands_for: {{"0": "<5"}}, comparator: {{column: other, codes: {codes}}}'
    centre.spec(LABS.format(field="adamts13_percent", source=source, decimal=".", width="as_sent"))
    cells = {
        ("0", ""): (5, "<"),
        ("0", "LT"): (5, "<"),
        ("0", "EQ"): (0, None),  # the centre says that this 0 was measured
        ("0", "GT"): "comparator_contradiction",
        ("5", "LT"): (5, "<"),
        ("7", ""): (7, None),
        (">7", "LT"): "comparator_contradiction",
    }
    rows = [f"A;{11 + i}/01/2020;{text};{sign}" for i, (text, sign) in enumerate(cells)]
    centre.write("labs.csv", "\n".join(["id;date;value;other", *rows]))
    found = {row: (value, sign) for row, value, sign in harmonised("lab_result", "source_row", "value", "comparator")}
    found |= dict(harmonised("quarantine", "row_number", "rule"))
    assert [found[row] for row in range(2, len(cells) + 2)] == list(cells.values())


@pytest.mark.parametrize(
    ("forbidden", "unit", "shown"),
    [
        ("", "mmol/L", "8 mmol/L"),
        ("", "", "8"),
        ("forbidden: {name: name}", "ml", "8 ml"),
        ("forbidden: {name: name}", "Maria Huber", "8 (withheld: may identify)"),
    ],
)
def test_a_unit_that_is_not_accepted_is_shown_beside_its_number(centre, harmonised, forbidden, unit, shown):
    source = "unit: {column: other, codes: {G/L: 10^9/L}}"
    spec = LABS.format(field="platelets_10e9_per_l", source=source, decimal=".", width="as_sent")
    centre.spec(spec.replace("  key: id\n", f"  key: id\n  {forbidden}\n"))
    name = ";name" if forbidden else ""
    centre.write("labs.csv", f"id;date;value;other{name}\nA;12/01/2020;8;{unit}{name}\nA;13/01/2020;x;G/L{name}")
    assert harmonised("quarantine", "raw_value", "rule") == [(shown, "unit_not_accepted"), ("x", "not_a_number")]
