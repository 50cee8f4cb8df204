"""``patient_id``: a keyed hash of centre and the centre's own pseudonym, stable across resubmissions.

HMAC-SHA-256, its first 64 bits as hexadecimal text; computed by DuckDB over whole columns. The key that ships is for the synthetic data only.
"""

#: Key for the synthetic data of this repository; it protects nobody and must never be used for real patients.
DEMONSTRATION_KEY = b"capla_etl demonstration key: synthetic data only"
_BLOCK_BYTES = 64


def patient_id_sql(centre_id_sql: str, centre_patient_id_sql: str, key: bytes = DEMONSTRATION_KEY) -> str:
    """SQL expression of the patient_id; null where the pseudonym is null.

    Args:
        centre_id_sql: SQL expression of the centre's code.
        centre_patient_id_sql: SQL expression of the centre's pseudonym, blanks around it removed.
        key: secret of at most 64 bytes.

    Source:
        RFC 2104: H(K xor opad, H(K xor ipad, message)); the message is ``<centre>|<pseudonym>`` in UTF-8.
    """
    if len(key) > _BLOCK_BYTES:
        raise ValueError(f"the key has {len(key)} bytes; expected at most {_BLOCK_BYTES}")
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    inner, outer = (bytes(b ^ pad for b in padded).hex() for pad in (0x36, 0x5C))
    message = f"encode({centre_id_sql} || '|' || {centre_patient_id_sql})"
    return f"substr(sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || {message}))), 1, 16)"
