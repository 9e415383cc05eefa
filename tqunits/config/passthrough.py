"""The `unit:` setting: directives passed through to the unit, against an allow-list.

Only what can not gain privilege, leave the sandbox or break what tqunits promises is on the list: priorities, limits,
accounting, log rates, ordering. Everything else is refused with the setting to use instead, where there is one;
whatever is really needed can still be set by the administrator with `systemctl edit`, where it is seen as his.
"""

from __future__ import annotations

from tqunits.config import words
from tqunits.config.fields import entries_of, items_of, scalar
from tqunits.config.findings import Invalid, Problem, invalid
from tqunits.config.marks import Node, ScalarNode
from tqunits.config.reject import did_you_mean, shown

Directives = tuple[tuple[str, str, str], ...]


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


ALLOWED = {
    "Unit": _set("Description Documentation After Before Wants"),
    "Service": _set(
        "Nice IOSchedulingClass IOSchedulingPriority OOMScoreAdjust CPUAffinity AllowedCPUs AllowedMemoryNodes "
        "NUMAPolicy NUMAMask LogLevelMax LogRateLimitIntervalSec LogRateLimitBurst LogExtraFields TimeoutAbortSec "
        "MemoryMin MemoryLow MemorySwapMax MemoryZSwapMax StartupCPUWeight StartupIOWeight IODeviceWeight "
        "IOReadBandwidthMax IOWriteBandwidthMax IOReadIOPSMax IOWriteIOPSMax LimitCORE LimitMEMLOCK LimitSTACK "
        "LimitFSIZE LimitMSGQUEUE LimitSIGPENDING LimitAS LimitDATA LimitRSS LimitCPU CoredumpFilter TimerSlackNSec "
        "RestartPreventExitStatus RestartForceExitStatus SuccessExitStatus IPAccounting"
    ),
}

INSTEAD = {
    "ExecStart": "command",
    "ExecStartPre": "build",
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
    "RestartMaxDelaySec": "restart.backoff_max",
    "StartLimitBurst": "restart.max_restarts",
    "StartLimitIntervalSec": "restart.period",
    "TimeoutStartSec": "timeouts.start",
    "TimeoutStopSec": "timeouts.stop",
    "TimeoutSec": "timeouts.start",
    "RuntimeMaxSec": "runtime.max_age",
    "MemoryMax": "limits.memory_max",
    "MemoryHigh": "limits.memory_high",
    "CPUQuota": "limits.cpu_quota",
    "CPUWeight": "limits.cpu_weight",
    "TasksMax": "limits.tasks_max",
    "IOWeight": "limits.io_weight",
    "LimitNOFILE": "limits.limit_nofile",
    "LimitNPROC": "limits.limit_nproc",
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

_UNIT_LISTS = _set("After Before Wants")


def directives(node: Node) -> Directives:
    """(section, directive, value) of a `unit:` mapping; a list gives the directive several times."""
    result: list[tuple[str, str, str]] = []
    problems: list[Problem] = []
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
    if section.text not in ALLOWED:
        hint = did_you_mean(section.text.title(), ALLOWED) or "only Unit and Service can be passed through"
        raise invalid(section, f"{shown(section.text)} is no section to pass through", hint)


def _values(section: ScalarNode, directive: ScalarNode, value: Node) -> tuple[str, ...]:
    name = directive.text
    if name not in ALLOWED[section.text]:
        raise invalid(directive, f"{shown(name)} is not passed through", _instead(section.text, name))
    read = scalar(_unit_list if name in _UNIT_LISTS else words.word)
    nodes = items_of(value)
    if not nodes:
        raise invalid(value, f"{name} has no value", "write one, or remove the line")
    return tuple(read(node) for node in nodes)


def _unit_list(text: str) -> str:
    return " ".join(words.unit_name(word) for word in words.word(text).split(" ") if word)


def _instead(section: str, name: str) -> str:
    if name in INSTEAD:
        return f"use the setting '{INSTEAD[name]}'"
    other = next((s for s, names in ALLOWED.items() if name in names), None)
    if other is not None:
        return f"it belongs under {other}:"
    near = did_you_mean(name, ALLOWED[section])
    return near or "what is harmless is listed by 'tqunits docs unit'; for the rest there is systemctl edit"
