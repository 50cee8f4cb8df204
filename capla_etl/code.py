"""Which code made a result: a digest of everything that is run, so that a release can name it without git."""

import hashlib

from capla_etl import paths

#: What the numbers depend on: code, definitions, expectations, and the versions of every dependency.
_RUN = ["capla_etl", "dbt_project/models", "dbt_project/macros", "dbt_project/dbt_project.yml", "dbt_project/profiles.yml", "expectations", "requirements.lock"]
_KINDS = {".py", ".sql", ".yml", ".lock", ".html", ".css", ".js", ".md"}


def code_digest() -> str:
    """SHA-256 over the names and contents of the files that a run uses."""
    digest = hashlib.sha256()
    for name in _RUN:
        root = paths.ROOT / name
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in _KINDS)
        for path in files:
            digest.update(path.relative_to(paths.ROOT).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
