"""Quotes input in messages: shortened, and on one line."""

_LIMIT = 120


def quoted(value: object) -> str:
    """``value`` as Python writes it, with control characters escaped, truncated."""
    text = repr(value[:_LIMIT] if isinstance(value, (str, list)) else value)
    return text if len(text) <= _LIMIT else f"{text[: _LIMIT - 3]}..."


def shown(value: object, most: int = 100) -> str:
    """``value`` as text of at most ``most`` characters, its control characters escaped."""
    text = value if isinstance(value, str) else repr(value)
    escaped = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text[:most])
    return escaped if len(text) <= most else f"{escaped}..."
