"""Who gets room for what is known of his sources, where others want all of it."""

from __future__ import annotations

import pytest

from tqunits.errors import TqunitsError
from tqunits.manager.source_room import SourceRoom


def test_whoever_is_alone_may_have_all_of_it() -> None:
    room = SourceRoom(100)
    room.take("big", 100)
    with pytest.raises(TqunitsError, match="it has 101 files, and all watched folders together more than 100"):
        room.take("big", 101)


def test_a_share_is_always_given() -> None:
    room = SourceRoom(100)
    room.take("big", 99)
    for small in "abc":
        room.take(small, 25)
    with pytest.raises(TqunitsError):
        room.take("d", 21)
    room.take("d", 20)


def test_who_is_refused_keeps_what_he_had_and_who_leaves_makes_room() -> None:
    room = SourceRoom(100)
    room.take("a", 60)
    room.take("b", 40)
    with pytest.raises(TqunitsError):
        room.take("b", 51)
    room.leave("a")
    room.take("b", 100)
