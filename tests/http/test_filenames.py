"""From a path to file names: no path leads out of the folder."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.filenames import file_names
from tqunits.http.grammar import Malformed
from tqunits.http.target import canonical_path

GOOD: dict[str, list[bytes]] = {
    "/": [b""],
    "/a": [b"a"],
    "/a/": [b"a", b""],
    "/a/b.txt": [b"a", b"b.txt"],
    "/a%20b/%C3%A9.txt": [b"a b", "\N{LATIN SMALL LETTER E WITH ACUTE}.txt".encode()],
    "/100%25": [b"100%"],
    "/%252F": [b"%2F"],
    "/%252e%252e/x": [b"%2e%2e", b"x"],
    "/a..b/c.": [b"a..b", b"c."],
    "/.well-known/acme-challenge/x": [b".well-known", b"acme-challenge", b"x"],
    "/.well-known/": [b".well-known", b""],
    "/a%0Ab": [b"a\nb"],
    "/php": [b"php"],
    "/a.php/b": [b"a.php", b"b"],
    "/a.php.txt": [b"a.php.txt"],
}

NOWHERE = [
    "/.env",
    "/.git/config",
    "/a/.htpasswd",
    "/.hidden/",
    "/.well-known2/x",
    "/.well-known/.x",
    "//",
    "/a//b",
    "/a//",
    "/.",
    "/..",
    "/../x",
    "/a/..",
    "/%2E%2E/x",
    "/%2e/x",
    "/a%2Fb",
    "/a%2fb/",
    "/..%2Fx",
    "/%2F",
    "/a%00b",
    "/a%00/",
    "/a.txt%00.php",
    "/index.php",
    "/a/INDEX.PHP",
    "/x.phtml",
    "/x.phar",
    "/x.%70hp",
]


@pytest.mark.parametrize(("path", "names"), GOOD.items(), ids=repr)
def test_names(path: str, names: list[bytes]) -> None:
    assert file_names(path.encode()) == names


@pytest.mark.parametrize("path", NOWHERE)
def test_what_leads_nowhere(path: str) -> None:
    assert file_names(path.encode()) is None


PIECES = [
    b"/",
    b".",
    b"..",
    b"%2e",
    b"%2E",
    b"%2f",
    b"%2F",
    b"%5C",
    b"%00",
    b"%25",
    b"a",
    b"%61",
    b";",
    b"\xc3",
    b".php",
]


@given(st.lists(st.sampled_from(PIECES)) | st.lists(st.binary(max_size=4)))
def test_a_name_is_a_name_whatever_the_path_is(pieces: list[bytes]) -> None:
    """Also for paths that never come here, because they are not canonical."""
    names = file_names(b"/" + b"".join(pieces))
    for at, name in enumerate(names or []):
        assert b"/" not in name and b"\0" not in name
        assert name or at == len(names or []) - 1
        assert not name.startswith(b".") or name == b".well-known"


@given(st.lists(st.sampled_from(PIECES)))
def test_a_canonical_path_is_decoded_once(pieces: list[bytes]) -> None:
    try:
        path = canonical_path(b"/" + b"".join(pieces))
    except Malformed:
        return
    names = file_names(path)
    if names is not None:
        assert b"/" + b"/".join(names) == unquote_to_bytes(path)
