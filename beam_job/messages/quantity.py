"""Numbers of things, for people."""


def quantity(number: int, noun: str) -> str:
    """Such as ``1 image`` and ``12,000 images``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
