"""What identifies a person by its form, in whatever text it stands; and what does not."""

import pytest
from planted import PERSONAL

from capla_etl.centres.reading.identifiers import is_personal_number, kinds_in


@pytest.mark.parametrize("text", [text for _, text in PERSONAL], ids=[country for country, _ in PERSONAL])
@pytest.mark.parametrize("sentence", ["{}", "seen on 10/01/2020, {}; platelets 12", "({})", "a\n{}.\nb"])
def test_a_personal_number_is_found_in_the_groups_of_its_country(text, sentence):
    assert "personal number" in kinds_in(sentence.format(text))


@pytest.mark.parametrize(
    "text",
    ["MRN 48213", "MRN: 0048213", "Hospital number 123456", "Fallnummer 471123", "Patienten-Nr.: 123 456", "NHC 123456"]
    + ["passport no. C01X00T47", "IPP n° 801234", "cartella clinica 12345/2019", "prontuário 123456", "DNI 12.345.678"]
    + ["Törzsszám: 12345", "driver's license D1234567", "患者番号 123456", "паспорт 45 12 345678"],
)
def test_a_number_without_a_check_digit_is_found_by_the_word_before_it(text):
    assert "personal number" in kinds_in(text)


@pytest.mark.parametrize(
    "text",
    ["+81 3-1234-5678", "0081 3 1234 5678", "06 20 123 4567", "020 7946 0958", "07700 900123", "(11) 91234-5678"]
    + [
        "347 123 4567",
        "8 (912) 345-67-89",
        "tel 12 34 56 78",
        "Тел.: 12-34-56",
        "５５５ 電話 03-1234-5678",
        "410.555.0123",
    ]
    + ["+1-410-555-0123", "0664/123 45 67", "03 9123 4567", "98765 43210"],
)
def test_a_telephone_number_is_found(text):
    assert "telephone number" in kinds_in(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jeanne@example.org", "e-mail address"),
        ("jeanne (at) example.org", "e-mail address"),
        ("Mme Dupont", "title and name"),
        ("Frau Dr. Müller", "title and name"),
        ("Sig.ra Rossi", "title and name"),
        ("Sr. de la Cruz", "title and name"),
        ("Mr Smith", "title and name"),
        ("田中さん", "title and name"),
        ("Kovács Jánosné", "title and name"),
        ("12345678", "long number"),
    ],
)
def test_other_identifiers_are_found(text, kind):
    assert kind in kinds_in(text)


@pytest.mark.parametrize(
    "text",
    [
        # counts and other results
        "plaquettes 120 130 145",
        "PLT 12 30 60 150 210",
        "plaquettes 14 - 366 - 425 G/L",
        "platelets 123 456 788",  # the digits of a Hungarian number, as three counts
        "troponin 0.5 0.7 1.2 2.1 3.4",
        "ADAMTS13 0 0 5 12 30 45 60",
        "LDH 1240 980 760 430 250",
        "150 000/mm3 on day 5, 1 200 000 on day 9",
        "12000000 copies/mL",
        "Thrombozyten 12.000, 30.000, 150.000",
        "BP 120/80, 130/85, 110/70; HR 88",
        "45 F, 60 kg, 170 cm, BSA 1.7",
        # dates
        "EP du 10/01/2020 au 14/01/2020, puis le 16.01.20",
        "2018.12.26. és 2018. 12. 27. plazmacsere",
        "exchange 2020-01-10, 2020-01-11 and 2020-01-12",
        "12:30 08:15 2020",
        # samples, doses, volumes, codes
        "échantillon 12345",
        "sample no. 123456",
        "S-2020-0123",
        "rituximab 375 mg/m2 x4 (10/01, 17/01, 24/01, 31/01)",
        "volume 3000 mL 2900 mL 3100 mL",
        "20 mg 10 mg 5 mg 2.5 mg",
        "ICD D69.3, M31.1",
        # words that are also abbreviations of numbers, and titles without a name
        "sin 12000 plaquetas",
        "sus 15000 plaquetas",
        "Dr consulted; Frau, 45 Jahre",
        "Pan-scan without finding",
        "Pan CT: keine Blutung",
        "nie 12000 Thrombozyten",
        "",
    ],
)
def test_results_dates_samples_and_doses_identify_nobody(text):
    assert kinds_in(text) == set()


def test_a_check_digit_that_is_wrong_makes_three_groups_no_number():
    assert "personal number" in kinds_in("123 456 788")
    assert {n for n in range(10) if "personal number" in kinds_in(f"111 111 11{n}")} != set(range(10))


def test_a_whole_text_is_a_personal_number_or_not():
    assert is_personal_number("123 456 788") and is_personal_number("RSSMRA85T10A562S")
    assert not is_personal_number("TAJ 123 456 788") and not is_personal_number("12") and not is_personal_number("")


@pytest.mark.parametrize("text", ["１２３ ４５６ ７８８", "123\u2011456\u2011788", "123\u00a0456\u00a0788"])
def test_wide_digits_and_other_hyphens_and_blanks_hide_nothing(text):
    assert "personal number" in kinds_in(text)
