"""Units of earlier releases whose workers this install does not render: brought up to this release all the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from tqunits.cli.requested import Requested
from tqunits.model import Target
from tqunits.units import refit, unitfile
from tqunits.units.plan import ObservedFile
from tqunits.units.render import RenderedFile

_MODE = 0o644


class Refits:
    """Their drop-ins, the copies of files that these name, and what they lose."""

    def __init__(
        self,
        observed: Mapping[PurePosixPath, ObservedFile],
        rendered: Collection[PurePosixPath],
        host: Target,
        requested: Requested,
    ) -> None:
        self._host = host
        self._requested = requested
        kept = {path: file.content for path, file in observed.items() if path not in rendered}
        ours = {path: text for path, text in kept.items() if unitfile.ledger(text) and refit.is_of_before(text)}
        self.drop_ins = tuple(self._drop_in(path, text) for path, text in ours.items())
        self.copies = tuple(file for text in ours.values() for file in self._copies(text))
        self.lost = tuple(words for text in ours.values() for words in self._lost(text))

    def _drop_in(self, path: PurePosixPath, text: str) -> RenderedFile:
        places = {source: str(place) for source, place in self._places(text).items()}
        content = refit.refitted(text, _worker(text), self._host, places)
        return RenderedFile(path=path, content=content, mode=_MODE, unit=path.parent.name.removesuffix(".d"))

    def _places(self, text: str) -> Mapping[str, PurePosixPath]:
        found = {named.path: self._requested.place_of(_worker(text), named.path) for named in refit.files(text)}
        return {path: place for path, place in found.items() if place is not None}

    def _copies(self, text: str) -> Iterable[RenderedFile]:
        return self._requested.copies_at(_worker(text), self._places(text).values())

    def _lost(self, text: str) -> Iterable[str]:
        places = self._places(text)
        gone = (named.path for named in refit.files(text) if named.path not in places)
        return (
            f"{_worker(text)} stays as installed, but starts without {path}: not for install to read" for path in gone
        )


def _worker(text: str) -> str:
    ledger = unitfile.ledger(text)
    return ledger.worker if ledger else ""
