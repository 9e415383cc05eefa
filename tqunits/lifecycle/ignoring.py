"""Which files of a worker's folder do not count when something has changed: the rules of .gitignore
(gitignore(5)), with the built-in ones below them and those of worker.yaml above them.

The last pattern that matches decides, and one with `!` takes a file back. From the weakest:
no_edits.NO_EDITS, the .gitignore of the worker's folder, those of deeper folders, `watch.ignore`.
A folder that is ignored is not entered, so nothing in it can be taken back.

These texts may be a stranger's. So their length and their number have bounds, a match is linear
(globs.py), and what most patterns are, a name or an ending, costs a look into a table: a tree of
20 000 files is compared with a hundred patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from tqunits.errors import TqunitsError
from tqunits.late_pattern import late_pattern
from tqunits.lifecycle import globs
from tqunits.lifecycle.globs import Segment, Wildcard
from tqunits.lifecycle.no_edits import NO_EDITS
from tqunits.light_dataclass import dataclass

MAX_TEXT: Final = 64 * 1024
"""Bytes of a .gitignore: the longest of github.com/github/gitignore has 8 KiB."""

MAX_PATTERN: Final = 500
"""Characters of a pattern. A name has at most 255 bytes (NAME_MAX), and few paths in a tree have
more."""

MAX_PATTERNS: Final = 1000
"""Patterns that count for one file, of all folders that it lies in. With more, each file of a tree
could cost milliseconds."""

_BYTE_ORDER_MARK: Final = "\ufeff"


class _Rule(NamedTuple):
    """One line of a .gitignore."""

    ignores: bool  # False: it takes back
    only_folders: bool
    is_anchored: bool  # it is compared with the path below its folder; False: with the name
    segments: tuple[Segment, ...]


class _Table:
    """The rules of one file, for quick answers. Each rule has a number; the last one wins."""

    __slots__ = ("_endings", "_ignores", "_is_any", "_names", "_paths", "_suffixes", "_wild", "_wild_paths")

    def __init__(self, rules: Iterable[_Rule]) -> None:
        self._ignores: list[bool] = []
        self._names: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._endings: dict[str, int] = {}
        self._wild: list[tuple[int, Wildcard]] = []
        self._wild_paths: list[tuple[int, Sequence[Segment]]] = []
        for number, rule in enumerate(rules):
            self._ignores.append(rule.ignores)
            self._enter(number, rule)
        self._suffixes = tuple(self._endings)
        self._is_any = late_pattern("|".join(rule.expression for _, rule in self._wild), re.DOTALL).fullmatch
        self._wild.reverse()
        self._wild_paths.reverse()

    def _enter(self, number: int, rule: _Rule) -> None:
        match rule.segments:
            case [str() as name] if not rule.is_anchored:
                self._names[name] = number
            case [Wildcard(ending=str() as ending)] if not rule.is_anchored:
                self._endings[ending] = number
            case [Wildcard() as wildcard] if not rule.is_anchored:
                self._wild.append((number, wildcard))
            case segments:
                texts = [segment for segment in segments if isinstance(segment, str)]
                if len(texts) == len(segments):
                    self._paths["/".join(texts)] = number
                else:
                    self._wild_paths.append((number, segments))

    def verdict(self, path: str, name: str) -> bool | None:
        """Whether it is ignored; None: no rule matches."""
        best = max(self._names.get(name, -1), self._paths.get(path, -1))
        if name.endswith(self._suffixes):
            best = max(best, *(number for ending, number in self._endings.items() if name.endswith(ending)))
        if self._wild and self._is_any(name):
            best = max(best, next(number for number, rule in self._wild if rule.fits(name)))
        if self._wild_paths and self._wild_paths[0][0] > best:
            best = max(best, self._of_paths(path.split("/"), best))
        return None if best < 0 else self._ignores[best]

    def _of_paths(self, names: Sequence[str], best: int) -> int:
        rules = self._wild_paths
        return next((number for number, segments in rules if number < best or globs.fits(segments, names)), -1)


class _Level(NamedTuple):
    """The rules of one file."""

    start: int  # where a path below its folder begins
    of_files: _Table
    of_folders: _Table


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that count in one folder."""

    _levels: tuple[_Level, ...]  # the strongest is the first: watch.ignore
    _count: int  # of patterns

    def below(self, folder: str, text: str) -> IgnoreRules:
        """These rules, and those of the .gitignore of a deeper folder; `folder` is its path, "" for
        the worker's own. Raises TqunitsError beyond a bound."""
        place = f"{folder}/" if folder else ""
        rules = _parsed(_lines(text), f"{place}.gitignore")
        if not rules:
            return self
        if self._count + len(rules) > MAX_PATTERNS:
            raise TqunitsError(f"{place}.gitignore and those above it have more than {MAX_PATTERNS} patterns")
        strongest, *others = self._levels
        return IgnoreRules((strongest, _level(len(place), rules), *others), self._count + len(rules))

    def is_ignored(self, path: str, *, is_folder: bool) -> bool:
        """Whether a file or folder does not count. `path` is below the worker's folder, and no
        folder that it lies in is ignored."""
        name = path[path.rfind("/") + 1 :]
        for start, of_files, of_folders in self._levels:
            verdict = (of_folders if is_folder else of_files).verdict(path[start:] if start else path, name)
            if verdict is not None:
                return verdict
        return False

    def is_excluded(self, path: str) -> bool:
        """Whether a pattern of watch.ignore names this file."""
        return self._levels[0].of_files.verdict(path, path[path.rfind("/") + 1 :]) or False

    @property
    def count(self) -> int:
        """The patterns, but for the built-in ones."""
        return self._count


