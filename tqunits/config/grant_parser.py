"""Parses the setting `grants` of tqunits.yaml: what root allows a worker whose files are not
root's.

It is a mapping from workers' names, or "*", to mappings with a closed list of keys. units/grants.py
decides what each key allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from tqunits.config import unit_names, words
from tqunits.config.directives import DIRECTIVES
from tqunits.config.findings import Invalid, NodeProblem, invalid
from tqunits.config.nodes import Node, ScalarNode
from tqunits.config.parsers import Parser, collected, entries_of, listing, profile_or_relaxation, scalar
from tqunits.config.reject import Reject, did_you_mean, shown
from tqunits.config.setting import Setting
from tqunits.config.worker_settings import WorkerSettings as W
from tqunits.model import ALLOWANCES, ANYBODY, Grant
from tqunits.resources import Descriptors, Share

T = TypeVar("T")

_LIMITS = {
    row.name: row
    for row in vars(W).values()
    if isinstance(row, Setting) and (row.group == "limits" or row.group == ALLOWANCES.get(row.name))
}


def grants(node: Node) -> Mapping[str, Grant]:
    """Worker's name, or ANYBODY -> grant."""
    name = scalar(_worker)
    return collected(entries_of(node, "a mapping of workers' names"), lambda key, value: (name(key), _grant(value)))


def pattern(text: str) -> str:
    """An absolute path in which * matches any part of one name."""
    path = words.path(text)
    if not path.startswith("/"):
        raise Reject(f"{shown(text)} is no absolute path", f"write /srv/{text}, wherever it is")
    return path


def _worker(text: str) -> str:
    return text if text == ANYBODY else words.worker_name(text)


def _directive(text: str) -> str:
    known = [name for names in DIRECTIVES.values() for name in names]
    if text not in known:
        hint = did_you_mean(text, known) or "'tqunits docs unit' lists what can be passed through"
        raise Reject(f"{shown(text)} is not passed through by any worker", hint)
    return text


def _operator(text: str) -> str:
    return f"%{words.group(text[1:])}" if text.startswith("%") else words.user(text)


def _limits(node: Node) -> Mapping[str, int | Share]:
    return collected(entries_of(node, "a mapping of limits"), _limit)


def _limit(key: ScalarNode, value: Node) -> tuple[str, int | Share]:
    row = _LIMITS.get(key.text)
    if row is None:
        hint = did_you_mean(key.text, _LIMITS) or f"known here: {', '.join(_LIMITS)}"
        raise invalid(key, f"unknown limit {shown(key.text)}", hint)
    match row.parse(value):
        case Descriptors() as files:
            return key.text, files.hard
        case int() | Share() as most:
            return key.text, most
        case _:
            raise invalid(value, f"{key.text} has no value", "write how much the worker may have")


class _Keys:
    """Reads one grant key by key, and collects its problems."""

    def __init__(self, node: Node) -> None:
        self._entries = {key.text: (key, value) for key, value in entries_of(node, "a mapping of what is granted")}
        self._known: list[str] = []
        self._problems: list[NodeProblem] = []

    def __call__(self, key: str, parse: Parser[T], default: T) -> T:
        self._known.append(key)
        if key not in self._entries:
            return default
        try:
            return parse(self._entries[key][1])
        except Invalid as error:
            self._problems += (problem.about(key) for problem in error.problems)
            return default

    def done(self) -> None:
        """Raise Invalid for all problems so far, and for unknown keys."""
        for key, (node, _) in self._entries.items():
            if key not in self._known:
                hint = did_you_mean(key, self._known) or f"known here: {', '.join(self._known)}"
                self._problems.append(NodeProblem(node, f"{shown(key)} can not be granted", hint))
        if self._problems:
            raise Invalid(self._problems)


def _grant(node: Node) -> Grant:
    read = _Keys(node)
    grant = Grant(
        routes=read("routes", listing(words.route), ()),
        hosts=read("hosts", listing(words.host), ()),
        ports=read("ports", listing(words.port), ()),
        users=read("user", listing(words.user), ()),
        groups=read("group", listing(words.group), ()),
        credentials=read("credentials", listing(pattern), ()),
        environment_files=read("environment_files", listing(pattern), ()),
        static=read("static", listing(pattern), ()),
        depends=read("depends", listing(unit_names.named), ()),
        limits=read("limits", _limits, {}),
        sandbox=read("sandbox", listing(profile_or_relaxation), ()),
        unit=read("unit", listing(_directive), ()),
        operators=read("operators", listing(_operator), ()),
    )
    read.done()
    return grant
