"""Which workers a command line means: names, units and patterns against the installed drop-ins.

The drop-ins are all that is read, no YAML: what is operated is what is installed, and `ls` stays fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol, TypeVar

from tqunits.cli.context import Context
from tqunits.errors import NoSuchWorker, UsageError
from tqunits.model import Layout
from tqunits.routing.codec.document import MAX_SNAPSHOT, Served, files_alone
from tqunits.system.files import read_regular, read_text_if_exists
from tqunits.units import environment, name
from tqunits.units.unitfile import Ledger, ledger

_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A worker whose drop-in lies on this host; an instance of it each, where there are several."""

    name: str  # as people have it, `api` or `api:2`; the worker's own is in the ledger
    unit: str
    drop_in: Path
    text: str
    ledger: Ledger


class Named(Protocol):
    """What a name on the command line can mean."""

    @property
    def name(self) -> str:
        """The worker's."""
        ...


Worker = TypeVar("Worker", bound=Named)


def add_names(parser: argparse.ArgumentParser, *, all_means: str) -> None:
    """Declare NAME... and --all."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("--all", action="store_true", help=all_means)


def installed(layout: Layout) -> tuple[Installed, ...]:
    """All installed workers, by name."""
    paths = Path(layout.units).glob(f"tq-worker@*.service.d/{name.DROP_IN}")
    found = (_read(path) for path in paths)
    return tuple(sorted((worker for worker in found if worker), key=lambda worker: worker.name))


def served(layout: Layout) -> tuple[Served, ...]:
    """The workers that are files alone, as the router has them; no drop-in is theirs.

    Raises TqunitsError for what the router would not take either.
    """
    try:
        content = read_regular(Path(layout.routes), MAX_SNAPSHOT)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return files_alone(content.decode("utf-8", "surrogateescape"))


def serving(workers: Sequence[Installed], layout: Layout) -> dict[str, str]:
    """Unit -> the file that it is served by, of those whose unit makes one."""
    files = {worker.unit: environment.serving_file(worker.name, layout.runtime) for worker in workers}
    return {worker.unit: files[worker.unit] for worker in workers if files[worker.unit] in worker.text}


def select(arguments: argparse.Namespace, workers: Sequence[Worker], context: Context) -> tuple[Worker, ...]:
    """The workers that NAME... or --all mean.

    Raises UsageError when neither or both are given, NoSuchWorker for a name or pattern that means none.
    """
    if bool(arguments.names) == bool(arguments.all):
        raise UsageError("say which workers, or --all", hint="'tqunits ls' lists them")
    return tuple(workers) if arguments.all else named(arguments.names, workers, context)


def named(names: Iterable[str], workers: Sequence[Worker], context: Context) -> tuple[Worker, ...]:
    """The workers of these names and patterns, each once, by name. Raises NoSuchWorker."""
    wanted = {worker.name for text in names for worker in _matching(text, workers, context)}
    return tuple(worker for worker in workers if worker.name in wanted)


def unknown(wanted: str, workers: Sequence[Named], context: Context) -> NoSuchWorker:
    """The error for a name that is not installed. Its folder may be there: then it waits for install."""
    if any(files.name == wanted for files in served(context.layout)):
        hint = "'tqunits apply' removes it when its folder is gone, or has `enabled: false`"
        return NoSuchWorker(f"{wanted!r} is files that the router serves: there is no unit of it", hint=hint)
    from tqunits.host.sources import workers_directory  # YAML, 30 ms: only when somebody mistyped

    folder = workers_directory(context.root, context.layout) / wanted
    if name.is_worker_name(wanted) and (folder / "config/worker.yaml").is_file():
        return NoSuchWorker(
            f"{wanted!r} is not installed", hint=f"it is in {folder}: 'tqunits install --now' starts it"
        )
    hint = nearest(wanted, [worker.name for worker in workers])
    return NoSuchWorker(f"no installed worker is called {wanted!r}", hint=hint)


def nearest(wanted: str, names: Collection[str]) -> str:
    """A hint for a name that is none of these."""
    from difflib import get_close_matches  # 8 ms: only when somebody mistyped

    near = get_close_matches(wanted, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return "'tqunits ls' lists them" if names else "there is none yet; see 'tqunits install --help'"


def _matching(text: str, workers: Sequence[Worker], context: Context) -> list[Worker]:
    wanted = text.removeprefix("tq-worker@").removesuffix(".service")
    if _WILDCARDS & set(wanted):
        found = [worker for worker in workers if fnmatchcase(worker.name, wanted)]
    else:
        found = [worker for worker in workers if wanted in {worker.name, worker.name.partition(":")[0]}]
    if not found:
        raise unknown(wanted, workers, context)
    return found


def _read(path: Path) -> Installed | None:
    unit = path.parent.name.removesuffix(".d")
    instance = name.instance_of(unit)
    text = read_text_if_exists(path) if instance else None
    found = ledger(text) if text else None
    if not (instance and text and found):
        return None
    return Installed(name=str(instance), unit=unit, drop_in=path, text=text, ledger=found)
