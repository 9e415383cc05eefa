"""A histogram of time spans whose bounds are powers of two, so that a value's length in bits is its
bucket.

No search, no float, no table of bounds: an observation is one subtraction, one `bit_length` and two
additions. The price is coarseness: a quantile read from it is right within a factor of two, which
is what latencies are looked at for.
"""

from __future__ import annotations

from typing import Final

LEAST: Final = 6
"""2**6 = 64 µs: less than what a small request takes; everything quicker is one bucket."""

MOST: Final = 26
"""2**26 µs = 67 s: more than what a client waits for; everything slower is +Inf."""

_SLOTS: Final = 65
"""One per length in bits of a 64-bit value, so that no value needs to be clamped."""


class Histogram:
    """How many values fell into each bucket, and their sum; microseconds."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * _SLOTS  # [n]: values of at most 2**n, and more than 2**(n-1)
        self.total = 0  # the sum of all values

    def observe(self, span: int) -> None:
        """Count one value, 0 to 2**64 microseconds."""
        self._counts[(span - 1).bit_length()] += 1
        self.total += span

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def numbers(self) -> list[int]:
        """The values in each bucket, and their sum."""
        return [*self._counts, self.total]

    def add(self, other: Histogram) -> None:
        """Count the other's values too."""
        self._counts = [mine + its for mine, its in zip(self._counts, other._counts, strict=True)]
        self.total += other.total

    def take(self, cumulative: list[int], count: int) -> None:
        """Have these values instead: how many were at most each bound, as `cumulative` tells, and
        how many there were. Raises ValueError for numbers that no histogram has."""
        steps = [after - before for before, after in zip([0, *cumulative], [*cumulative, count], strict=True)]
        if len(steps) != MOST - LEAST + 2 or min(steps) < 0:
            raise ValueError("the buckets are not those of a histogram")
        self._counts = [*[0] * LEAST, *steps, *[0] * (_SLOTS - LEAST - len(steps))]

    def cumulative(self) -> list[tuple[int, int]]:
        """(bound, how many values were at most that) for every bound, rising, from 2**LEAST to
        2**MOST microseconds."""
        below = sum(self._counts[:LEAST])
        buckets = []
        for length in range(LEAST, MOST + 1):
            below += self._counts[length]
            buckets.append((2**length, below))
        return buckets
