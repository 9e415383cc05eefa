"""What tells some files of a configuration from all others: who installs notes it, and who looks
later whether they were edited compares it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def source_digest(contents: Iterable[bytes]) -> str:
    """A digest in hex: of each content by its own digest, so that no byte can move from one to the
    next."""
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()
