"""The rows of SETTINGS for the watcher of a worker's files.

Whoever may change worker.yaml writes them, and the manager looks at his folder by them. So their
lists and texts have bounds. All of them together are one line of a drop-in, which takes 64 Ki
characters (units/quote.py).
"""

from __future__ import annotations

from typing import Final

from tqunits.config import values, words
from tqunits.config.parsers import listing, optional, scalar, span_up_to
from tqunits.config.reject import Reject, shown
from tqunits.config.setting import Setting

MOST_PATHS: Final = 100
"""Of watch.paths, and of watch.live: a folder stands for all that is below it."""

MOST_PATTERNS: Final = 200
"""Of watch.ignore. A .gitignore of GitHub's collection for a language has at most 150."""

LONGEST: Final = 255
"""Characters of one of them."""

MOST_CHARACTERS: Final = 20_000
"""Of all three lists together. JSON writes a quote as two characters, and folders of `writable` are
in the same line."""

BY_MODE: Final = optional(scalar(values.boolean))
BY_MODE_TAKES: Final = "true | false | null"
"""A switch whose null means: on in development mode alone (model.is_on)."""

MOST_DEBOUNCE: Final = 60_000_000
MOST_WAIT: Final = 600_000_000
"""µs. A longer time would look like a watcher that does not work."""


def watched_path(text: str) -> str:
    """A file or a folder of the worker's own; "." is all of it."""
    if text.startswith("/"):
        raise Reject(f"{shown(text)} is not below the worker's own folder", "write it from there: src")
    if ".." in text.split("/"):
        raise Reject(f"{shown(text)} climbs with ..", "only what is below the worker's folder is watched")
    return "/".join(part for part in _short(words.path(text)).split("/") if part not in ("", ".")) or "."


def live_path(text: str) -> str:
    """The same, but not all of the folder: then there would be nothing to watch."""
    path = watched_path(text)
    if path == ".":
        raise Reject(f"{shown(text)} is all of the folder", "write folders and files in it: public, views")
    return path


def pattern(text: str) -> str:
    """A line of a .gitignore that means something there."""
    _short(words.word(text))
    if text.startswith("#"):
        raise Reject(f"{shown(text)} is a comment in a .gitignore", f"write '\\{text}'")
    if not text.strip(" ").removeprefix("!").strip("/ "):
        raise Reject(f"{shown(text)} matches nothing", "such as *.tmp, or data/")
    return text


def _short(text: str) -> str:
    if len(text) > LONGEST:
        raise Reject(f"{shown(text)} is longer than {LONGEST} characters", "name a folder above it")
    return text


class WatchSettings:
    """The settings of the watcher."""

    watch_enabled = Setting(
        "watch.enabled",
        BY_MODE,
        "null",
        BY_MODE_TAKES,
        "Whether a change of the worker's files takes effect by itself: it is built, where it has a build, and its "
        "instances are replaced one after the other, as `tqunits deploy` does; a valid worker.yaml is applied. "
        "null: in development mode only.",
    )
    watch_paths = Setting(
        "watch.paths",
        listing(watched_path, least=1, most=MOST_PATHS),
        "[.]",
        "list of paths",
        "The files, and the folders with all below them, that are watched; '.' is all of the worker's folder. Nothing "
        f"outside of it is. At most {MOST_PATHS}. Whatever is written here, these are no sources: worker.yaml itself, "
        "which is watched on its own, .git, __pycache__, what a build has made, and the folders of `writable`.",
    )
    watch_ignore = Setting(
        "watch.ignore",
        listing(pattern, most=MOST_PATTERNS),
        "[]",
        "list of patterns",
        "What does not count, in patterns as in a .gitignore (gitignore(5)), seen from the worker's folder, such as "
        "'*.tmp', /data/ or '!important.log'. They come after the built-in ones, for what editors and tools leave, and "
        "after the .gitignore files of the folder, which count too. The last pattern that matches decides, and one "
        "with ! takes back what an earlier one ignores, but nothing below an ignored folder: such a folder is not even "
        f"looked into. At most {MOST_PATTERNS} patterns of {LONGEST} characters.",
    )
    watch_live = Setting(
        "watch.live",
        listing(live_path, most=MOST_PATHS),
        "[]",
        "list of paths",
        "Files and folders below the worker's folder that the program reads anew each time, such as templates: a "
        "change of them needs no restart. What static.directory serves counts as such anyway. It has a meaning only "
        "where the worker runs from its folder, as in development mode: a release has its own copy of them, so there "
        f"a change is a new release. At most {MOST_PATHS}.",
    )
    debounce = Setting(
        "watch.debounce",
        span_up_to(MOST_DEBOUNCE),
        "100ms",
        "time span",
        "Quiet time: a change counts when nothing else has changed for so long. At most 1min.",
    )
    max_wait = Setting(
        "watch.max_wait",
        span_up_to(MOST_WAIT),
        "2s",
        "time span",
        "A change waits no longer for that quiet time, whatever else changes. At least watch.debounce, at most 10min; "
        "where it is not written, a longer debounce comes before it.",
    )
