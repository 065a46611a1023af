"""Parts of the input in messages: short, and on one line, whatever they hold."""

_LIMIT = 120


def quoted(value: object) -> str:
    """``value`` as Python writes it, its control characters escaped, cut."""
    return cut(repr(value[:_LIMIT] if isinstance(value, (str, list)) else value))


def cut(text: str) -> str:
    """At most 120 characters of a text."""
    return text if len(text) <= _LIMIT else f"{text[: _LIMIT - 3]}..."
