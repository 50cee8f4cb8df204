"""A centre of two or three patients, made for one test: a spec and its files in a temporary folder."""

import textwrap
from pathlib import Path

from capla_etl.centres.submissions.load import CentreLoad, accept, receive_here
from capla_etl.centres.submissions.status import received_loads

PATIENTS = """
  patients:
    file: patients.csv
    format: {type: delimited, encoding: utf-8, delimiter: ";"}
    key: id
    date_format: "%d/%m/%Y"
    forbidden: {name: name}
    records:
      - table: patient
        fields: {sex: {column: sex, vocabulary: {F: female, M: male}}, birth_date: born, first_tpe_date: tpe,
                 died: {column: dead, filled: "yes", blank: "no"},
                 death_date: {column: dead, partial_date_format: "%m/%Y"}, last_contact_date: seen}
"""
PATIENT_ROWS = """
    id;name;sex;born;tpe;dead;seen
    A;Secret Person;F;01/02/1970;10/01/2020;;01/06/2020
    B;Hidden Person;M;01/02/1980;01/03/2020;20/03/2020;20/03/2020
    """
HEAD = """
centre: {id: XX01, name: Nowhere, country: XX}
lists: {tpe_session: none, drug_course: none, adverse_event: none}
"""


def text(rows: str) -> str:
    """Rows as written in a test, without the indentation."""
    return textwrap.dedent(rows).strip() + "\n"


class TinyCentre:
    """``data_raw/XX01`` with one submission of 2020-12-31."""

    def __init__(self, data_raw: Path):
        self.folder = data_raw / "XX01"
        self.submission = self.folder / "2020-12-31"
        self.submission.mkdir(parents=True)
        self.write("patients.csv", PATIENT_ROWS)

    def spec(self, tables: str = "", head: str = HEAD, patients: str = PATIENTS) -> None:
        """Write centre.yml: the patient table and ``tables`` (YAML, indented by two)."""
        (self.folder / "centre.yml").write_text(
            head.strip()
            + "\ntables:"
            + patients.rstrip()
            + "\n"
            + textwrap.indent(textwrap.dedent(tables).strip("\n"), "  ")
            + "\n",
            encoding="utf-8",
        )

    def write(self, name: str, content: str | bytes, encoding: str = "utf-8") -> None:
        """Write a file of the submission as sent."""
        (self.submission / name).write_bytes(content if isinstance(content, bytes) else text(content).encode(encoding))


def load_centre(centre_id: str) -> CentreLoad:
    """Receive a centre's current submission and accept it, without comparing it with other centres."""
    load = receive_here(centre_id)
    accept(received_loads()[centre_id])
    return load
