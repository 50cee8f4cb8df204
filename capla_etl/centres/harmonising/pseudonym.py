"""Keyed hashes instead of identities: ``patient_id``, and a linkage value of the birth date; and their key.

HMAC-SHA-256, its first 64 bits as hexadecimal text, computed by DuckDB over whole columns. The key reaches DuckDB as a
variable and never as text of a statement, so no error message or log can quote it.

What does not belong here: what is withheld (grammar.py, harmonise.py) and the scan of free text (free_text.py).
"""

import hashlib
import hmac
import os
import secrets
import sys
from itertools import pairwise
from pathlib import Path

import duckdb

from capla_etl import paths
from capla_etl.centres.harmonising.synthetic import MARK, is_marked

#: Key for the synthetic data of this repository; it is public, and refused for any other data.
DEMONSTRATION_KEY = b"capla_etl demonstration key: synthetic data only"
KEY_FILE_VARIABLE, KEY_VARIABLE = "CAPLA_PATIENT_KEY_FILE", "CAPLA_PATIENT_KEY"
SHORTEST_KEY_BYTES = 16
_GENERATED_BYTES = 32
_BLOCK_BYTES = 64
_NEW_KEY = "(umask 077; openssl rand -hex 32 > FILE)"


class KeyRefused(Exception):
    """The key of the patient identifiers cannot be used; the message says what to do and never quotes the key."""


# ---------------------------------------------------------------- hashes


