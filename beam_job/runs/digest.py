"""Short digests of texts: to tell many texts apart in little memory, and to sample them repeatably."""

import hashlib


def digest64(text: str) -> int:
    """A number from 0 to 2**64 - 1, evenly spread, and the same in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
