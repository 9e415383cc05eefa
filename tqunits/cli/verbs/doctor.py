"""Check this host and what is installed on it, and say what is wrong.

It checks the host: systemd and its D-Bus, polkit, the kernel's cgroups, and the folders and ports
that tqunits needs. It checks the workers: whether their programs are there and are what their
sources say; which ones the last install has refused or skipped, and why (a failed build, for one);
which have failed, or fail again and again; which listen on more than loopback, past the router;
whose secrets have changed since they were copied; and of which changes of files are not noticed,
though they are watched. It checks the router's certificate. And it checks the installed units:
whether somebody has edited them, and whether they match the configuration. Nothing is changed.

Exit status: 0 no problem (there may be warnings), 1 a problem.
"""

from __future__ import annotations

import argparse
import os
import pwd
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

from tqunits.cli import watch_findings, watch_words
from tqunits.cli.context import Context
from tqunits.errors import ExitStatus, Severity, TqunitsError
from tqunits.host import diagnosis, due, left_out, reachable, soundness
from tqunits.host.diagnosis import Finding, Level
from tqunits.host.installed import Installed, slots
from tqunits.host.sources import load
from tqunits.host.watched_files_alone import watched_files_alone
from tqunits.layout import Layout
from tqunits.model import Configuration, Tls
from tqunits.system import watch_limits
from tqunits.system.bus import Bus
from tqunits.system.listeners import listeners
from tqunits.units import unitfile

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits doctor`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Check."""
    findings = tuple(_findings(context))
    if arguments.json:
        context.output.json("doctor", 1, findings=[_json(finding) for finding in findings])
    else:
        _print(findings, context)
    return ExitStatus.FAILED if any(f.level is Level.PROBLEM for f in findings) else ExitStatus.OK


def _findings(context: Context) -> Iterator[Finding]:
    found = slots(context.layout)
    workers = _workers(each for each in found if not each.ledger.is_surge)
    yield from diagnosis.host(context.layout, user_mode=context.user_mode)
    yield from _asked(workers, context)
    yield from diagnosis.installation(context.layout, {worker.drop_in: worker.text for worker in found})
    yield from diagnosis.rule(context.layout)
    yield from diagnosis.homes(context.layout)
    yield from soundness.secrets(workers)
    yield from _watch(found, context)
    users = {account.pw_uid: account.pw_name for account in pwd.getpwall()}
    yield from soundness.exposed(workers, listeners(), users)


def _watch(found: Iterable[Installed], context: Context) -> Iterator[Finding]:
    """Whether changes of files are noticed."""
    meant = {each.ledger.worker for each in found if each.ledger.watch is not None}
    meant |= watched_files_alone(context.layout).keys()
    try:
        limit = watch_limits.most_watches()
    except (OSError, ValueError):
        limit = None
    watched = watch_words.told(context.layout) if meant else None
    folders = None if watched is None else watched.folders
    yield from watch_findings.findings(sorted(meant), folders, limit, is_all=os.geteuid() == 0)


def _workers(found: Iterable[Installed]) -> list[soundness.InstalledWorker]:
    """Who runs as whom. With --user all run as that user, whom their units do not name."""
    default = pwd.getpwuid(os.geteuid()).pw_name
    users = ((worker.ledger, unitfile.last_value(worker.text, "Service", "User")) for worker in found)
    return [soundness.InstalledWorker(ledger, user or default) for ledger, user in users]


def _asked(workers: Sequence[soundness.InstalledWorker], context: Context) -> list[Finding]:
    """The checks that ask the service manager, and what is left of them without one."""
    try:
        with Bus(user_mode=context.user_mode) as bus:
            units = bus.list_units(["tq-*", "tq.*"])
            found = diagnosis.manager(bus, units, user_mode=context.user_mode)
            return [*found, *soundness.restarting(units), *_configured(workers, context, bus)]
    except TqunitsError as error:
        return [diagnosis.unreachable(error), *_configured(workers, context, None)]


def _configured(workers: Sequence[soundness.InstalledWorker], context: Context, bus: Bus | None) -> Iterator[Finding]:
    loaded = load(context.root, context.layout, trust=context.trust)
    errors = sum(1 for finding in loaded.diagnostics if finding.severity is Severity.ERROR)
    if errors:
        yield diagnosis.misconfigured(errors)
    yield from _left_out(context.layout, {*loaded.workers, *(worker.ledger.worker for worker in workers)})
    if loaded.configuration:
        yield from diagnosis.configuration(loaded.configuration)
        yield from _outdated(loaded.configuration, context.layout)
        yield from reachable.findings(loaded.configuration.server, context.layout, bus, user_mode=context.user_mode)
        yield soundness.drift(loaded.configuration, workers)
        yield from _certificate(loaded.configuration.server.tls)


def _left_out(layout: Layout, known: Container[str]) -> Iterator[Finding]:
    """Whom the last install has refused, or skipped: where its build failed, or its host lacks
    something.

    `known`: who is there still, configured or installed.
    """
    rows = left_out.read(layout).workers.items()
    for worker, left in ((worker, left) for worker, left in rows if worker in known):
        message = f"{worker}: {left.kind} by the last install: {left.reason}"
        yield diagnosis.problem("left-out", message, left.hint or f"'tqunits why {worker}' tells more")


def _outdated(configuration: Configuration, layout: Layout) -> Iterator[Finding]:
    """Programs that are not what their sources say. Whoever has no build is not looked at."""
    for worker in configuration.running():
        told = due.outdated(worker, layout)
        if told:
            yield diagnosis.warning("builds", f"{worker.name}: {told}", due.ADVICE)


def _certificate(tls: Tls) -> Iterator[Finding]:
    """What the router would say of it at its next start, which may be the next reboot."""
    if tls.certificate is None:
        return
    from tqunits.system.certificates import Certificates  # with OpenSSL, which takes its time to load

    try:
        found = Certificates.load(Path(tls.certificate), None if tls.key is None else Path(tls.key))
    except TqunitsError as error:
        yield diagnosis.problem("certificate", f"the router can not serve with it: {error.message}", error.hint or "")
        return
    for text in found.warnings:
        yield diagnosis.warning("certificate", text, "renew it: the router takes a changed file by itself")
    if not found.warnings:
        yield diagnosis.ok("certificate", f"{tls.certificate} fits its key, and is valid for two weeks at least")


def _print(findings: tuple[Finding, ...], context: Context) -> None:
    for finding in findings:
        level = context.output.styled(f"{finding.level.value:<8}", _STYLES[finding.level])
        context.output.line(f"{level} {context.output.styled(finding.message, '')}")
        if finding.advice:
            context.output.line(f"{'':<8} {context.output.styled(finding.advice, 'dim')}")


def _json(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "message": finding.message,
        "advice": finding.advice,
    }
