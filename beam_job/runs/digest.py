"""Short digests of texts, for telling many texts apart in little memory, and for reproducible samples."""

import hashlib


def digest64(text: str) -> int:
    """A number from 0 to 2**64 - 1, uniformly distributed, and the same in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
