"""Regular expressions that are compiled when they are first used.

A command of tqunits knows a hundred and fifty of them, and uses a few: compiling all of them was a
fifth of its time. Compiled modules have `re.compile`: they serve requests, and start once.
"""

from __future__ import annotations

import re
from typing import AnyStr, Generic, cast


def late_pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As re.compile. A mistake in the pattern shows at its first use."""
    return cast("re.Pattern[AnyStr]", LatePattern(text, flags))


class LatePattern(Generic[AnyStr]):
    """What `re.compile` returns, but made when something of it is asked for."""

    __slots__ = ("_arguments", "_compiled")

    def __init__(self, text: AnyStr, flags: int) -> None:
        self._arguments: tuple[AnyStr, int] = (text, flags)
        self._compiled: re.Pattern[AnyStr] | None = None

    def __getattr__(self, name: str) -> object:
        if self._compiled is None:
            self._compiled = re.compile(*self._arguments)
        return getattr(self._compiled, name)
