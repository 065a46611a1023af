"""Shares, as people write them."""


def parse_share(text: str) -> float:
    """The share that ``5%`` or ``0.05`` says, from 0 to 1; raises ``ValueError`` where it is none."""
    share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if 0 <= share <= 1:
        return share
    raise ValueError(f"{text} is no share")
