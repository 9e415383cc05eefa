"""The settings of one worker as they take effect, and who decided each: what `tqunits show` prints.

A setting comes from its default, the preset of the worker's type or of its command's program,
`defaults:` in tqunits.yaml, or worker.yaml. An administrator's drop-in (`systemctl edit`,
`systemctl set-property`) comes after all of these, by systemd's own rules: it overrides the
settings that feed its directives. Without valid YAML the installed directives are what is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from tqunits.config.setting import File, Setting
from tqunits.config.settings import SETTINGS
from tqunits.config.values import print_size, print_span
from tqunits.errors import Mark
from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY, OriginKind, Sandbox, SettingOrigin, Worker
from tqunits.resources import Share
from tqunits.system.files import read_text_if_exists
from tqunits.units import unitfile

_IN_THE_COMMAND = frozenset({"php.document_root", "php.settings"})
"""Settings without a field: they become words of the preset command, which is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting: its value as a text, and where it comes from."""

    key: str
    value: str
    origin: str  # "default", "preset go", "preset npm" (a program), FILE:LINE, "drop-in FILE:LINE", "installed"
    place: Mark | None = None
    in_effect: bool = True  # False: parsed and checked, but without effect yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A directive that a drop-in of the administrator's sets."""

    directive: str
    value: str
    place: Mark


def settings(worker: Worker, overrides: Iterable[Override]) -> tuple[Row, ...]:
    """Every effective setting of a configured worker, in the order of the reference."""
    decided = {override.directive: override for override in overrides}  # the last one wins, as in systemd
    shown = (setting for setting in SETTINGS if setting.file is File.WORKER and setting.key not in _IN_THE_COMMAND)
    return tuple(_row(worker, setting, decided) for setting in shown)


def origin_text(origin: SettingOrigin) -> str:
    """Who decided a setting: FILE:LINE, "preset go", "default"."""
    if origin.mark:
        return f"{origin.mark.file}:{origin.mark.line}"
    return f"preset {origin.preset}" if origin.kind is OriginKind.PRESET else origin.kind.value


def directives(drop_in: Path, text: str, overrides: Sequence[Override]) -> tuple[Row, ...]:
    """The directives of an installed drop-in, and those that the administrator adds."""
    own = (a for a in unitfile.parse(text) if a.section != unitfile.LEDGER and a.value)
    rows = [Row(key=a.name, value=a.value, origin="installed", place=Mark(str(drop_in), 1, 1)) for a in own]
    return (*rows, *(_overridden(override.directive, override) for override in overrides))


def overrides(paths: Iterable[Path]) -> tuple[Override, ...]:
    """The directives that these drop-ins set (DropInPaths: in systemd's order), without our own
    drop-in."""
    texts = ((path, read_text_if_exists(path) or "") for path in paths)
    return tuple(found for path, text in texts if not unitfile.is_ours(text) for found in _overrides(path, text))


def _overrides(path: Path, text: str) -> Iterable[Override]:
    lines = text.split("\n")
    for assignment in unitfile.parse(text):
        place = Mark(str(path), _line_of(assignment.name, lines), 1)
        yield Override(directive=assignment.name, value=assignment.value, place=place)


def _line_of(directive: str, lines: Sequence[str]) -> int:
    """The last line that sets a directive: that is the one which counts."""
    return max((n for n, line in enumerate(lines, 1) if line.partition("=")[0].strip() == directive), default=1)


def _row(worker: Worker, setting: Setting[object], decided: Mapping[str, Override]) -> Row:
    override = decided.get(setting.feeds.removesuffix("=")) if setting.feeds.endswith("=") else None
    if override:
        return _overridden(setting.key, override)
    origin = worker.origins.get(setting.key) or SettingOrigin(kind=OriginKind.DEFAULT)
    value, text = _shown(worker, setting), origin_text(origin)
    return Row(key=setting.key, value=value, origin=text, place=origin.mark, in_effect=setting.in_effect)


def _overridden(key: str, override: Override) -> Row:
    place = override.place
    return Row(key=key, value=override.value, origin=f"drop-in {place.file}:{place.line}", place=place)


def _shown(worker: Worker, setting: Setting[object]) -> str:
    value: object = worker
    for part in setting.field.split("."):
        value = getattr(value, part)
    if setting.key == "limits.cpu_quota" and isinstance(value, int):
        return "infinity" if value == INFINITY else f"{value / 10_000:g}%"  # µs of CPU in each second
    if isinstance(value, int) and not isinstance(value, bool):
        return _number(value, setting.takes)
    return _text(value)


def _number(value: int, takes: str) -> str:
    if takes.startswith("size"):
        return print_size(value)
    if takes.startswith("time span"):
        return print_span(value)
    return "infinity" if value == INFINITY else str(value)


def _text(value: object) -> str:
    match value:
        case None | ():
            return "-"
        case bool():
            return str(value).lower()
        case StrEnum():
            return value.value
        case Share():
            return f"{value.permyriad / 100:g}%"
        case Sandbox():
            return " ".join([value.profile.value, *(f"+{hole.value}" for hole in value.relaxations)])
        case tuple():
            return " ".join("=".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in value)
        case _:
            return str(value)
