"""The setting `unit:`: directives that are passed through to the unit if an allow-list has them.

The list is directives.py: harmless directives with their harmless values. Every other directive is
refused, and the hint names the setting to use instead, if there is one. What is really needed can
still be set by the administrator with `systemctl edit`, where everybody sees who has set it.
"""

from __future__ import annotations

from functools import partial

from tqunits.config.directives import DIRECTIVES, REFUSED, Directive
from tqunits.config.findings import Invalid, NodeProblem, invalid
from tqunits.config.nodes import Node, ScalarNode
from tqunits.config.parsers import entries_of, items_of, scalar
from tqunits.config.reject import Reject, did_you_mean, shown
from tqunits.resources import LIMITS

PassedLines = tuple[tuple[str, str, str], ...]


INSTEAD = {
    **{directive.name: f"limits.{name}" for name, directive in LIMITS.items()},
    "ExecStart": "command",
    "ExecStartPre": "build.command",
    "Environment": "environment",
    "EnvironmentFile": "environment_file",
    "PassEnvironment": "environment",
    "LoadCredential": "credentials",
    "SetCredential": "credentials",
    "User": "user",
    "Group": "group",
    "Type": "service_type",
    "Restart": "restart.policy",
    "RestartSec": "restart.delay",
    "RestartSteps": "restart.backoff_max",
    "RestartMaxDelaySec": "restart.backoff_max",
    "StartLimitBurst": "restart.max_restarts",
    "StartLimitIntervalSec": "restart.period",
    "KillMode": "kill_mode",
    "KillSignal": "stop_signal",
    "ExecReload": "reload",
    "WatchdogSec": "watchdog",
    "TimeoutStartSec": "timeouts.start",
    "TimeoutStopSec": "timeouts.stop",
    "TimeoutSec": "timeouts.start",
    "RuntimeMaxSec": "runtime.max_age",
    "Requires": "depends.requires",
    "Requisite": "depends.requires",
    "BindsTo": "depends.requires",
    "MemoryDenyWriteExecute": "sandbox",
    "PrivateDevices": "sandbox",
    "PrivateUsers": "sandbox",
    "ProcSubset": "sandbox",
    "ProtectHome": "sandbox",
    "ProtectSystem": "sandbox",
    "ReadWritePaths": "sandbox",
    "RestrictAddressFamilies": "sandbox",
    "SystemCallFilter": "sandbox",
    "IPAddressAllow": "sandbox",
    "IPAddressDeny": "sandbox",
}


def directives(node: Node) -> PassedLines:
    """(section, directive, value) of a `unit:` mapping. A list gives the directive several
    times."""
    result: list[tuple[str, str, str]] = []
    problems: list[NodeProblem] = []
    for section, content in entries_of(node, "a mapping of sections"):
        try:
            _check_section(section)
            entries = entries_of(content, "a mapping of directives")
        except Invalid as error:
            problems += error.problems
            continue
        for directive, value in entries:
            try:
                result += [(section.text, directive.text, text) for text in _values(section, directive, value)]
            except Invalid as error:
                problems += error.problems
    if problems:
        raise Invalid(problems)
    return tuple(result)


def _check_section(section: ScalarNode) -> None:
    if section.text not in DIRECTIVES:
        hint = did_you_mean(section.text.title(), DIRECTIVES) or "only Unit and Service can be passed through"
        raise invalid(section, f"{shown(section.text)} is no section to pass through", hint)


def _values(section: ScalarNode, directive: ScalarNode, value: Node) -> tuple[str, ...]:
    name = directive.text
    if name not in DIRECTIVES[section.text]:
        raise invalid(directive, f"{shown(name)} is not passed through", _instead(section.text, name))
    read = scalar(partial(_read, name, DIRECTIVES[section.text][name]))
    nodes = items_of(value)
    if not nodes:
        raise invalid(value, f"{name} has no value", "write one, or remove the line")
    return tuple(read(node) for node in nodes)


def _read(name: str, row: Directive, text: str) -> str:
    try:
        return row.value(text)
    except Reject as error:
        takes = f"{name} takes: {row.takes}"
        raise Reject(f"{name}: {error.message}", f"{error.hint}; {takes}" if error.hint else takes) from error


def _instead(section: str, name: str) -> str:
    if name in INSTEAD:
        return f"use the setting '{INSTEAD[name]}'"
    if name in REFUSED:
        return f"{REFUSED[name]}; whoever needs it nevertheless: systemctl edit"
    other = next((s for s, names in DIRECTIVES.items() if name in names), None)
    if other is not None:
        return f"it belongs under {other}:"
    near = did_you_mean(name, DIRECTIVES[section])
    return near or "what is harmless is listed by 'tqunits docs unit'; for the rest there is systemctl edit"
