"""The documentation of the settings, made from the SETTINGS table: the reference and the example
files.

In an example file a line that begins with `#` and no single space is a setting with its default:
remove the `#` to set it. A line that begins with `# ` is prose. The file is valid as it is, and
also with every such `#` removed (tests verify that).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import wrap

from tqunits.config.presets import BY_PROGRAM, PRESETS
from tqunits.config.reject import did_you_mean
from tqunits.config.setting import File, Setting
from tqunits.config.settings import GROUPS, SETTINGS

WIDTH = 100
NOT_YET = "Not in effect yet."

_EXAMPLES = {
    "path": "/example",
    "command": '["bin/example"]',
    "user": "worker-example",
    "group": "worker-example",
}
"""Values in the example file for settings without a default, or whose default depends on the
worker."""

_LIVE = ("path", "command")
"""The required settings of a worker.yaml of type exec."""

_HEADERS = {
    File.WORKER: (
        "A worker: config/worker.yaml in its folder. 'path', and a 'command' or a 'type', must be written.",
        "Take the '#' away from a setting to set it. 'tqunits check' checks the file, 'tqunits docs' explains more.",
    ),
    File.SERVER: (
        "The host: /etc/tqunits/tqunits.yaml. Every setting has a default, shown here; files in tqunits.yaml.d/ win.",
        "Take the '#' away from a setting to set it. 'tqunits check' checks the file, 'tqunits docs' explains more.",
    ),
}


def select(key: str) -> tuple[Setting[object], ...]:
    """The settings that `key` names: one setting, a group, or a file (worker, tqunits). Empty when
    it names none."""
    wanted = key.removeprefix("defaults.")
    return tuple(s for s in SETTINGS if key in (s.file, s.file.removesuffix(".yaml")) or wanted in (s.key, s.group))


def nearest(key: str) -> str | None:
    """A hint for a key that select() does not know: the same name in a group, or the nearest
    key."""
    last = key.rpartition(".")[2]
    inside = next((setting.key for setting in SETTINGS if setting.name == last), None)
    return f"did you mean '{inside}'?" if inside else did_you_mean(key, [*GROUPS, *(s.key for s in SETTINGS)])


def text(settings: Iterable[Setting[object]]) -> str:
    """The reference for a terminal."""
    parts = []
    for file, rows in groupby(settings, key=lambda setting: setting.file):
        parts.append(f"{file}\n\n" + "\n".join(_entry(row) for row in rows))
    return "\n".join(parts)


def markdown(settings: Iterable[Setting[object]]) -> str:
    """The reference as Markdown tables."""
    parts = []
    for file, rows in groupby(settings, key=lambda setting: setting.file):
        lines = [f"## {file}", "", "| setting | takes | default | sets | |", "| --- | --- | --- | --- | --- |"]
        lines += ("| " + " | ".join(map(_cell, _columns(row))) + " |" for row in rows)
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def as_json(setting: Setting[object]) -> Mapping[str, object]:
    """One setting as in `tqunits docs --json`."""
    return {
        "file": setting.file.value,
        "key": setting.key,
        "takes": setting.takes,
        "default": _named(setting.default) if setting.default else None,
        "presets": {name: _named(texts[setting.key]) for name, texts in _presets(setting)},
        "sets": setting.feeds or None,
        "since": setting.since,
        "in_effect": setting.in_effect,
        "doc": setting.doc,
    }


def example(file: File) -> str:
    """The commented example file: config/worker.yaml or config/tqunits.yaml."""
    lines = [f"# {line}" for line in _HEADERS[file]]
    rows = [setting for setting in SETTINGS if setting.file is file]
    for group, found in groupby(rows, key=lambda setting: setting.group):
        members = [*found]
        lines += ["", *(_group(group, members) if group else _top_level(members))]
    if file is File.SERVER:
        lines += [
            "",
            *_prose("Any setting of worker.yaml but path, host, user, group and port, for all workers."),
            "#defaults: {}",
        ]
    return "\n".join(lines) + "\n"


def _entry(setting: Setting[object]) -> str:
    """One setting: its name, the values that it takes, its default, its purpose."""
    facts = [f"default {_named(setting.default)}" if setting.default else "must be written"]
    facts += [f"{worker_type}: {_named(texts[setting.key])}" for worker_type, texts in _presets(setting)]
    facts += [f"a command of {', '.join(names)}: {text}" for text, names in _by_program(setting).items()]
    facts += [f"sets {setting.feeds}"] if setting.feeds else []
    facts.append(f"since {setting.since}")
    body = [*wrap("; ".join(facts), WIDTH - 4), *wrap(_doc(setting), WIDTH - 4)]
    return "\n".join([f"{setting.key}: {setting.takes}", *(f"    {line}" for line in body)]) + "\n"


def _columns(setting: Setting[object]) -> tuple[str, ...]:
    default = f"`{_named(setting.default)}`" if setting.default else "-"
    return (f"`{setting.key}`", setting.takes, default, setting.feeds, _doc(setting))


def _named(default: str) -> str:
    return default.replace("{name}", "NAME")


def _cell(content: str) -> str:
    return content.replace("|", "\\|")


def _presets(setting: Setting[object]) -> Iterator[tuple[str, Mapping[str, str]]]:
    return ((worker_type.value, texts) for worker_type, texts in PRESETS.items() if setting.key in texts)


def _by_program(setting: Setting[object]) -> Mapping[str, Sequence[str]]:
    """Preset value -> the programs that preset it when no type is written."""
    found: dict[str, list[str]] = {}
    for program, texts in BY_PROGRAM.items():
        if setting.key in texts:
            found.setdefault(_named(texts[setting.key]), []).append(program)
    return found


def _doc(setting: Setting[object]) -> str:
    return setting.doc if setting.in_effect else f"{setting.doc} {NOT_YET}"


def _top_level(rows: Sequence[Setting[object]]) -> Iterator[str]:
    for at, setting in enumerate(rows):
        yield from ([""] if at else [])
        yield from _prose(_doc(setting))
        lead = "" if setting.key in _LIVE and setting.file is File.WORKER else "#"
        yield f"{lead}{setting.name}: {_value(setting)}"


def _group(group: str, rows: Sequence[Setting[object]]) -> Iterator[str]:
    yield from _prose(f"{group}: {GROUPS[group]}.")
    yield f"#{group}:"
    for setting in rows:
        yield from (f"#  {line}" for line in _prose(_doc(setting)))
        yield f"#  {setting.name}: {_value(setting)}"


def _prose(sentences: str) -> list[str]:
    return [f"# {line}" for line in wrap(sentences, WIDTH - 2)]


def _value(setting: Setting[object]) -> str:
    own = _EXAMPLES if setting.file is File.WORKER else {}
    return own.get(setting.key, setting.default or "null")
