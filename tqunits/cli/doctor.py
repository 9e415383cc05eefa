"""Check what this host offers and what is wrong on it.

Looked at are systemd and its D-Bus, the kernel's cgroups, the folders and ports that tqunits needs, the programs that
the configured workers run, the installed units and whether somebody has edited them. Nothing is changed.

Exit status: 0 no problem (there may be warnings), 1 a problem.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tqunits.cli.context import Context
from tqunits.errors import ExitStatus, Severity, TqunitsError
from tqunits.system import diagnosis
from tqunits.system.bus import Bus
from tqunits.system.diagnosis import Finding, Level
from tqunits.system.sources import load

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
    yield from diagnosis.host(context.layout, user_mode=context.user_mode)
    yield from _asked(context)
    yield from diagnosis.installation(context.layout)
    yield from diagnosis.homes(context.layout)


def _asked(context: Context) -> list[Finding]:
    """The checks that ask the service manager, and what is left of them without one."""
    try:
        with Bus(user_mode=context.user_mode) as bus:
            return [*diagnosis.manager(bus), *_configured(context, bus)]
    except TqunitsError as error:
        return [diagnosis.unreachable(error), *_configured(context, None)]


def _configured(context: Context, bus: Bus | None) -> Iterator[Finding]:
    loaded = load(context.root, context.layout, trust=context.trust)
    errors = sum(1 for finding in loaded.diagnostics if finding.severity is Severity.ERROR)
    if errors:
        yield diagnosis.misconfigured(errors)
    if loaded.configuration:
        yield from diagnosis.configuration(loaded.configuration, bus)


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
