"""What a state of the study was made from: every file that counts on a day, by its content.

Submissions, corrections and answers after the day are left out; specs and codebooks are as they are now.
"""

import hashlib
from datetime import date

from capla_etl import paths
from capla_etl.centres.corrections import answers, corrections
from capla_etl.centres.read import submissions
from capla_etl.centres.status import centre_ids


def inputs_of(day: date) -> dict[str, dict[str, str]]:
    """Centre -> what is read -> SHA-256: files of the submissions up to a day, the spec and the codebook, corrections and answers in force.

    Args:
        day: the last day that counts.
    """
    found = {}
    for centre in centre_ids():
        folder = paths.data_raw() / centre
        sent = submissions(folder, day)
        if not sent:
            continue
        files = sorted(p for p in [*folder.glob("*"), *(p for s in sent for p in s.rglob("*"))] if p.is_file())
        read = {p.relative_to(folder).as_posix(): p.read_bytes() for p in files if p.name not in ("corrections.yml", "answers.yml")}
        in_force = [c for c in corrections(folder) if c.confirmed_on <= day] + answers(folder, day)
        if in_force:
            read["corrections and answers"] = "\n".join(entry.model_dump_json() for entry in in_force).encode()
        found[centre] = {name: hashlib.sha256(content).hexdigest() for name, content in read.items()}
    return found


def last_day() -> date:
    """The latest day of anything that counts: submissions, corrections, answers."""
    folders = [paths.data_raw() / centre for centre in centre_ids()]
    days = [date.fromisoformat(submissions(folder, paths.as_of())[-1].name) for folder in folders]
    days += [c.confirmed_on for folder in folders for c in corrections(folder)]
    days += [a.answered_on for folder in folders for a in answers(folder) if a.answered_on]
    return max(day for day in days if paths.as_of() is None or day <= paths.as_of())
