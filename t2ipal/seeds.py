"""Seeds derived from what a row is, never from where or when it is computed."""

import hashlib
import json


def derive_seed(*parts: str | int) -> int:
    """Return a seed in [0, 2**63) that depends on the parts and their order alone.

    The same parts give the same seed on every platform and in every process (Python's own `hash` does not),
    so a row gets the same random numbers on 1 worker or 100, with or without failures in between.
    """
    # JSON keeps 1 and "1", and ("ab", "c") and ("a", "bc"), apart.
    text = json.dumps(parts, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
