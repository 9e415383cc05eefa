"""The goal of a deploy and of a rollback: all instances run one release.

What an instance runs at its next start, links of root's say (host/release_links.py), which
tq-harvest@NAME.service swaps. They are swapped before a start, so what has started once with the
release does so again, whoever starts it. What an instance runs now, its file `serving` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tqunits.lifecycle.release import FOLDER
from tqunits.manager.hands import Hands
from tqunits.manager.release_command import ReleaseCommand
from tqunits.manager.roll import Say
from tqunits.model import Instance


class ReleaseGoal:
    """One release, for one worker."""

    unmet = "was started, and does not run the release"
    """Its unit may have been changed since the release was made (sandbox: writable-code)."""

    def __init__(self, hands: Hands, worker: str, release: str, before: Mapping[int, str]) -> None:
        """`before`: what each instance runs until now: a release, or FOLDER."""
        self._hands = hands
        self._worker = worker
        self._release = release
        self._before = before
        self._pointed: set[int] = set()  # the instances whose links lead to the release

    async def run_command(self, say: Say) -> None:
        """Run the worker's `release.command`, if it has one. No instance is touched before it has
        ended well. Raises TqunitsError."""
        command = ReleaseCommand(self._hands.bus, self._hands.layout, self._hands.harvests, self._worker)
        slot = command.slot
        if slot is not None:
            say("release_command", "its release.command is run", None)
            await command.run(slot, self._release, self._before.get(slot, FOLDER))

    async def remember(self, say: Say) -> bool:
        """After the roll, have the release known as stable: whether it is. It is not for a worker
        that does not run. The surge, which does not run any more, keeps no release. Raises
        TqunitsError."""
        is_stable = bool(self._hands.running(self._worker))
        if is_stable:
            say("stable", f"release {self._release} is stable: all instances that run have it", None)
        else:
            say("note", "does not run; its next start runs this release", None)
        numbers = self._numbers()
        runs = {**dict.fromkeys(numbers, self._release), max(numbers, default=1) + 1: FOLDER}
        await self._hands.harvests.point(self._worker, runs, stable=self._release if is_stable else None)
        return is_stable

    def lacking(self) -> tuple[Instance, ...]:
        """Those that run something else."""
        return self._hands.lacking(self._worker, self._release)

    def has(self, whose: Instance) -> bool:
        """Whether it runs the release."""
        return self._hands.has(whose, self._release)

    async def prepare(self, whose: Instance) -> None:
        """Swap its link, if that was not done with those of all."""
        if whose.number not in self._pointed:
            await self._point([whose.number])

    async def proven(self) -> None:
        """Swap the links of all replicas."""
        await self._point(self._numbers())

    async def give_up(self) -> None:
        """Swap the links back, of one that an install has added to what the others ran."""
        usual = next(iter(self._before.values()), FOLDER)
        by_release: dict[str, list[int]] = {}
        for number in self._numbers():
            by_release.setdefault(self._before.get(number, usual), []).append(number)
        for run, numbers in by_release.items():
            await self._hands.harvests.point(self._worker, dict.fromkeys(numbers, run))

    def to_take_back(self, touched: Sequence[Instance]) -> tuple[Instance, ...]:
        """Those that this roll has touched, or one of an earlier manager, the last ones first."""
        lacking = self.lacking()
        replaced = (each.place.whose for each in self._hands.running(self._worker))
        earlier = [w for w in replaced if w not in lacking and self._before.get(w.number) != self._release]
        return tuple(dict.fromkeys((*reversed(touched), *reversed(earlier))))

    async def _point(self, numbers: Iterable[int]) -> None:
        wanted = tuple(numbers)
        await self._hands.harvests.point(self._worker, dict.fromkeys(wanted, self._release))
        self._pointed.update(wanted)

    def _numbers(self) -> tuple[int, ...]:
        return tuple(record.place.whose.number for record in self._hands.replicas(self._worker))
