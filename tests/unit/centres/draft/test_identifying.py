"""Columns that identify people are known by their headers in many languages, and by what fills them."""

import pytest

from capla_etl.centres.draft import draft_centre
from capla_etl.centres.draft.identifying import identifies, identifying_by_content
from capla_etl.centres.draft.profile import column_of
from capla_etl.centres.draft.words import words

IDENTIFYING = {
    "en": "Name; first_name; LastName; Patient's name; name of patient; Mother's maiden name; Initials; "
    "Address line 1; City; Zip; Postcode; Phone (home); mobile_phone; Fax; email_address; GP name; "
    "Treating physician; Next of kin; Insurance no; NHS number; NHS No; SSN; Medicare no; MRN; "
    "Medical Record Number; Hospital No.; Admission ID; Encounter ID; case number; Accession number; barcode; "
    "device_serial_no; Photo; IP address; username; Employer; Licence plate; Passport number; IBAN; "
    "Place of birth; National ID; entered by",
    "de": "Vorname; Nachname; Patientenname; Mädchenname; Geburtsname; PLZ; Wohnort; Ort; Straße; Hausnummer; "
    "Telefonnummer; Handynummer; E-Mail-Adresse; Versichertennummer; KVNR; Fallnummer; Hausarzt; Krankenkasse; SVNR; "
    "AHV-Nr.; Reisepass-Nr; Geburtsort; Ansprechpartner; Arbeitgeber; Kfz-Kennzeichen; Bankverbindung; Labornummer",
    "fr": "Nom; Prénom; Nom du patient; Nom de jeune fille; N° de sécurité sociale; NIR; IPP; Code postal; Ville; "
    "Médecin traitant; Téléphone portable; Courriel; Lieu de naissance; Personne à prévenir; Mutuelle; Adresse",
    "es": "Nombre; Apellidos; Nombre y apellidos; DNI; NIE; Nº de historia clínica; Dirección; Teléfono móvil; Ciudad; "
    "Código postal; Médico de cabecera; Tarjeta sanitaria; Correo electrónico; Lugar de nacimiento",
    "it": "Cognome; Nome e cognome; Codice Fiscale; Indirizzo; Cellulare; Medico curante; Tessera sanitaria; "
    "Luogo di nascita; N. cartella clinica; CAP; Comune di residenza",
    "pt": "Nome completo; Nome da mãe; CPF; Cartão SUS; Nº CNS; RG; Endereço; Bairro; CEP; Telemóvel; Convênio",
    "hu": "Név; Beteg neve; Anyja neve; TAJ szám; Lakcím; Irányítószám; Telefonszám; Háziorvos; Születési hely",
    "nl": "Voornaam; Achternaam; Naam patiënt; BSN; Woonplaats; Straat; Huisnummer; Huisarts; Polisnummer; Emailadres",
    "pl": "Imię i nazwisko; PESEL; Miejsce zamieszkania; Kod pocztowy; Numer telefonu komórkowego",
    "cs": "Jméno; Příjmení; Rodné číslo; Bydliště; PSČ; Pojišťovna",
    "nordic": "Personnummer; Förnamn; CPR-nummer; Fødselsnummer; Etternavn; Adresse; Henkilötunnus; Sukunimi; Osoite",
    "tr": "Adı Soyadı; TC Kimlik No; Telefon; Adres; Doğum yeri",
    "ja": "氏名; 患者氏名; フリガナ; 住所; 郵便番号; 電話番号; 携帯電話; カルテ番号; "
    "保険証番号; 主治医; マイナンバー; 緊急連絡先",
    "zh": "姓名; 患者姓名; 身份证号; 住址; 联系电话; 联系人; 住院号; 主治医生",
    "ko": "이름; 환자명; 주민등록번호; 주소; 전화번호; 주치의",
    "ru": "Фамилия; ФИО; Адрес; Телефон; СНИЛС",
}
HARMLESS = (
    "Pat-ID; N° patient; patient_id; record_id; Patient code; study id; MRN_HASH; sex; "
    "platelets (G/L); date; Datum; Geschlecht; last contact; Letzter Kontakt; visit number; Labor; "
    "hospital days; HGB; red cell count; mobility; drug; test; Unité; Résultat; Date EP; Coma; "
    "CNS involvement; Diagnosis; ICU days; verlegt von; Plasma; Volume (L); NUM; Wert; Lokalisation; "
    "AE_TERM; cause_of_death; sample date; dose; time; discharge; site; photophobia; Kontrolle; "
    "case fatality; 患者番号; 性別; 検査日; 血小板数"
)


def _split(text):
    return [header.strip() for header in text.split(";")]


@pytest.mark.parametrize("language", IDENTIFYING)
def test_words_for_what_identifies_are_known_in_many_languages(language):
    assert [header for header in _split(IDENTIFYING[language]) if not words().identifying(header)] == []


