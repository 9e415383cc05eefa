"""Makes the model from the texts of the files: `parse_server` and `parse_workers`, which return all
findings of all files at once.

It is pure: host/sources.py reads the files. A setting with an error counts as its default from
there on, so that the rules across files (cross_checks.py) still see every worker. A worker with an
error is left out of the configuration, which lists its name. With an error in tqunits.yaml there is
no configuration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import cast

from tqunits.config import assemble, cross_checks, nodes, words
from tqunits.config.cross_checks import Draft
from tqunits.config.findings import NodeProblem, diagnostics, has_errors, warning
from tqunits.config.layers import Layer, Value, Values, evaluate, server_defaults, worker_defaults
from tqunits.config.nodes import MapNode, Node, YamlReading
from tqunits.config.reject import Reject
from tqunits.config.server_settings import ServerSettings as S
from tqunits.config.setting import Setting
from tqunits.config.settings import SERVER, WORKER
from tqunits.config.source_digest import source_digest
from tqunits.config.tree import (
    DEFAULTS,
    SERVER_SCHEMA,
    WORKER_SCHEMA,
    Flat,
    Schema,
    SettingEntry,
    canonical,
    flatten,
    merge,
)
from tqunits.config.worker_settings import WorkerSettings as W
from tqunits.errors import Diagnostic, Severity
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, Mode, NotRoots, OriginKind, Server, SettingOrigin, Worker, WorkerType


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One file: its path as shown in findings, and its bytes."""

    path: PurePosixPath
    content: bytes
    writable_by_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerText:
    """A worker's folder and its worker.yaml."""

    name: str
    folder: PurePosixPath
    text: Text
    not_roots: NotRoots | None  # as in model.Worker
    present: frozenset[str] = frozenset()  # the files in the folder that presets depend on


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """`defaults:` of all files: the entries as written, and their values."""

    entries: Mapping[str, SettingEntry]
    layer: Layer

    @property
    def canonical(self) -> str:
        """The content as text, which is part of every worker's source hash."""
        return _canonical(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerResult:
    """`server` is never None: it has defaults instead of values with errors, so that the workers
    are checked all the same.

    `scale`: for each worker that `scale` names the value of its scaling.min_workers.
    """

    server: Server
    defaults: Defaults
    scale: Mapping[str, Value]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersResult:
    """`configuration` is None when the server has an error. It holds the workers without errors.

    `diagnostics` are the workers' own.
    """

    configuration: Configuration | None
    diagnostics: tuple[Diagnostic, ...]


def parse_server(
    main: Text | None,
    drop_ins: Sequence[Text],
    *,
    source: PurePosixPath,
    root: PurePosixPath | None,
    workers: PurePosixPath = SYSTEM_LAYOUT.workers,
) -> ServerResult:
    """Parse tqunits.yaml and its drop-ins; later files override earlier ones key by key.

    `source`: the path of tqunits.yaml, whether or not it exists. Where the files do not name it,
    the folder of the workers is `root`/workers, or without a root `workers`.
    """
    problems: list[NodeProblem] = []
    entries: dict[str, SettingEntry] = {}
    common: dict[str, SettingEntry] = {}
    top: Node | None = None
    for text in (*((main,) if main else ()), *drop_ins):
        reading = _read(text, problems)
        top = top or reading.top
        own, for_all = _split(_flatten(reading, SERVER_SCHEMA, problems), problems)
        _overlay(entries, own, SERVER)
        _overlay(common, for_all, WORKER)
    layer, found = evaluate(entries, SERVER, OriginKind.SERVER)
    common_layer, found_common = evaluate(common, WORKER, OriginKind.SERVER)
    values = Values(server_defaults(), layer)
    problems += [*found, *found_common, *(cross_checks.within_server(values, top) if top else ())]
    return ServerResult(
        server=assemble.server(
            values,
            _bounds(common_layer),
            source=source,
            source_hash=source_digest(text.content for text in ((main, *drop_ins) if main else drop_ins)),
            settings_hash=source_digest(map(_encoded, (_canonical(entries), _canonical(common)))),
            root=root,
            workers=workers,
        ),
        defaults=Defaults(entries=common, layer=common_layer),
        scale=_scaled(values),
        diagnostics=diagnostics(problems),
    )


def parse_workers(texts: Sequence[WorkerText], server: ServerResult) -> WorkersResult:
    """Parse all workers, in any order, and apply the rules across them."""
    problems: list[NodeProblem] = []
    drafts = [_draft(text, server, problems) for text in sorted(texts, key=lambda text: text.name)]
    problems += cross_checks.across_workers(drafts, server.server)
    findings = diagnostics(problems)
    configuration = None
    if not has_errors(server.diagnostics):
        wrong = {finding.mark.file for finding in findings if finding.mark and finding.severity is Severity.ERROR}
        configuration = Configuration(
            server=server.server,
            workers=tuple(draft.worker for draft in drafts if str(draft.worker.source) not in wrong),
            broken=tuple(draft.name for draft in drafts if str(draft.worker.source) in wrong),
        )
    return WorkersResult(configuration=configuration, diagnostics=findings)


def _bounds(common: Layer) -> Values:
    """The values of a worker that writes nothing."""
    return Values(worker_defaults(_type(common), "name"), common)


def _scaled(values: Values) -> Mapping[str, Value]:
    """The numbers of `scale`, each with its place."""
    node = values.node(S.scale)
    places = {key.text: (key, value) for key, value in node.entries} if isinstance(node, MapNode) else {}
    found = ((name, number, *places[name]) for name, number in values[S.scale].items())
    return {
        name: Value(number, SettingOrigin(kind=OriginKind.SERVER, mark=key.mark), value)
        for name, number, key, value in found
    }


def _draft(text: WorkerText, server: ServerResult, problems: list[NodeProblem]) -> Draft:
    defaults, number = server.defaults, server.scale.get(text.name)
    reading = _read(text.text, problems, nodes.MAX_WORKER_TEXT)
    name = _valid_name(text.name, reading.top, problems)
    entries = _flatten(reading, WORKER_SCHEMA, problems).entries
    is_readable = isinstance(reading.root, MapNode)
    if is_readable and W.path.key not in entries:
        problems.append(NodeProblem(reading.top, "path is missing", f"write the route, such as path: /{text.name}"))
    layer, found = evaluate(_on_defaults(entries, defaults), WORKER, OriginKind.WORKER)
    wrong = frozenset(entries.keys() - layer.keys())
    written = (layer, defaults.layer)
    presets = worker_defaults(_type(*written), name, text.present, _command(*written))
    values = Values(presets, defaults.layer, layer, {} if number is None else {W.min_workers.key: number})
    draft = Draft(
        text.name, _worker(text, values, _common(defaults, number), server.server.mode), values, reading.top, wrong
    )
    problems += found
    if is_readable:
        problems += cross_checks.within_worker(draft)
    return draft


def _common(defaults: Defaults, number: Value | None) -> str:
    """What tqunits.yaml says of this worker, as text."""
    return defaults.canonical + ("" if number is None else f"\0{S.scale.key}: {number.value}")


def _canonical(entries: Mapping[str, SettingEntry]) -> str:
    """What is written, as text."""
    return "\n".join(f"{key}: {canonical(entry.node)}" for key, entry in sorted(entries.items()))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _worker(text: WorkerText, values: Values, common: str, mode: Mode) -> Worker:
    digest = hashlib.sha256(text.text.content + b"\0" + _encoded(common))
    return assemble.worker(
        values,
        name=text.name,
        folder=text.folder,
        source=text.text.path,
        source_hash=digest.hexdigest(),
        not_roots=text.not_roots,
        in_development=mode is Mode.DEVELOPMENT,
    )


def _read(text: Text, problems: list[NodeProblem], most_text: int = nodes.MAX_TEXT) -> YamlReading:
    reading = nodes.read(text.content, str(text.path), most_text=most_text)
    problems += (NodeProblem(mistake.node, mistake.message, mistake.hint) for mistake in reading.mistakes)
    if text.writable_by_others:
        message = "others may write this file: who can change it decides what runs here"
        problems.append(warning(reading.top, message, f"chmod go-w {text.path}"))
    return reading


def _flatten(reading: YamlReading, schema: Schema, problems: list[NodeProblem]) -> Flat:
    """The entries of a file; empty when it is not YAML."""
    flat = flatten(reading.root or MapNode(reading.top.document, 1, 1, ()), schema)
    problems += flat.problems
    return flat


def _split(flat: Flat, problems: list[NodeProblem]) -> tuple[dict[str, SettingEntry], dict[str, SettingEntry]]:
    """The server's own entries, and those of `defaults:` (for some of which TQServer has another
    place)."""
    own = {key: entry for key, entry in flat.entries.items() if key.partition(".")[0] != DEFAULTS}
    common = {
        key.removeprefix(f"{DEFAULTS}."): entry for key, entry in flat.entries.items() if key not in own and "." in key
    }
    written = flat.entries.get(DEFAULTS)
    if written is not None:
        inner = flatten(written.node, WORKER_SCHEMA)
        problems += inner.problems
        common |= inner.entries
    for key in [key for key in common if not WORKER[key].for_all]:
        message = f"'{key}' is no default: it differs from worker to worker"
        problems.append(NodeProblem(common.pop(key).name, message, "write it in each worker.yaml"))
    return own, common


def _overlay(
    lower: dict[str, SettingEntry], upper: Mapping[str, SettingEntry], settings: Mapping[str, Setting[object]]
) -> None:
    for key, entry in upper.items():
        below = lower.get(key)
        lower[key] = (
            SettingEntry(key, entry.name, merge(below.node, entry.node, settings[key].merges)) if below else entry
        )


def _on_defaults(entries: Mapping[str, SettingEntry], defaults: Defaults) -> Mapping[str, SettingEntry]:
    """The worker's entries. A mapping that merges also has the names of the one in `defaults:`,
    unless that one has errors."""
    merged = {key: entry for key, entry in defaults.entries.items() if key in entries and key in defaults.layer}
    merged = {key: entry for key, entry in merged.items() if WORKER[key].merges}
    if not merged:
        return entries
    _overlay(merged, entries, WORKER)
    return merged


def _type(*layers: Layer) -> WorkerType:
    """The worker's type, from the first layer that has one."""
    value: Value | None = next((layer[W.type.key] for layer in layers if W.type.key in layer), None)
    return value.value if value is not None and isinstance(value.value, WorkerType) else WorkerType.EXEC


def _command(*layers: Layer) -> Sequence[str]:
    """The written command, from the first layer that has one."""
    value = next((layer[W.command.key].value for layer in layers if W.command.key in layer), ())
    return cast("Sequence[str]", value)  # made by the setting's own parser


def _valid_name(name: str, top: Node, problems: list[NodeProblem]) -> str:
    """The name; for an invalid one a stand-in, until the folder is renamed."""
    try:
        return words.worker_name(name)
    except Reject as error:
        problems.append(NodeProblem(top, error.message, error.hint))
        return "name"
