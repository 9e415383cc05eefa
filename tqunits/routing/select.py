"""Which endpoint of a worker gets the next request: the one with the least in flight, ties at
random.

Random ties matter: several router processes that all prefer the first of equals would pile onto it
together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def choose(loads: Sequence[int], dice: Callable[[int], int]) -> int:
    """The index of the endpoint to use. `loads`: requests in flight, at least one; `dice(n)`:
    uniform below n."""
    if len(loads) == 1:
        return 0
    least = min(loads)
    candidates = [index for index, load in enumerate(loads) if load == least]
    return candidates[0] if len(candidates) == 1 else candidates[dice(len(candidates))]
