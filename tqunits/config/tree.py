"""Makes a document's entries: dotted key -> the node that is written there. Unknown and repeated
keys are reported here.

The SETTINGS table decides the shape of a document: `limits.memory_max` is a setting, so `limits` is
a group. TQServer's names (tqserver.py) are replaced by ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from tqunits.config import tqserver
from tqunits.config.findings import MAX_PER_FILE, NodeProblem, note, warning
from tqunits.config.nodes import ListNode, MapNode, Node, ScalarNode
from tqunits.config.parsers import is_null
from tqunits.config.reject import did_you_mean, shown
from tqunits.config.setting import Setting
from tqunits.config.settings import SERVER, WORKER
from tqunits.config.tqserver import Spelling
from tqunits.light_dataclass import dataclass

DEFAULTS = "defaults"

_EMPTY = frozenset({"health"})
"""Groups with a short form for which an empty value means nothing: it is what is left when all
lines are comments."""


@dataclass(frozen=True, slots=True)
class SettingEntry:
    """One setting as written: the node of its key, and that of its value."""

    key: str
    name: ScalarNode
    node: Node


@dataclass(frozen=True, slots=True)
class Schema:
    """The keys that a document may have."""

    settings: Mapping[str, Setting[object]]
    spellings: Mapping[str, Spelling]
    groups: frozenset[str]
    free: frozenset[str] = frozenset()  # keys whose content has another schema
    short: Mapping[str, str] = field(default_factory=dict)  # a group -> its setting that a single value sets

    @classmethod
    def of(
        cls,
        settings: Mapping[str, Setting[object]],
        spellings: Mapping[str, Spelling],
        *free: str,
        short: Mapping[str, str] | None = None,
    ) -> Schema:
        """The schema for a table of settings."""
        dotted = (*settings, *spellings)
        groups = {key[:at] for key in dotted for at in range(len(key)) if key[at] == "."}
        return cls(settings, spellings, frozenset(groups), frozenset(free), short or {})


WORKER_SCHEMA = Schema.of(
    WORKER,
    tqserver.WORKER_SPELLINGS,
    short={"build": "build.command", "depends": "depends.requires", "health": "health.type"},
)
SERVER_SCHEMA = Schema.of(SERVER, tqserver.SERVER_SPELLINGS, DEFAULTS)


@dataclass(slots=True)
class Flat:
    """The entries of one document."""

    entries: dict[str, SettingEntry] = field(default_factory=dict)
    problems: list[NodeProblem] = field(default_factory=list)


def flatten(root: Node, schema: Schema) -> Flat:
    """The entries of a document's root."""
    flat = Flat()
    parts: dict[str, dict[str, SettingEntry]] = {}
    for entry in _walk(root, "", schema, flat.problems):
        spelling = schema.spellings.get(entry.key)
        if spelling is None:
            _put(flat, entry)
            continue
        flat.problems.append(note(entry.name, _told(entry.key, spelling)))
        if spelling.to is not None and spelling.to in tqserver.JOINED:
            parts.setdefault(spelling.to, {})[entry.key] = entry
        elif spelling.to is not None:
            _put(flat, SettingEntry(spelling.to, entry.name, spelling.convert(entry.node)))
    for key, group in parts.items():
        node = tqserver.JOINED[key]({name: part.node for name, part in group.items()})
        _put(flat, SettingEntry(key, next(iter(group.values())).name, node))
    return flat


def canonical(node: Node) -> str:
    """The content of a node as text, independent of its layout; for hashes."""
    match node:
        case ScalarNode():
            return "null" if node.is_null else repr(node.text)
        case ListNode():
            return f"[{', '.join(canonical(item) for item in node.items)}]"
        case MapNode():
            return f"{{{', '.join(sorted(f'{key.text!r}: {canonical(value)}' for key, value in node.entries))}}}"
        case _:
            return ""


def merge(lower: Node, upper: Node, depth: int) -> Node:
    """Two mappings merged by name, `depth` levels deep; `upper` overrides. For anything else
    `upper`."""
    if depth == 0 or not (isinstance(lower, MapNode) and isinstance(upper, MapNode)):
        return upper
    merged = {key.text: (key, value) for key, value in lower.entries}
    for key, value in upper.entries:
        below = merged.get(key.text)
        merged[key.text] = (key, merge(below[1], value, depth - 1) if below else value)
    return MapNode(upper.document, upper.line, upper.column, tuple(merged.values()))


def _walk(node: Node, prefix: str, schema: Schema, problems: list[NodeProblem]) -> Iterator[SettingEntry]:
    if is_null(node):
        return
    if not isinstance(node, MapNode):
        where = f"{prefix[:-1]}: holds settings" if prefix else "the file holds settings"
        problems.append(NodeProblem(node, f"{where}, one 'key: value' per line", _example(prefix, schema)))
        return
    for name, value in node.entries:
        if len(problems) >= MAX_PER_FILE:
            return
        key = prefix + name.text
        is_value = key in schema.settings or key in schema.spellings or key in schema.short
        if key in schema.groups and is_null(value) and (not is_value or _is_empty(key, value)):
            problems += _told_of_null(key, value)
        elif key in schema.groups and (isinstance(value, MapNode) or not is_value):
            yield from _walk(value, key + ".", schema, problems)
        elif is_value or key in schema.free:
            yield SettingEntry(schema.short.get(key, key), name, value)
        else:
            problems.append(NodeProblem(name, f"unknown key {shown(name.text)}", _known(name.text, prefix, schema)))


def _is_empty(key: str, value: Node) -> bool:
    return key in _EMPTY and isinstance(value, ScalarNode) and not value.text


def _told_of_null(key: str, value: Node) -> Iterator[NodeProblem]:
    """YAML reads a group whose lines are all comments as null, which is fine. Only a written `null`
    may have been meant as something."""
    if isinstance(value, ScalarNode) and value.text:
        yield warning(value, f"{key}: {value.text} changes nothing: its settings keep their defaults", "leave it out")


def _put(flat: Flat, entry: SettingEntry) -> None:
    first = flat.entries.get(entry.key)
    if first is None:
        flat.entries[entry.key] = entry
    else:
        message = f"'{entry.key}' is set twice in this file"
        flat.problems.append(NodeProblem(entry.name, message, f"also on line {first.name.line}: keep one of them"))


def _told(key: str, spelling: Spelling) -> str:
    if spelling.to is None:
        return f"'{key}' is TQServer's and has no effect: {spelling.why}"
    return f"'{key}' is TQServer's spelling of '{spelling.to}'"


def _known(name: str, prefix: str, schema: Schema) -> str | None:
    """A hint: the same name elsewhere, the nearest name here, or all names here."""
    elsewhere = next((key for key in schema.settings if key.endswith("." + name)), None)
    if elsewhere is not None:
        return f"did you mean '{elsewhere}'?"
    here = sorted({key.removeprefix(prefix).split(".")[0] for key in schema.settings if key.startswith(prefix)})
    near = did_you_mean(name, [*here, *(schema.free if not prefix else ())])
    if near or not prefix:
        return near or "'tqunits docs' lists all settings"
    return f"known here: {', '.join(here)}" if here else None


def _example(prefix: str, schema: Schema) -> str | None:
    first = next((s for key, s in schema.settings.items() if key.startswith(prefix)), None)
    return f"such as {{{first.name}: {first.default}}}" if prefix and first else None
