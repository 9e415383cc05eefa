"""The steps of an install that concern neither unit files nor jobs: clearing left-overs away, and
removing entries in /run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tqunits.units import name
from tqunits.units.observed import Remnants
from tqunits.units.steps import Discard, Expect, ForgetPauses, Restart, Start, Step, Unshadow, Upkeep, WriteFile


def before(found: Remnants, steps: Iterable[Step]) -> tuple[Upkeep, ...]:
    """The first steps: remove left-overs, and let requests wait for the units that the later steps
    start."""
    units = (unit for step in steps if isinstance(step, Start | Restart) for unit in step.units)
    expected = sorted({whose for unit in units if (whose := name.instance_of(unit))} & found.stopped)
    return (
        *unread(found),
        *([Unshadow()] if found.has_shadows else []),
        *([Expect(tuple(expected))] if expected else []),
    )


def unread(found: Remnants) -> tuple[Upkeep, ...]:
    """Remove what no program reads any more."""
    return (Discard(found.unread),) if found.unread else ()


def after(found: Remnants, leaving: Iterable[str]) -> tuple[Upkeep, ...]:
    """The last steps, when workers of an earlier release have been restarted and removed ones are
    gone."""
    gone = tuple(sorted(found.pauses & {*leaving}))
    return (*([Discard(found.marks)] if found.marks else []), *([ForgetPauses(gone)] if gone else []))


def after_first_files(steps: Sequence[Step]) -> int:
    """The index after the first removals and the first files, which is the place of the ledger."""
    cleared = next((at for at, step in enumerate(steps) if not isinstance(step, Upkeep)), len(steps))
    written = (at for at, step in enumerate(steps) if at >= cleared and not isinstance(step, WriteFile))
    return next(written, len(steps))
