"""The name of this host's routers: the same for all of them, different on another host, and without
a secret."""

from __future__ import annotations

import re
from pathlib import Path

from tqunits.system.identity import router_name

NAME = rb"tqunits-[0-9a-f]{16}"


def test_the_name_is_the_hosts(tmp_path: Path) -> None:
    one, another = tmp_path / "one", tmp_path / "another"
    one.write_text("0123456789abcdef" * 2 + "\n")
    another.write_text("0123456789abcdef0123456789abcdee\n")
    assert router_name(one) == router_name(one)
    assert router_name(one) != router_name(another)
    assert re.fullmatch(NAME, router_name(one))
    assert one.read_bytes()[:8] not in router_name(one)


def test_without_an_identifier_it_is_somebodys(tmp_path: Path) -> None:
    """A machine that has no id yet (machine-id(5): empty, or the word uninitialized) has the name
    of no other machine."""
    for text in ("", "uninitialized\n"):
        (tmp_path / "id").write_text(text)
        assert router_name(tmp_path / "id") != router_name(tmp_path / "id")
    assert re.fullmatch(NAME, router_name(tmp_path / "none"))
