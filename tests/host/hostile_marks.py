"""Files `serving` as instances have them, and as a hostile worker may make them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

RELEASE = "3f9c02d1a7be"
MARK = f"{RELEASE}\n"


def _link(path: Path) -> None:
    aside = path.with_name("aside")
    aside.write_text(MARK)
    path.symlink_to(aside)


def _huge(path: Path) -> None:
    path.write_text(MARK)
    os.truncate(path, 1 << 30)


def _holding(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


WITHOUT = [
    pytest.param(_holding(b""), id="empty, as that of a worker without releases"),
    pytest.param(_holding(RELEASE.encode()), id="no line end"),
    pytest.param(_holding(b"3F9C02D1A7BE\n"), id="capitals"),
    pytest.param(_holding(b"3f9c02d1a7bg\n"), id="no digit"),
    pytest.param(_holding(b"3f9c02d1a7b\n\n"), id="short"),
    pytest.param(_holding(b"3f9c02d1a7b\0\n"), id="NUL"),
    pytest.param(_holding(b"3f9c02\nTQ_X=\n"), id="a field of the journal"),
    pytest.param(_holding(b'","a":"b",1:"'), id="JSON"),
    pytest.param(_holding(b"\xd9\xa1\xd9\xa1\xd9\xa1\xd9\xa1\xd9\xa1\xd9\xa1\n"), id="digits of others"),
    pytest.param(_holding(b"\xff" * 12 + b"\n"), id="no text"),
    pytest.param(_holding(MARK.encode() * 2), id="two"),
    pytest.param(_huge, id="1 GiB"),
    pytest.param(_link, id="link"),
    pytest.param(lambda path: path.symlink_to(path), id="link to itself"),
    pytest.param(lambda path: path.symlink_to("/dev/zero"), id="link to a device"),
    pytest.param(os.mkfifo, id="FIFO"),
    pytest.param(Path.mkdir, id="folder"),
]
"""What makes a file that has no release."""
