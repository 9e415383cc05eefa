"""Which source decides a setting: the table's default < the preset < `defaults:` of tqunits.yaml <
worker.yaml.

A preset comes from the type, or, if no type is written, from the command's program
(config/presets.py).

A layer maps dotted keys to values with their origin. `Values` is a stack of layers. It is read by
rows of the SETTINGS table, so that each value has its row's type.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar, cast

from tqunits.config import nodes
from tqunits.config.findings import Invalid, NodeProblem, note
from tqunits.config.nodes import ListNode, Node, ScalarNode
from tqunits.config.presets import BY_FILE, PRESETS, of_program
from tqunits.config.setting import Setting
from tqunits.config.settings import SERVER, WORKER
from tqunits.config.tree import SettingEntry
from tqunits.light_dataclass import dataclass
from tqunits.model import OriginKind, SettingOrigin, WorkerType

T = TypeVar("T")

NOT_YET = "it is read and checked, and does nothing so far"


@dataclass(frozen=True, slots=True)
class Value:
    """One effective setting; `node` if somebody wrote it."""

    value: object
    origin: SettingOrigin
    node: Node | None = None


Layer = Mapping[str, Value]


class Values:
    """The settings in effect for one worker, or for the server."""

    def __init__(self, *layers: Layer) -> None:
        self._values: dict[str, Value] = {}
        for layer in layers:
            self._values.update(layer)

    def __getitem__(self, setting: Setting[T]) -> T:
        return cast("T", self._values[setting.key].value)  # each layer was made by the setting's own parser

    def fill(self, make: Callable[..., T], fields: Iterable[tuple[str, str]]) -> T:
        """Call `make` with the values of these settings; `fields`: pairs of an argument's name and
        a setting's key."""
        found = self._values
        return make(**{name: found[key].value for name, key in fields})

    def node(self, setting: Setting[object]) -> Node | None:
        """The node of the value, if it was written in a file."""
        return self._values[setting.key].node

    def written(self, setting: Setting[object]) -> bool:
        """Whether somebody wrote it, in worker.yaml or in `defaults:`."""
        return self.node(setting) is not None

    def origin(self, setting: Setting[object]) -> SettingOrigin:
        """The source that decided it."""
        return self._values[setting.key].origin

    @property
    def origins(self) -> dict[str, SettingOrigin]:
        """For each setting the source that decided it."""
        return {key: value.origin for key, value in self._values.items()}


def evaluate(
    entries: Mapping[str, SettingEntry], settings: Mapping[str, Setting[object]], kind: OriginKind
) -> tuple[dict[str, Value], list[NodeProblem]]:
    """The layer of what was written, without the values that have errors."""
    layer: dict[str, Value] = {}
    problems: list[NodeProblem] = []
    for key, entry in entries.items():
        setting = settings[key]
        try:
            origin = SettingOrigin(kind=kind, mark=entry.name.mark, items=nodes.items(entry.node))
            layer[key] = Value(setting.parse(entry.node), origin, entry.node)
        except Invalid as error:
            problems += (problem.about(key) for problem in error.problems)
        if not setting.in_effect:
            problems.append(note(entry.name, f"'{key}' is not in effect yet", NOT_YET))
    return layer, problems


@lru_cache(maxsize=1)
def server_defaults() -> Layer:
    """The table's defaults for tqunits.yaml."""
    return {key: _literal(row, row.default or "null", _DEFAULT) for key, row in SERVER.items()}


def worker_defaults(
    worker_type: WorkerType, name: str, present: Collection[str] = (), command: Sequence[str] = ()
) -> Layer:
    """The table's defaults for a worker.yaml, with the presets of the type.

    `name`: a valid name. `present`: the files in the worker's folder that presets depend on.
    `command`: the command that somebody wrote.
    """
    named = {key: _literal(WORKER[key], text, origin, name) for key, text, origin in _named(worker_type)}
    file, texts = BY_FILE.get(worker_type, ("", {}))
    more = texts if file in present else {}
    return {
        **_unnamed(worker_type),
        **_preset(*of_program(worker_type, command)),
        **named,
        **_preset(worker_type, more),
    }


@lru_cache(maxsize=len(WorkerType))
def _unnamed(worker_type: WorkerType) -> Layer:
    """The values that all workers of a type share. A required setting starts as an empty tuple."""
    layer = {
        key: _literal(row, row.default, _DEFAULT) if row.default else Value((), _DEFAULT) for key, row in WORKER.items()
    }
    return {**layer, **_preset(worker_type, PRESETS[worker_type])}


@lru_cache(maxsize=len(WorkerType))
def _named(worker_type: WorkerType) -> tuple[tuple[str, str, SettingOrigin], ...]:
    """The values that contain the worker's name."""
    preset = PRESETS[worker_type]
    own = [(key, row.default, _DEFAULT) for key, row in WORKER.items() if row.default and key not in preset]
    texts = [*own, *((key, text, _preset_of(worker_type)) for key, text in preset.items())]
    return tuple((key, text, origin) for key, text, origin in texts if "{name}" in text)


def _preset(by: str, texts: Mapping[str, str]) -> Layer:
    """The layer that a type or a program presets."""
    return {key: _literal(WORKER[key], text, _preset_of(by)) for key, text in texts.items()}


def _literal(setting: Setting[object], text: str, origin: SettingOrigin, name: str = "name") -> Value:
    """A value of the table, parsed as if it stood in a file."""
    return Value(setting.parse(_named_node(_node(text), name)), origin)


@lru_cache(maxsize=256)
def _node(text: str) -> Node:
    """A text of the table as YAML. `{name}` is replaced by _NAME, because braces mean a mapping in
    YAML."""
    root = nodes.read(text.replace("{name}", _NAME).encode(), "settings.py").root
    if root is None:
        raise ValueError(f"{text!r} is not YAML")
    return root


def _named_node(node: Node, name: str) -> Node:
    """The same node with the worker's name in it."""
    match node:
        case ScalarNode(text=text) if _NAME in text:
            return replace(node, text=text.replace(_NAME, name))
        case ListNode(items=items):
            return replace(node, items=tuple(_named_node(item, name) for item in items))
        case _:
            return node


_NAME = "0NAME0"
"""A text that no worker can have as its name."""

_DEFAULT = SettingOrigin(kind=OriginKind.DEFAULT)


@lru_cache(maxsize=64)
def _preset_of(by: str) -> SettingOrigin:
    return SettingOrigin(kind=OriginKind.PRESET, preset=str(by))