def test_words_of_the_study_are_not_taken_for_identifying_ones():
    assert [header for header in _split(HARMLESS) if words().identifying(header)] == []


def test_a_column_of_the_studys_own_words_identifies_nobody():
    """CNS is a number of the Brazilian health system, and the central nervous system."""
    assert identifies(column_of("CNS", ["yes", "no", "no"] * 5)) is None
    assert identifies(column_of("CNS", [f"70000000000{i:04}" for i in range(15)]))
    assert identifies(column_of("name", ["caplacizumab", "rituximab"] * 9)) is None


PEOPLE = ["Anna Muster", "Bert Beispiel", "Cora van Exempel", "Dan O'Sample", "Eva Muster-Huber", "Zoë Novák"]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (PEOPLE, "name"),
        ([f"{p.split()[-1]}, {p.split()[0]}" for p in PEOPLE], "name"),
        (["山田太郎", "佐藤花子", "鈴木一郎", "高橋 美咲", "田中実"], "name"),
        (["Muster", "Beispiel", "Exempel", "Huber", "Novák"], "name"),
        ([f"a{i}@example.org" for i in range(5)], "e-mail"),
        ([f"+43 1 40400-{i}1234" for i in range(5)], "telephone"),
        ([f"0664 123 45 6{i}" for i in range(5)], "telephone"),
        ([f"AT61 1904 3002 3457 320{i}" for i in range(5)], "IBAN"),
        ([f"123-45-678{i}" for i in range(5)], "personal number"),
        ([f"123.456.789-0{i}" for i in range(5)], "personal number"),
        ([f"RSSMRA80A01H50{i}U" for i in range(5)], "personal number"),
        ([f"1234567{i}Z" for i in range(5)], "personal number"),
        ([f"010170-123{i}" for i in range(5)], "personal number"),
        ([f"192.168.0.{i}" for i in range(5)], "IP address"),
        ([f"SW1A {i}AA" for i in range(5)], "postcode"),
        ([f"471100{i:02}" for i in range(12)], "seven digits"),
    ],
)
def test_what_fills_a_column_of_an_unknown_header_shows_that_it_identifies(cells, said):
    looks = identifying_by_content(column_of("spalte 7", cells))
    assert said in looks and not any(cell in looks for cell in cells)


@pytest.mark.parametrize(
    "cells",
    [
        ["f", "m"] * 5,
        ["iTTP", "TTP", "iTTP", "TTP"] * 4,
        [str(n) for n in (12, 30, 150, 99, 210)],
        ["20000", "150000", "7000", "30000"],
        ["1.5", "2.75", "3.1", "4"],
        ["12.03.2021", "13.03.2021", "14.03.2021", "15.03.2021"],
        [f"P{i:02}" for i in range(9)],
        ["Wien", "Graz"] * 9,
        ["AB", "CD", "EF", "GH", "IJ"],
    ],
)
def test_numbers_dates_codes_and_small_vocabularies_identify_nobody(cells):
    assert identifying_by_content(column_of("spalte 7", cells)) is None


def _table(tmp_path, header, rows):
    (tmp_path / "a.csv").write_text("\n".join(";".join(row) for row in [header, *rows]) + "\n")
    return draft_centre(tmp_path / "a.csv")


def test_a_study_number_is_the_key_although_a_record_number_of_the_hospital_stands_first(tmp_path):
    rows = [[f"47110{i}", f"T-{i:02}", "f", "12", f"2021-03-{10 + i}"] for i in range(9)]
    draft = _table(tmp_path, ["MRN", "Study ID", "sex", "PLT (G/L)", "date"], rows)
    assert draft.tables[0].key == "Study ID" and "MRN" in draft.tables[0].forbidden
    assert "471101" not in draft.centre_yml


def test_where_only_a_record_number_names_the_patients_a_person_decides(tmp_path):
    rows = [[f"47110{i}", "f", "12", f"2021-03-{10 + i}"] for i in range(9)]
    draft = _table(tmp_path, ["MRN", "sex", "PLT (G/L)", "date"], rows)
    assert "key: TO_DECIDE   # only 'MRN' names the patients, which is identifying" in draft.centre_yml


def test_no_cell_of_an_identifying_column_is_in_a_draft_or_its_summary(tmp_path):
    rows = [[f"T-{i:02}", p, "Linz", "Dr. Gruber", f"12{i}"] for i, p in enumerate(PEOPLE)]
    draft = _table(tmp_path, ["Study ID", "Patient", "Stadt", "Hausarzt", "PLT (G/L)"], rows)
    said = draft.centre_yml + "\n".join(draft.summary) + str(draft.as_json())
    assert set(draft.tables[0].forbidden) == {"Patient", "Stadt", "Hausarzt"}
    assert [cell for cell in (*PEOPLE, "Linz", "Gruber") if cell in said] == []
