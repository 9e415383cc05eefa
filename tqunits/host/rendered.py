"""Renders the units of the configuration for this host, including those that an install would
refuse."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tqunits.errors import ConfigurationError, Diagnostic, NoSuchWorker
from tqunits.host import this_host
from tqunits.host.installed import nearest
from tqunits.host.judged import Files, assigned_ports, judge, surging
from tqunits.host.observed_files import observe_files
from tqunits.host.premises import Premises
from tqunits.host.requested import Requested
from tqunits.host.sources import load
from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, Host, Worker, WorkerType
from tqunits.system import files
from tqunits.system.listeners import listening_ports
from tqunits.units import addresses, name
from tqunits.units.kept import kept_instances
from tqunits.units.rendering import RenderedFile, render, sockets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """The configuration to be rendered, and its findings."""

    configuration: Configuration
    before: Files
    findings: tuple[Diagnostic, ...]  # what an install would refuse is a NOTE here


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The files of a configuration, and the workers that they are for."""

    workers: tuple[Worker, ...]
    files: tuple[RenderedFile, ...]


def sketched(premises: Premises, names: Collection[str]) -> Sketch:
    """Read the configuration. Raises ConfigurationError for errors of these workers (empty: of any
    worker)."""
    loaded = load(premises.root, premises.layout, trust=premises.trust)
    configuration = loaded.configured()
    if configuration.broken and (not names or set(names) & set(configuration.broken)):
        raise ConfigurationError(loaded.diagnostics)
    before = observe_files(premises.layout)
    refused = judge(configuration, premises.layout, before).refusals
    findings = (*loaded.diagnostics, *(refusal.note() for refusal in refused))
    return Sketch(configuration=configuration, before=before, findings=findings)


def rendered(sketch: Sketch, premises: Premises, names: Collection[str], *, systemd: int | None = None) -> Rendered:
    """Every file, and the workers of these names (empty: all). `systemd`: the version to render
    for; None: this host's.

    What an install would refuse is rendered too, except workers that can have no port. Raises
    NoSuchWorker for a name that is not configured.
    """
    busy = listening_ports()
    assigned = assigned_ports(sketch.configuration, sketch.before, busy)
    lacking = {refusal.worker for refusal in assigned.refusals}
    workers = tuple(w for w in sketch.configuration.workers if w.name not in lacking)
    staying = replace(sketch.configuration, workers=workers)
    found = surging(staying, assigned.ports, sketch.before, busy, premises.layout)
    configuration = found.configuration
    requested = Requested(configuration, premises.layout, sketch.before, user_mode=premises.user_mode)
    templates = files.read_templates(premises.layout)
    sockets = sockets_of(configuration.server, premises.layout, addresses.installed(sketch.before))
    host, installed = _target(premises, systemd), kept_instances(sketch.before)
    made = render(configuration, host, found.ports, templates, requested.copies, sockets, installed)
    return Rendered(workers=_named(names, configuration), files=made)


def only(found: Collection[RenderedFile], workers: Collection[str]) -> tuple[RenderedFile, ...]:
    """The files of these workers' own, and of their pauses."""
    whose = ((file, name.instance_of(file.unit) or name.after_failures_of(file.unit)) for file in found if file.unit)
    return tuple(file for file, instance in whose if instance is not None and instance.worker in workers)


def _target(premises: Premises, systemd: int | None) -> Host:
    host = this_host.current(premises.layout, user_mode=premises.user_mode)
    return host if systemd is None else replace(host, systemd=systemd)


def _named(names: Collection[str], configuration: Configuration) -> tuple[Worker, ...]:
    workers = {w.name: w for w in configuration.workers if w.type is not WorkerType.STATIC}
    for worker in names:
        if worker not in workers:
            raise NoSuchWorker(f"no configured worker is called {worker!r}", hint=nearest(worker, workers))
    return tuple(worker for key, worker in workers.items() if not names or key in names)
