"""Media types depend only on the file name, and on no setting of the host."""

from __future__ import annotations

import re

import pytest

from tqunits.http import media
from tqunits.http.media import UNKNOWN, media_of

TYPES = {
    "index.html": "text/html; charset=utf-8",
    "INDEX.HTM": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "app.mjs": "text/javascript; charset=utf-8",
    "robots.txt": "text/plain; charset=utf-8",
    "app.js.map": "application/json",
    "logo.svg": "image/svg+xml",
    "favicon.ico": "image/vnd.microsoft.icon",
    "a.b.PNG": "image/png",
    "font.woff2": "font/woff2",
    "app.wasm": "application/wasm",
    "backup.tar.gz": "application/gzip",
    "app.js.br": "application/octet-stream",
    "README": "application/octet-stream",
    "html": "application/octet-stream",
    "name.": "application/octet-stream",
    "x.unheard-of": "application/octet-stream",
    "\xff.txt": "text/plain; charset=utf-8",
}


@pytest.mark.parametrize(("name", "expected"), TYPES.items(), ids=repr)
def test_the_type_of_a_name(name: str, expected: str) -> None:
    assert media_of(name.encode("latin-1")).type.decode() == expected


def test_what_is_compressed_already_has_no_compressed_sibling() -> None:
    names = ("a.png", "a.jpg", "a.woff2", "a.mp4", "a.zip", "a.gz", "a.br", "a")
    assert [name for name in names if media_of(name.encode()).shrinks] == []
    assert all(media_of(name).shrinks for name in (b"a.html", b"a.css", b"a.js", b"a.json", b"a.svg", b"a.wasm"))


@pytest.mark.parametrize("found", [UNKNOWN, *vars(media)["_TYPES"].values()], ids=lambda m: m.type.decode())
def test_every_type_is_a_field_value(found: media.Media) -> None:
    kind, _, parameters = found.type.decode().partition("; ")
    assert re.fullmatch(r"(application|audio|font|image|model|text|video)/[a-z0-9.+-]+", kind)
    assert parameters == ("charset=utf-8" if kind.startswith("text/") else "")


def test_no_extension_is_in_the_table_twice() -> None:
    rows = [line.split()[1:] for table in ("_SHRINK", "_DO_NOT") for line in vars(media)[table].splitlines()]
    extensions = [extension for row in rows for extension in row]
    assert len(set(extensions)) == len(extensions) > 80
