"""Root's own word for how many instances workers have: what `tqunits scale` asks for, judged, and
written to scale.yaml among the drop-ins of tqunits.yaml.

The file is written before any unit: a run that is cut off leaves what the next install performs.
So all that would keep the workers from having the number is found first, with the configuration as
it would be, and then the file stays as it is. install then reads all files again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from tqunits.config import scale_file
from tqunits.config.scale_file import ScaleFile
from tqunits.errors import ConfigurationError, NoSuchWorker, NotPermitted, TqunitsError
from tqunits.host import execute, prepare, sources, unfit
from tqunits.host.installation import Outlook, errors_of, outlook
from tqunits.host.installed import nearest
from tqunits.host.premises import Premises
from tqunits.host.prepare import Choice
from tqunits.host.progress import Tell, Turn
from tqunits.host.sources import Edit, Loaded
from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY, Configuration, WorkerType
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.system.ownership import first_not_roots
from tqunits.units.rendering import RenderedFile
from tqunits.units.steps import Discard, Options, Plan, RemoveFile, Step, WriteFile

_MODE = 0o644
_OPTIONS = Options(now=True)


@dataclass(frozen=True, slots=True)
class ScaleOrder:
    """So many instances of a worker are asked for; None: as many as its worker.yaml says."""

    worker: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Rescaling:
    """What a wish comes to. `steps`: the change of scale.yaml; none when it says so already."""

    steps: tuple[Step, ...]
    outlook: Outlook  # what an install does then


def rescale(wishes: Sequence[ScaleOrder], premises: Premises, tell: Tell) -> tuple[Step, ...]:
    """Have scale.yaml say what is wished, and return how it was changed. The workers are not
    installed yet.

    Raises what `foresee` raises, and TqunitsError where systemd can not be asked; then nothing was
    changed.
    """
    layout = premises.layout
    with files.lock(Path(layout.install_lock), wait=lambda holder: tell(Turn(holder))):
        found = foresee(wishes, premises)
        unfit.refuse_unfit(found.outlook.prepared.configuration.server, layout)
        plan = Plan(steps=found.steps, foreign=(), orphans=(), pending=(), masked=())
        with Bus(user_mode=premises.user_mode) as bus:
            execute.execute(plan, layout, bus, timeout_us=INFINITY, tell=tell)
        return found.steps


def foresee(wishes: Sequence[ScaleOrder], premises: Premises) -> Rescaling:
    """What the wishes come to. Changes nothing.

    Raises NoSuchWorker, NotPermitted, TqunitsError when another file has a number for one of these
    workers or when scale.yaml has something that would be lost, and ConfigurationError when a
    worker can not have the number.
    """
    path, loaded = _path(premises), prepare.configured(premises)
    content = sources.drop_in_content(path)
    now = scale_file.read(content or b"", str(path))
    _refuse_unknown(wishes, loaded.configured(), now.numbers, path)
    _refuse_elsewhere(wishes, premises, path)
    numbers = _with(wishes, now.numbers)
    after = scale_file.written(numbers) if numbers else None
    if numbers == now.numbers:
        return Rescaling((), _outlook(wishes, loaded, premises))
    _refuse_loss(now, path)
    _refuse_open_folder(path, premises)
    edit = Edit(path, None if after is None else after.encode())
    found = _outlook(wishes, prepare.configured(premises, edit), premises)
    before = None if content is None else content.decode("utf-8", "surrogateescape")
    return Rescaling(_steps(path, before, after), found)


def _path(premises: Premises) -> Path:
    return sources.drop_ins_folder(premises.root, premises.layout) / scale_file.SCALE_FILE


def _with(wishes: Sequence[ScaleOrder], numbers: Mapping[str, int]) -> Mapping[str, int]:
    wanted = {wish.worker: wish.number for wish in wishes}
    merged = {**numbers, **wanted}
    return {worker: number for worker, number in merged.items() if number is not None}


def _steps(path: Path, before: str | None, after: str | None) -> tuple[Step, ...]:
    """The change of the file; what an interrupted write has left beside it goes, too."""
    place, left = PurePosixPath(path), tuple(map(PurePosixPath, files.leftovers(path.parent)))
    change: tuple[Step, ...] = ()
    if after is not None:
        change = (WriteFile(file=RenderedFile(path=place, content=after, mode=_MODE, unit=None), before=before),)
    elif before is not None:
        change = (RemoveFile(path=place, before=before),)
    return (*([Discard(left)] if left else []), *change)


def _outlook(wishes: Sequence[ScaleOrder], loaded: Loaded, premises: Premises) -> Outlook:
    found = outlook(loaded, premises, _OPTIONS, Choice(names=tuple(wish.worker for wish in wishes)))
    prepare.refuse_foreign(found.plan)
    errors = (*found.prepared.objections, *errors_of(found.obstacles))
    if errors:
        raise ConfigurationError(errors)
    return found


def _refuse_unknown(
    wishes: Sequence[ScaleOrder], configuration: Configuration, numbers: Mapping[str, int], path: Path
) -> None:
    files_alone = {worker.name for worker in configuration.workers if worker.type is WorkerType.STATIC}
    for wish in wishes:
        name = wish.worker
        if name not in configuration.names:
            line = f"{path} has a number for it: remove that line"
            hint = line if name in numbers else nearest(name, sorted(configuration.names))
            raise NoSuchWorker(f"no configured worker is called {name!r}", hint=hint)
        if name in files_alone and wish.number is not None:
            raise NoSuchWorker(f"{name!r} is files that the router serves: it has no instances")


def _refuse_elsewhere(wishes: Sequence[ScaleOrder], premises: Premises, path: Path) -> None:
    """Two files with a number for one worker are a riddle for whoever reads the first of them."""
    others = sources.scaled_elsewhere(premises.root, premises.layout, path)
    for wish in wishes:
        if wish.worker in others:
            hint = f"change it there, then 'tqunits apply {wish.worker}'; or remove it there, and try again"
            message = f"the number of instances of {wish.worker} stands here, and {path.name} does not overrule it"
            raise TqunitsError(message, hint=hint, mark=others[wish.worker])


def _refuse_loss(now: ScaleFile, path: Path) -> None:
    if now.foreign is not None:
        node, what = now.foreign
        message, elsewhere = f"{what} that somebody has put here would be lost", path.with_name("own.yaml")
        raise TqunitsError(message, hint=f"move it to another file, such as {elsewhere}", mark=node.mark)


def _refuse_open_folder(path: Path, premises: Premises) -> None:
    """With --trust root reads what others can change; it writes nothing there, where a link could
    lead it anywhere."""
    if premises.user_mode or os.geteuid() != 0:
        return
    not_roots = first_not_roots(next(folder for folder in path.parents if folder.exists()))
    if not_roots is not None:
        hint = f"write `scale:` in {path} yourself, then 'tqunits apply'"
        raise NotPermitted(f"root writes nothing where another user may rename: {not_roots}", hint=hint)
