"""Units of earlier releases whose workers this install does not render: they are brought up to this
release."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from tqunits.host.requested import Requested
from tqunits.light_dataclass import dataclass
from tqunits.model import Host, Instance
from tqunits.units import name, refit, unitfile
from tqunits.units.observed import ObservedFile
from tqunits.units.rendering import RenderedFile

_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Refits:
    """Their new drop-ins, the copies of files that these name, and what the workers lose, in
    words."""

    drop_ins: tuple[RenderedFile, ...] = ()
    copies: tuple[RenderedFile, ...] = ()
    lost: tuple[str, ...] = ()

    def __add__(self, other: Refits) -> Refits:
        """Both together."""
        return Refits(self.drop_ins + other.drop_ins, self.copies + other.copies, self.lost + other.lost)


def refits(
    observed: Mapping[PurePosixPath, ObservedFile],
    rendered: Collection[PurePosixPath],
    host: Host,
    requested: Requested,
) -> Refits:
    """The installed units of earlier releases that are not rendered anew."""
    kept = ((path, file.content) for path, file in observed.items() if path not in rendered)
    ours = ((path, text) for path, text in kept if unitfile.ledger(text) and refit.is_of_before(text))
    whose = ((path, text, name.instance_of(name.unit_at(path))) for path, text in ours)
    found = (_refit(path, text, instance, host, requested) for path, text, instance in whose if instance)
    return sum(found, Refits())


def _refit(path: PurePosixPath, text: str, whose: Instance, host: Host, requested: Requested) -> Refits:
    worker = whose.worker
    named = [file.path for file in refit.files(text)]
    places = {source: place for source in named if (place := requested.place_of(worker, source)) is not None}
    content = refit.refitted(text, whose, host, {source: str(place) for source, place in places.items()})
    drop_in = RenderedFile(path=path, content=content, mode=_MODE, unit=name.unit_at(path))
    gone = (source for source in named if source not in places)
    lost = tuple(f"{whose} stays as installed, but starts without {source}: not for install to read" for source in gone)
    return Refits((drop_in,), tuple(requested.copies_at(worker, places.values())), lost)
