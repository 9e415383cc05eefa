"""Which workers a command line means: names, units and patterns, against those that are
installed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from tqunits.cli.context import Context
from tqunits.errors import NoSuchWorker, UsageError
from tqunits.host.installed import nearest, served
from tqunits.layout import WORKER_YAML
from tqunits.model import Instance
from tqunits.units import name

_WILDCARDS = frozenset("*?[")


class Named(Protocol):
    """What a name on the command line can select."""

    @property
    def name(self) -> str:
        """The worker's."""
        ...


Worker = TypeVar("Worker", bound=Named)


def add_names(parser: argparse.ArgumentParser, *, all_means: str) -> None:
    """Declare NAME... and --all."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("--all", action="store_true", help=all_means)


def select(arguments: argparse.Namespace, workers: Sequence[Worker], context: Context) -> tuple[Worker, ...]:
    """The workers that NAME... or --all select.

    Raises UsageError when neither or both are given, NoSuchWorker for a name or pattern that
    selects none.
    """
    if bool(arguments.names) == bool(arguments.all):
        raise UsageError("say which workers, or --all", hint="'tqunits ls' lists them")
    return tuple(workers) if arguments.all else named(arguments.names, workers, context)


def named(names: Iterable[str], workers: Sequence[Worker], context: Context) -> tuple[Worker, ...]:
    """The workers of these names and patterns, each once, by name. Raises NoSuchWorker."""
    wanted = {worker.name for text in names for worker in _matching(text, workers, context)}
    return tuple(worker for worker in workers if worker.name in wanted)


def parted(meant: Sequence[Instance], present: Sequence[Instance]) -> tuple[tuple[str, ...], tuple[Instance, ...]]:
    """The selected instances in two parts: workers whose instances are all selected, and single
    instances."""
    chosen = frozenset(meant)
    parts = {other.worker for other in present if other not in chosen}
    single = tuple(each for each in meant if each.worker in parts)
    return tuple(dict.fromkeys(each.worker for each in meant if each.worker not in parts)), single


def refuse_single(single: Sequence[Instance]) -> None:
    """Raises UsageError for a single instance, where only whole workers can be selected."""
    if single:
        unit, worker = name.service(single[0]), single[0].worker
        raise UsageError(f"{unit} is one of several instances of {worker}", hint=f"say it of the worker: {worker}")


def workers_meant(texts: Iterable[str]) -> tuple[str, ...]:
    """The workers of these names and units, where only a worker as a whole can be meant.

    Raises UsageError for one of several instances, whether there is such a one or not.
    """
    meant = [(text, name.instance_of(text) or name.instance(text)) for text in texts]
    refuse_single([whose for _, whose in meant if whose is not None and whose.number > 1])
    return tuple(whose.worker if whose is not None else text for text, whose in meant)


def unknown(wanted: str, workers: Sequence[Named], context: Context) -> NoSuchWorker:
    """The error for a name that is not installed. If its folder exists, the hint is to install
    it."""
    if any(files.name == wanted for files in served(context.layout)):
        hint = "'tqunits apply' removes it when its folder is gone, or has `enabled: false`"
        return NoSuchWorker(f"{wanted!r} is files that the router serves: there is no unit of it", hint=hint)
    from tqunits.host.sources import workers_directory  # YAML, 30 ms: only when somebody mistyped

    folder = workers_directory(context.root, context.layout) / wanted
    if name.is_worker_name(wanted) and (folder / WORKER_YAML).is_file():
        return NoSuchWorker(
            f"{wanted!r} is not installed", hint=f"it is in {folder}: 'tqunits install --now' starts it"
        )
    hint = nearest(wanted, [worker.name for worker in workers])
    return NoSuchWorker(f"no installed worker is called {wanted!r}", hint=hint)


def _matching(text: str, workers: Sequence[Worker], context: Context) -> list[Worker]:
    """A worker's name selects all its instances, a unit its own instance."""
    wanted, instance = text.removeprefix("tq-worker@").removesuffix(".service"), name.instance_of(text)
    if instance is not None:
        found = [worker for worker in workers if worker.name == str(instance)]
    elif _WILDCARDS & set(wanted):
        found = [worker for worker in workers if fnmatchcase(worker.name, wanted)]
    else:
        found = [worker for worker in workers if wanted in {worker.name, worker.name.partition(":")[0]}]
    if not found:
        raise unknown(wanted, workers, context)
    return found
