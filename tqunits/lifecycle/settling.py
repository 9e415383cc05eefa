"""When a changed tree is looked at: after a quiet time, because editors and coding agents save in
bursts; after a longest time, because some trees are never quiet; and so rarely that looking costs
little.

All times are of one monotonic clock. How long a look took is counted in time of a CPU: on a busy
host it takes longer, and costs no more.
"""

from __future__ import annotations

from typing import Final

from tqunits.light_dataclass import dataclass

REST: Final = 20
"""The pause after a look is so many times as long as the look: at most 5 % of a CPU."""

CHECKOUT_MAX_US: Final = 30_000_000
"""µs that a change waits for the end of a checkout of git: a lock that is older was left by one
that was killed. And whoever may write above the folder could make one lock after the other."""


@dataclass(frozen=True, slots=True)
class Unrest:
    """The events since the last look began."""

    first: int  # µs
    last: int  # µs


@dataclass(frozen=True, slots=True)
class LastLook:
    """The last look at the tree."""

    took: int  # µs of a CPU
    ended: int  # µs


def may_put_off(since: int | None, now: int) -> bool:
    """Whether a look may be put off for git. `since`: when the first one was, in µs; None: none
    was."""
    return since is None or now - since < CHECKOUT_MAX_US


def look_at(unrest: Unrest, last: LastLook | None, *, debounce: int, max_wait: int) -> int:
    """When to look, in µs; it may have passed. `last`: None before the first look."""
    settled = min(unrest.last + debounce, unrest.first + max_wait)
    return settled if last is None else max(settled, last.ended + REST * last.took)
