"""Text as SQL: literals, identifiers and lists, for the statements that are built from a spec."""


def quote(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def texts(words) -> str:
    """Words as an SQL list of literals."""
    return "(" + ", ".join(quote(w) for w in words) + ")"