def rules_of(patterns: Sequence[str]) -> IgnoreRules:
    """The rules at the top of a worker's folder: the patterns of its watch.ignore, and the built-in
    ones. Raises TqunitsError beyond a bound."""
    rules = _parsed(patterns, "watch.ignore")
    if len(rules) > MAX_PATTERNS:
        raise TqunitsError(f"watch.ignore has more than {MAX_PATTERNS} patterns")
    return IgnoreRules((_level(0, rules), _built_in()), len(rules))


@cache
def _built_in() -> _Level:
    return _level(0, _parsed(NO_EDITS, "NO_EDITS"))


def _level(start: int, rules: Sequence[_Rule]) -> _Level:
    of_folders = _Table(rules)
    is_for_all = not any(rule.only_folders for rule in rules)
    return _Level(start, of_folders if is_for_all else _Table(r for r in rules if not r.only_folders), of_folders)


def _lines(text: str) -> Iterator[str]:
    """The lines of a file, as git reads them."""
    for line in text.removeprefix(_BYTE_ORDER_MARK).split("\n"):
        yield line.removesuffix("\r").partition("\0")[0]


def _parsed(lines: Iterable[str], place: str) -> list[_Rule]:
    found = (_rule(_trimmed(line), place) for line in lines if not line.startswith("#"))
    return [rule for rule in found if rule is not None]


def _trimmed(line: str) -> str:
    """Without the blanks at its end; a backslash keeps the first one."""
    text = line.rstrip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return line[: len(text) + backslashes % 2]


def _rule(line: str, place: str) -> _Rule | None:
    """None: it matches nothing. Raises TqunitsError when it is too long."""
    if len(line) > MAX_PATTERN:
        raise TqunitsError(f"a pattern of {place} has more than {MAX_PATTERN} characters")
    pattern = line.removeprefix("!")
    text = pattern.removesuffix("/")
    is_anchored = "/" in text
    segments = globs.parse(text.removeprefix("/"), is_path=is_anchored)
    if segments is None:
        return None
    if is_anchored and len(segments) == 2 and segments[0] is None:  # "**/name" is "name"
        is_anchored, segments = False, segments[1:]
    return _Rule(pattern == line, pattern != text, is_anchored, segments)
