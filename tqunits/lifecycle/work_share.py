"""How much work a stranger may cause by changing his files: a lot at once, and then a part of the
time. Values, without I/O.

Each change of a watched folder may be a run of root's, or a build and a roll. Whoever saves often
never notices a bound: what he causes in a burst is free. A program that changes a file every two
seconds for ever gets the part of the time that the share names, and others the rest of it. It is a
leaky bucket: work fills it, time empties it, and who has overfilled it waits until it is not.

All times are of one monotonic clock.
"""

from __future__ import annotations

from typing import Final

from tqunits.light_dataclass import dataclass

LEAST_US: Final = 1_000_000
"""µs that each act counts at least: also one that ends at once is a line in the journal and a row
in the history."""

LONGEST_PAUSE_US: Final = 300_000_000
"""µs of the longest pause, unless the act before took more than a quarter of that."""

LONGEST_PAUSE: Final = 4
"""The longest pause is so many times as long as the act before: whoever makes his acts long has a
fifth of the time, and the others the rest."""


@dataclass(frozen=True, slots=True)
class WorkShare:
    """How much one owner of files may cause."""

    free: int  # µs of work at once
    part: int  # beyond that: one part of so many of the time
    least: int = LEAST_US  # µs that each act counts at least


OF_ROOT: Final = WorkShare(free=120_000_000, part=20)
"""Of runs of root's: they have one lock, and have systemd read all units again. Some 60 edits of a
worker.yaml in a row."""

OF_DEPLOYS: Final = WorkShare(free=300_000_000, part=4)
"""Of builds and rolls, of which only some run at once on a host."""

OF_QUESTIONS: Final = WorkShare(free=20_000, part=50, least=0)
"""Of what is asked on the event loop about names that events tell: 2 % of a CPU. A question takes
some 5 µs, and half a second where patterns and names are made for that."""

OF_FLOODS: Final = WorkShare(free=5_000_000, part=60)
"""Of the times that a folder, or the way to it, has lost its watches by too many events: five at
once, and then one in a minute. Each one can overflow the kernel's queue, and then all folders are
looked at."""

OF_WORDS: Final = WorkShare(free=20_000_000, part=60)
"""Of the lines in the journal about one folder, or about the kernel's queue: twenty at once, and
then one in a minute."""


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What was caused so far."""

    debt: int = 0  # µs of work that no time has emptied yet
    at: int = 0  # µs, when that was so

    def after(self, took: int, now: int, share: WorkShare) -> WorkDone:
        """An act has ended, and has taken so many µs."""
        left = max(0, self.debt - (now - self.at) // share.part)
        most = share.free + max(LONGEST_PAUSE_US, LONGEST_PAUSE * took) // share.part
        return WorkDone(min(left + max(took, share.least), most), now)

    def next_at(self, share: WorkShare) -> int:
        """When the next act may begin, in µs; it may have passed."""
        return self.at + max(0, self.debt - share.free) * share.part
