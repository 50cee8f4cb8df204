"""Recognise what identifies a person by its form alone: personal and telephone numbers, e-mail addresses, links, names.

``python-stdnum`` knows the check digits of personal numbers, ``phonenumbers`` the telephone numbers of each country. A
number counts in the groups in which people write it (``123 456 788``), unless it is one of a list of measurements. A
number without a check digit counts where a word names it ("MRN 48213"), or where its shape is that of nothing else. In
doubt a text identifies.

What does not belong here: values that a submission itself declares as identifying (free_text.py), and headers (draft/).
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib import import_module

#: Module of stdnum -> how people group the number; ``.own`` modules are below. One group: unbroken.
_GROUPED = {
    "ar.cuit": ("11", "2 8 1"),
    "at.vnr": ("10", "4 6"),
    "au.tfn": ("9", "3 3 3"),
    "be.nn": ("11", "2 2 2 3 2", "6 3 2"),
    "be.bis": ("11", "2 2 2 3 2", "6 3 2"),
    "bg.egn": ("10",),
    "br.cpf": ("11", "3 3 3 2", "9 2"),
    "ca.sin": ("9", "3 3 3"),
    "ca.bc_phn": ("10", "4 3 3"),
    "ch.ssn": ("13", "3 4 4 2"),
    "cl.rut": ("8", "9", "7 1", "8 1", "1 3 3 1", "2 3 3 1"),
    "cn.ric": ("18", "6 8 4"),
    "co.nit": ("10", "9 1", "3 3 3 1"),
    "cu.ni": ("11",),
    "cz.rc": ("9", "10", "6 3", "6 4"),
    "de.idnr": ("11", "2 3 3 3"),
    "dk.cpr": ("10", "6 4"),
    "do.cedula": ("11", "3 7 1"),
    "ec.ci": ("10", "9 1"),
    "ee.ik": ("11",),
    "es.dni": ("9", "8 1", "2 3 4", "2 3 3 1"),
    "es.nie": ("9", "8 1", "1 7 1", "1 8"),
    "fi.hetu": ("11", "6 4"),
    "fr.nir": ("15", "13 2", "1 2 2 2 3 3 2"),
    "fr.nif": ("13", "2 2 3 3 3"),
    "gb.nhs": ("10", "3 3 4"),
    "gr.amka": ("11", "6 5"),
    "hr.oib": ("11",),
    "id.nik": ("16",),
    "ie.pps": ("8", "9", "7 1", "7 2"),
    "il.idnr": ("9",),
    "in_.aadhaar": ("12", "4 4 4"),
    "in_.pan": ("10",),
    "in_.epic": ("10",),
    "in_.vid": ("16", "4 4 4 4"),
    "is_.kennitala": ("10", "6 4"),
    "it.codicefiscale": ("16", "3 3 5 5", "6 5 5", "3 3 2 1 2 4 1", "6 2 1 2 4 1"),
    "jp.in_": ("12", "4 4 4"),
    "kr.rrn": ("13", "6 7"),
    "lt.asmens": ("11",),
    "lv.pvn": ("11", "6 5"),
    "md.idno": ("13",),
    "mx.curp": ("18",),
    "mx.rfc": ("13", "4 6 3"),
    "my.nric": ("12", "6 2 4"),
    "nl.bsn": ("9", "3 3 3", "4 2 3"),
    "no.fodselsnummer": ("11", "6 5"),
    "nz.ird": ("9", "3 3 3"),
    "pe.cui": ("9", "8 1"),
    "pk.cnic": ("13", "5 7 1"),
    "pl.pesel": ("11",),
    "pl.nip": ("10", "3 3 2 2", "3 2 2 3"),
    "pt.cc": ("12", "8 1 3", "8 1 2 1"),
    "pt.nif": ("9", "3 3 3"),
    "ro.cnp": ("13",),
    "ru.inn": ("12",),
    "se.personnummer": ("10", "12", "6 4", "8 4"),
    "si.emso": ("13",),
    "th.pin": ("13", "1 4 5 2 1"),
    "tr.tckimlik": ("11",),
    "ua.rntrc": ("10",),
    "us.ssn": ("3 2 4",),
    "us.itin": ("9", "3 2 4"),
    "us.atin": ("9", "3 2 4"),
    "ve.rif": ("10", "1 8 1"),
    "za.idnr": ("13", "6 4 3", "6 4 2 1"),
    "own.taj": ("9", "3 3 3"),
    "own.kvnr": ("10", "1 9", "4 3 3"),
    "own.nino": ("9", "2 2 2 2 1", "2 6 1"),
    "own.snils": ("11", "3 3 3 2"),
    "own.cns": ("15", "3 4 4 4"),
}


def _weighted(digits: str, weights: list[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _taj(number: str) -> bool:
    """Hungary, social insurance: 9 digits (act XX of 1996)."""
    return bool(re.fullmatch(r"\d{9}", number)) and _weighted(number[:8], [3, 7] * 4) % 10 == int(number[8])


def _kvnr(number: str) -> bool:
    """Germany, health insurance: a letter and 9 digits (GKV-Spitzenverband, 20 % of the digits' sums by Luhn)."""
    if not re.fullmatch(r"[A-Z]\d{9}", number):
        return False
    digits = f"{ord(number[0]) - 64:02}{number[1:9]}"
    sums = (int(digit) * (1 + place % 2) for place, digit in enumerate(digits))
    return sum(value // 10 + value % 10 for value in sums) % 10 == int(number[9])


def _nino(number: str) -> bool:
    """United Kingdom, national insurance: no check digit, but letters that are not used (HMRC, NIM39110)."""
    prefix = r"(?:QQ|(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z])"  # QQ: in examples
    return bool(re.fullmatch(prefix + r"\d{6}[A-D]", number))


def _snils(number: str) -> bool:
    """Russia, pension insurance: 9 digits and their weighted sum modulo 101."""
    if not re.fullmatch(r"\d{11}", number):
        return False
    return _weighted(number[:9], list(range(9, 0, -1))) % 101 % 100 == int(number[9:])


def _cns(number: str) -> bool:
    """Brazil, national health card: 15 digits of weights 15 to 1 (DATASUS)."""
    return bool(re.fullmatch(r"[12789]\d{14}", number)) and _weighted(number, list(range(15, 0, -1))) % 11 == 0


_OWN = {"taj": _taj, "kvnr": _kvnr, "nino": _nino, "snils": _snils, "cns": _cns}


@cache
def _validators() -> dict[str, list[Callable[[str], bool]]]:
    """Grouping -> the checks of the numbers that are written so."""
    found: dict[str, list[Callable[[str], bool]]] = {}
    for name, groupings in _GROUPED.items():
        place, own = name.split(".")
        check = _OWN[own] if place == "own" else import_module(f"stdnum.{name}").is_valid
        for grouping in groupings:
            found.setdefault(grouping, []).append(check)
    return found


@lru_cache(maxsize=10_000)
def _is_personal(grouping: str, number: str) -> bool:
    """Whether a number in upper case is one written in these groups; its signs count in few (Finland)."""
    joined = re.sub("[-./ ]", "", number)
    return any(check(joined) or check(number) for check in _validators()[grouping])


#: Words before a number that name it as that of a person or record: any case, without accents.
_NAMING = (
    r"ssn|social (?:security|insurance)|nino|nhs|mrn|medicare|medicaid|ohip|ramq|health (?:card|insurance)|member id"
    r"|hosp(?:ital)?\.? (?:no|nr|number|id)|(?:medical )?record (?:no|nr|number|id)|chart (?:no|number)|passports?"
    r"|national (?:id|insurance)|identity card|id card|driv(?:er'?s|ing) licen[cs]e|policy (?:no|number)"
    r"|account (?:no|number)|insurance (?:no|number)|patient (?:id|no|number)|personal (?:id|no|number|code)"
    r"|\w*versicher(?:ung|ten)s?\w*|sv-?nr|svnr|kvnr|\w*ausweis\w*|reisepass\w*|fall-?(?:nr|nummer)|akten\w*"
    r"|aufnahme-?(?:nr|nummer)|patienten-?(?:nr|nummer|id)|steuer-?id\w*|fuhrerschein\w*|ahv\w*"
    r"|ipp|insee|secu|securite sociale|numero de dossier|dossier (?:no?|nr|numero|medical)|passeport|carte vitale"
    r"|carte d'identite|matricule|permis de conduire"
    r"|dni|nif|nss|nuhsa|nhc|seguridad social|historia(?: clinica)?|pasaporte|cedula|curp|tarjeta sanitaria"
    r"|codice fiscale|tessera(?: sanitaria)?|cartella(?: clinica)?|nosologico|passaporto|carta d'identita"
    r"|cpf|cns|cartao (?:sus|nacional de saude)|prontuario|passaporte|utente|beneficiario"
    r"|taj(?:-?szam\w*)?|szemelyi\w*|torzsszam\w*|utlevel\w*|naploszam\w*|bsn|burgerservicenummer|cpr|personnummer"
    r"|fodselsnummer|hetu|henkilotunnus|rodne cislo|pesel|oib|jmbg|emso|egn|cnp|amka|kimlik|aadhaar|nric|cnic"
    r"|my number|マイナンバー|患者番号|保険者?番号|身份证\w*|病历号|주민등록번호|снилс|инн|полис|паспорт|αμκα|ת\.?ז"
)
#: Abbreviations that are ordinary words in small letters ("sin", "sus").
_NAMING_ABBREVIATED = r"SIN|NI|NIE|NIR|RUT|CHI|ID|PID|CF|RC|RG|SUS|PAN|IC|NIP|CIP|KV|SV|TC|BI|CC"
_NUMBER_WORD = r"(?:\W{0,3}(?:no?|nr|num|number|numero|nummer|id|szam\w*|code|is|est|ist|e|es)\b)?[^\w\n]{0,4}"
_LONG_ENOUGH = r"[a-z]{0,3}[-. ]?[0-9](?:[ ./-]?[0-9a-z]){4,}"
_NAMED = re.compile(rf"(?<!\w)(?:{_NAMING}){_NUMBER_WORD}(?P<number>{_LONG_ENOUGH})", re.IGNORECASE)
_NAMED_ABBREVIATED = re.compile(
    rf"(?<!\w)(?:{_NAMING_ABBREVIATED})(?-i:(?i:{_NUMBER_WORD}))(?P<number>(?i:{_LONG_ENOUGH}))"
)
#: Before or after groups of digits with blanks between them, this says that they are results.
_MEASURED = (
    r"plaq\w*|plt|plat\w*|plaket\w*|trombo\w*|thrombo\w*|vérlemez\w*|ldh|hb|hgb|h[ae]moglob\w*|leuko\w*|wbc|crea?t\w*"
    r"|krea\w*|count\w*|troponin\w*|adamts\w*|bilirub\w*|ferritin\w*|results?|werte?|valeurs?|valores|valori|ertek\w*"
)
_MEASURED_BEFORE = re.compile(rf"(?<!\w)(?:{_MEASURED})\W{{0,3}}(?:\w+\W{{1,3}}){{0,2}}$", re.IGNORECASE)
_UNIT = (
    r"\s?(?:g|u|iu|ui|ie|mg|ml|µg|ug|ng|mmol|µmol|umol|nmol|kg|cells?|copies|/|x\s?10|10\^|%|g/l|/l|/µl|/mm3|mm3|per)"
)
_UNIT_AFTER = re.compile(rf"^{_UNIT}(?![a-z])", re.IGNORECASE)

_TOKEN = re.compile(r"[0-9A-Za-z]+")
_MOST_GROUPS = max(grouping.count(" ") + 1 for grouping in _GROUPED.values() for grouping in grouping)
_SEPARATOR = re.compile(r" ?[-./] ?| ")
_PART = r"(?:0?[1-9]|[12][0-9]|3[01])"
_DAY = rf"{_PART}[./-] ?{_PART}[./-] ?(?:[0-9]{{4}}|[0-9]{{2}})|[0-9]{{4}}[./-] ?{_PART}[./-] ?{_PART}"
_DATES = re.compile(rf"(?<![0-9./-])(?:{_DAY})(?![0-9]|[./-][0-9])[.]?")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\uff0d", "-"))

#: Countries whose telephone numbers have no 0 or + in front and groups of their own. Those of eight digits in pairs
#: (Denmark, Norway) count where a word names them.
_NATIONAL = ("US", "BR", "ES", "IT", "PT", "MX", "PL", "CZ", "GR", "RU", "IN")
_TELEPHONE_WORD = re.compile(
    r"(?<!\w)(?:tel|telephone|tele?[fp]h?on[a-z]*|phone|mobil[a-z]*|portable|handy|cell|celular|cellulare|movil|fax"
    r"|whatsapp|gsm|puhelin|τηλ\w*|тел\w*|電話|电话|전화)(?!\w)\W{0,5}(?:\w{1,10}\W{1,3}){0,2}\W{0,3}[0-9]{2}",
    re.IGNORECASE,
)
_INTERNATIONAL = re.compile(r"(?:\+|(?<![\w.,])00)\s?[1-9][0-9]{0,2}(?:[ ./()-]*[0-9]){6,13}")
_WITH_PREFIX = re.compile(r"(?<![\w.,/-])\(?0[0-9](?:[ ./()-]{0,2}[0-9]){7,12}")
_LONG = re.compile(r"[0-9]{7,}")
_E_MAIL = re.compile(
    r"\S@\S|\S\s?[\[(](?:at|@)[\])]\s?\S+\s?[\[(.](?:dot|punkt|point)?[\])]?\s?[a-z]{2,}", re.IGNORECASE
)
_LINK = re.compile(r"\b[a-z]{3,6}://|\bwww\.|\bmailto:", re.IGNORECASE)
_FORMULA = re.compile(r"^\s*([=@]|[-+]\s*[a-z]+\()", re.IGNORECASE)
_TITLE = (
    r"Mr|Mrs|Ms|Miss|Mme|Mlle|Mademoiselle|Madame|Monsieur|Pr|Prof|Professor|Herrn?|Frau|Dr|Dra|Dott|Dott\.ssa|Sr|Sra"
    r"|Srta|Señora?|Senhora?|Sig|Sig\.ra|Signora?|Don|Doña|Dona|Doktor|Doctor|Pan|Pani|Fru|Hr|Fr|Mevr|Dhr"
)
_TITLED = re.compile(
    rf"(?<!\w)(?:(?:{_TITLE})\.?|M\.) ?(?:(?:[Dd]r|[Pp]rof|[Mm]ed)\.? ?)*(?:(?:van|von|de|da|di|del|la|le|el) )*"
    r"[A-ZÀ-ÖØ-ÞĀ-ſΑ-ΩА-Я](?:[a-zß-ÿ]|[^\W\d_]{2})"
)
_TITLED_AFTER = re.compile(r"[^\W\d_](?:さん|様|先生|氏)|[^\W\d_]{2}(?:님|씨)(?!\w)|(?<!\w)[A-ZÁÉÍÓÖŐÚÜŰ]\w+né(?!\w)")


def kinds_in(text: str) -> set[str]:
    """Kinds of identifiers that the form of a text shows; empty for none.

    Args:
        text: as sent, in any script and Unicode form.
    """
    wide = unicodedata.normalize("NFKC", text).translate(_DASHES)
    plain = "".join(c for c in unicodedata.normalize("NFKD", wide) if not unicodedata.combining(c))
    undated = _DATES.sub(" # ", plain)
    found = {
        "e-mail address": _E_MAIL.search(plain),
        "link": _LINK.search(plain),
        "formula": _FORMULA.search(plain),
        "title and name": _TITLED.search(wide) or _TITLED_AFTER.search(wide),
    }
    if any(character.isdigit() for character in undated):
        found["personal number"] = _has_personal_number(undated)
        found["telephone number"] = _has_telephone_number(undated)
        found["long number"] = any(not _UNIT_AFTER.match(undated[m.end() :]) for m in _LONG.finditer(undated))
    return {kind for kind, is_there in found.items() if is_there}


def is_personal_number(text: str) -> bool:
    """Whether a whole text is a personal number of some country, by its groups and check digits."""
    tokens = _TOKEN.findall(text)
    grouping = " ".join(str(len(token)) for token in tokens)
    alone = re.sub(r"[-./ ]", "", text) == "".join(tokens)
    return alone and grouping in _validators() and _is_personal(grouping, text.strip().upper())


def _has_personal_number(text: str) -> bool:
    for named in (*_NAMED.finditer(text), *_NAMED_ABBREVIATED.finditer(text)):
        if sum(map(str.isdigit, named["number"])) >= 5:
            return True
    return any(True for _ in _personal_numbers(text)) or _has_iban(text)


def _personal_numbers(text: str) -> Iterator[str]:
    """Groups of digits and letters that are a personal number, and not part of a longer row of numbers."""
    tokens = list(_TOKEN.finditer(text))
    between = [text[a.end() : b.start()] for a, b in zip(tokens, tokens[1:], strict=False)]
    joined = [bool(_SEPARATOR.fullmatch(gap)) for gap in between]
    for first in range(len(tokens)):
        for last in range(first, min(first + _MOST_GROUPS, len(tokens))):
            if last > first and not joined[last - 1]:
                break
            parts = [token.group() for token in tokens[first : last + 1]]
            grouping = " ".join(str(len(part)) for part in parts)
            number = text[tokens[first].start() : tokens[last].end()].upper()
            if grouping not in _validators() or not any(map(str.isdigit, number)) or not _is_personal(grouping, number):
                continue
            gaps = between[first:last]
            if not (_is_own(tokens, between, first, last, gaps) and _is_no_result(text, tokens, first, last, gaps)):
                continue
            yield number


#: Signs between the groups of a number that are also those between results.
_LIST = {" ", "/", " / ", " - "}


def _is_own(tokens: list, between: list[str], first: int, last: int, gaps: list[str]) -> bool:
    """Whether groups stand alone: no digits are joined to them by a sign, or as in a list where they could be one."""
    of_list = {", ", *gaps} if gaps and _LIST.issuperset(gaps) else set()

    def joins(gap: str, token) -> bool:
        return token.group()[0].isdigit() and (gap in of_list or bool(re.fullmatch(r"[-./,]", gap)))

    before = first > 0 and joins(between[first - 1], tokens[first - 1])
    after = last + 1 < len(tokens) and joins(between[last], tokens[last + 1])
    return not before and not after


def _is_no_result(text: str, tokens: list, first: int, last: int, gaps: list[str]) -> bool:
    """Whether nothing says that groups, unbroken or as in a list, are results; a unit may be the last of them."""
    if not (_LIST.issuperset(gaps) and tokens[first].group().isdigit()):
        return True
    before, after = text[: tokens[first].start()], text[tokens[last].end() :]
    return not (_MEASURED_BEFORE.search(before) or _UNIT_AFTER.match(after))


_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?(?![0-9A-Za-z])")


def _has_iban(text: str) -> bool:
    from stdnum import iban

    return any(iban.is_valid(found.group()) for found in _IBAN.finditer(text.upper()))


def _has_telephone_number(text: str) -> bool:
    if _TELEPHONE_WORD.search(text) or _INTERNATIONAL.search(text):
        return True
    if any(not _MEASURED_BEFORE.search(text[: match.start()]) for match in _WITH_PREFIX.finditer(text)):
        return True
    if not re.search(r"(?:[0-9][ ./()-]{0,3}){8}", text):
        return False
    from phonenumbers import Leniency, PhoneNumberMatcher

    exact = Leniency.EXACT_GROUPING
    return any(_is_alone(text, match) for region in _NATIONAL for match in PhoneNumberMatcher(text, region, exact))


def _is_alone(text: str, match) -> bool:
    """Whether a telephone number is not part of a row of results."""
    before, after = text[: match.start], text[match.end :]
    is_row = re.search(r"[0-9][ ,./-]{1,3}$", before) or re.match(r"[ ,./-]{1,3}[0-9]", after)
    return not (is_row or _MEASURED_BEFORE.search(before) or _UNIT_AFTER.match(after))
