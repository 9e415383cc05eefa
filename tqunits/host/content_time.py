"""The time that a served file has in a release: the second of its source, and of that second a
fraction which says what is in the file.

The ETag of a file is made of its time and size (http/conditional.py). Builds that are to be
reproducible give all files one time (SOURCE_DATE_EPOCH, archives, container images), so another
content of the same size would have the ETag of the one before, and browsers would keep that. With
the fraction the ETag changes with the content and with nothing else: a file that a deploy does not
change is not fetched again. Two contents of one size and second have the same fraction by a chance
of one in a thousand million.

The second stays, because Python knows its byte code by it (importlib, `_validate_timestamp_pyc`).
"""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Final

_SECOND: Final = 1_000_000_000  # ns
_CHUNK: Final = 1 << 20


def content_time(modified_ns: int, reader: BinaryIO, size: int) -> int:
    """The time, in nanoseconds since 1970, of a file that was changed then and has the first `size`
    bytes of `reader`. Raises OSError."""
    digest, left = hashlib.blake2b(digest_size=8), size
    reader.seek(0)
    while left and (chunk := reader.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    return modified_ns // _SECOND * _SECOND + int.from_bytes(digest.digest(), "big") % _SECOND