def use_key(con: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """Give a connection the key that ``keyed_hash_sql`` uses.

    Source:
        RFC 2104: H(K xor opad, H(K xor ipad, message)); a key longer than a block is hashed first.
    """
    padded = (key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
    con.execute("set variable capla_inner_key = ?", [bytes(b ^ 0x36 for b in padded)])
    con.execute("set variable capla_outer_key = ?", [bytes(b ^ 0x5C for b in padded)])


def keyed_hash_sql(message_sql: str) -> str:
    """SQL of the keyed hash of a text (UTF-8), null for null, on a connection prepared by ``use_key``."""
    inner = f"unhex(sha256(getvariable('capla_inner_key') || encode({message_sql})))"
    return f"substr(sha256(getvariable('capla_outer_key') || {inner}), 1, 16)"


def patient_id_sql(centre_id_sql: str, centre_patient_id_sql: str) -> str:
    """SQL of the patient_id, the keyed hash of ``<centre>|<pseudonym>``; null if the pseudonym is null.

    Args:
        centre_id_sql: SQL of the centre's code.
        centre_patient_id_sql: SQL of the centre's pseudonym, trimmed.
    """
    return keyed_hash_sql(f"{centre_id_sql} || '|' || {centre_patient_id_sql}")


def birth_date_linkage_sql(birth_date_sql: str) -> str:
    """SQL of what stands for a birth date: equal for equal dates in all centres, and not reversible without the key."""
    return keyed_hash_sql(f"'birth_date|' || strftime({birth_date_sql}, '%Y-%m-%d')")


def fingerprint(key: bytes) -> str:
    """Tell loads made with the same key from others; the key cannot be derived from it."""
    return hmac.new(key, b"fingerprint of the key", hashlib.sha256).hexdigest()[:16]


# ---------------------------------------------------------------- the key


def key_file() -> Path:
    """The key file of real data: ``CAPLA_PATIENT_KEY_FILE``, else ``patient_id.key`` next to the data folder."""
    declared = os.environ.get(KEY_FILE_VARIABLE)
    return Path(declared).expanduser().resolve() if declared else paths.data_raw().parent / "patient_id.key"


def patient_key() -> bytes:
    """The key of the patient identifiers, from the first of these that exists.

    1. The environment: ``CAPLA_PATIENT_KEY_FILE`` (a file) or ``CAPLA_PATIENT_KEY`` (hexadecimal).
    2. The demonstration key, for a data folder that declares itself synthetic.
    3. ``patient_id.key`` next to the data folder, generated on first use.

    Raises:
        KeyRefused: the key cannot be read, is short, can be guessed or read, or is public and the data are not.
    """
    in_environment, in_file = os.environ.get(KEY_VARIABLE), os.environ.get(KEY_FILE_VARIABLE)
    if in_environment and in_file:
        raise KeyRefused(f"{KEY_VARIABLE} and {KEY_FILE_VARIABLE} are both set; expected one of them. Unset the other.")
    if in_environment:
        key = _from_text(in_environment, KEY_VARIABLE)
    elif in_file:
        key = _from_file(key_file())
    elif is_marked():
        if key_file().exists():
            raise KeyRefused(
                f"{key_file()} is the key of real data, and {paths.data_raw() / MARK} says that the data are "
                "synthetic, whose key is public. Remove the one that is wrong."
            )
        return DEMONSTRATION_KEY
    else:
        if not key_file().exists():
            _generate(key_file())
        key = _from_file(key_file())
    if key == DEMONSTRATION_KEY and not is_marked():
        raise KeyRefused(
            "the demonstration key is public and for synthetic data only. "
            f"Unset {KEY_VARIABLE} or {KEY_FILE_VARIABLE}, and a key is generated; or make one: {_NEW_KEY}."
        )
    return key


def _from_text(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        raise KeyRefused(f"{where} is no key: expected hexadecimal digits only. Make one: {_NEW_KEY}.") from None
    if len(key) < SHORTEST_KEY_BYTES:
        size = f"{len(key)} bytes; expected at least {SHORTEST_KEY_BYTES}"
        raise KeyRefused(f"the key in {where} has {size}. Make one: {_NEW_KEY}.")
    if key != DEMONSTRATION_KEY and (weakness := _weakness(key)):
        raise KeyRefused(
            f"the key in {where} {weakness}, so that others can guess it and with it every patient. Make one of random "
            f"bytes: {_NEW_KEY}. Every patient_id is then another: load all centres into another CAPLA_WAREHOUSE."
        )
    return key


def _weakness(key: bytes) -> str:
    """Why others could guess a key; empty for one that could be random.

    A random key of 16 bytes has fewer than 8 different ones, or looks like text, once in ten million keys at most.
    """
    fewest = min(len(key), _GENERATED_BYTES) // 2
    steps = [(after - before) % 256 for before, after in pairwise(key)]
    if DEMONSTRATION_KEY[:SHORTEST_KEY_BYTES] in key:
        return "holds the public demonstration key"
    if len(set(key)) < fewest or len(set(steps)) < fewest or key in (key + key)[1:-1]:
        return "has few different bytes, repeats itself or counts"
    if key.strip(b"\0").decode("latin-1").isprintable() and key.strip(b"\0").isascii():
        return "is text"
    return ""


def _from_file(path: Path) -> bytes:
    _check_place(path)
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii")
    except FileNotFoundError:
        problem = f"there is no key file {path}. Correct {KEY_FILE_VARIABLE}, or make a key there: {_NEW_KEY}."
        raise KeyRefused(problem) from None
    except UnicodeDecodeError:
        text, mode = "not ASCII", 0
    except OSError as error:
        problem = f"the key file {path} cannot be read ({error.strerror}). Give it to the user who runs the pipeline."
        raise KeyRefused(problem) from None
    if mode & 0o077:
        advice = f"Close it (chmod 600 {path}), and consider whether it was read."
        raise KeyRefused(f"the key file {path} is open to other users of this machine. {advice}")
    return _from_text(text, f"the key file {path}")


def _check_place(path: Path) -> None:
    """Refuse a key under version control or next to what it protects."""
    if paths.warehouse() in path.parents:
        where = "inside the warehouse folder, which others receive"
        raise KeyRefused(f"the key file {path} is {where}. Keep it elsewhere: set {KEY_FILE_VARIABLE}.")
    if paths.ROOT in path.parents or any((parent / ".git").exists() for parent in path.parents):
        advice = f"Keep it elsewhere: make it there with {_NEW_KEY} and set {KEY_FILE_VARIABLE} to it."
        raise KeyRefused(f"the key file {path} is in a folder under version control. {advice}")


def _generate(path: Path) -> None:
    """Write a new key to a file that only its owner may read; keep one that another process wrote meanwhile."""
    _check_place(path)
    if any(paths.centre_loads().glob("*/load.json")):
        raise KeyRefused(
            f"there is no key file {path}, but {paths.centre_loads()} holds loads made with another key: a new key "
            f"would change every patient_id. Put the key back or set {KEY_FILE_VARIABLE} to it; for other data choose "
            "another CAPLA_WAREHOUSE."
        )
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(_GENERATED_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        finally:
            draft.unlink()
    except FileExistsError:
        return
    except OSError as error:
        advice = f"Make one elsewhere with {_NEW_KEY} and set {KEY_FILE_VARIABLE}."
        raise KeyRefused(f"no key can be written to {path} ({error.strerror}). {advice}") from None
    advice = "Keep a copy in a safe place: without it no patient_id can be made again."
    sys.stderr.write(f"A key for patient_id was generated: {path}. {advice}\n")
