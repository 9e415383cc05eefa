"""Generates possible files: for every key of the settings table, all values that its own parser
accepts.

The values are a corpus that is independent of the keys. Each row of the table gets all of it, in
several shapes, and the values that the row accepts are used. So a new setting is covered at once.
If a setting needs others to have an effect, they are in ALONG; test_checked.py finds a row that
lacks them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cache, lru_cache
from itertools import chain

from hypothesis import strategies as st

from tqunits.config import nodes
from tqunits.config.directives import DIRECTIVES
from tqunits.config.findings import Invalid
from tqunits.config.nodes import Node
from tqunits.config.setting import File, Setting
from tqunits.model import Grant

HOSTILE = (
    "a b",
    " a",
    "a ",
    "a\\",
    "\\",
    '"',
    "'",
    "a\"b'c",
    "100%",
    "%n%i%%",
    "%",
    "$x",
    "$$",
    "${PORT}",
    "${STATE_DIRECTORY}/x",
    "$${X}",
    "$1",
    ";",
    "a;b",
    "#a",
    "a:b",
    "a=b",
    "-a",
    "@a",
    "*",
    "a\nb",
    "\n",
    "\t",
    "a\rb",
    "a\0b",
    "\x1b",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufdd0",
    "\ufffe",
    "\U0001fffe",
    "ß漢🙂\xa0",
    "x" * 300,
    "x" * 40_000,
    "🙂" * 17_000,
    "[a]",
    "{{ x }}{% raw %}",
    "..",
    ".",
    "",
    "\nUser=root",
)
PATHS = (
    "/",
    "/a",
    "/a/",
    "//c//d",
    "/a b",
    "/a ",
    "/a\\",
    "/a'b\"c",
    "/a%n",
    "/a$b",
    "/a:b",
    "/../g",
    "/e/./f",
    "a/b",
    "./a",
    "bin/",
    "./run$1.sh",
    ".env.[prod]",
    "-/a",
    "~/a",
    "/run/a.sock",
    "/x" * 2500,
    "/" + "x" * 256,
    "/" + "é" * 200,
)
NUMBERS = tuple(
    str(n)
    for n in (
        -1,
        0,
        1,
        2,
        4,
        16,
        100,
        255,
        1000,
        1024,
        4096,
        9000,
        10_000,
        65_535,
        1 << 20,
        2**31 - 1,
        2**32,
        2**63,
        2**64,
    )
)
SIZES = (
    "1K",
    "1M",
    "1.5G",
    "33.333M",
    "4096M",
    "16383P",
    "15E",
    "infinity",
    "0.01%",
    "1%",
    "33.33%",
    "33.333%",
    "100%",
    "10000%",
)
SPANS = ("1us", "999us", "1ms", "50ms", "1.5s", "1min 30s", "1h", "365d", "1y", "500000y", "0.000001s", "0s")
NAMES = (
    "a",
    "A_B",
    "root",
    "www-data",
    "a.service",
    "tq-worker@b.service",
    "a@b.timer",
    "sysinit.target",
    "a.example",
    "127.0.0.1:80",
    "[::1]:8443",
    "0.0.0.0:65535",
    "10.0.0.0/8",
    "9000-9999",
    "2000-65535",
    "204",
    "300-399",
    "599",
    "https://a.example/x",
    "true",
    "no",
)
SCALARS = (*HOSTILE, *PATHS, *NUMBERS, *SIZES, *SPANS, *NAMES)

TEXTS = st.lists(st.text(max_size=6) | st.sampled_from(HOSTILE), max_size=3).map("".join)


def quoted(text: str) -> str:
    """A text as YAML: JSON, except for characters beyond 16 bits."""
    return json.dumps(text, ensure_ascii=False) if max(text, default="") >= "\U00010000" else json.dumps(text)


@cache
def taken(row: Setting[object]) -> tuple[str, ...]:
    """The values of the corpus that this row accepts, as YAML."""
    return tuple(accepted(row))


def accepted(row: Setting[object]) -> Iterator[str]:
    """The same one by one."""
    words = [word for part in row.takes.split(" | ") for word in (part, *part.replace(",", " ").split())]
    scalars = [*map(quoted, dict.fromkeys((*SCALARS, *words))), *words[:20], "null"]
    given = [row.default.replace("{name}", "api")] if row.default else []
    nested = _nested(scalars) if any(takes(row, text) for text in _NESTED) else ()
    tried: set[str] = set()
    for text in chain(given, _shapes(scalars), nested):
        if text not in tried and takes(row, text):
            yield text
        tried.add(text)


def takes(row: Setting[object], text: str) -> bool:
    """Whether the row's own parser accepts it."""
    root = node(text)
    if root is None:
        return False
    try:
        row.parse(root)
    except Invalid:
        return False
    return True


@lru_cache(maxsize=8192)
def node(text: str) -> Node | None:
    """The text as YAML. A hundred rows are asked about each text of the corpus."""
    return nodes.read(text.encode("utf-8", "surrogatepass"), "x").root


def values(row: Setting[object]) -> st.SearchStrategy[str]:
    """Values that the row accepts, as YAML; random texts too, if it accepts texts."""
    corpus = st.sampled_from(taken(row))
    free = [shape for shape in _FREE if takes(row, shape("a b")) or takes(row, shape("/a"))]
    if not free:
        return corpus
    texts = st.tuples(st.sampled_from(free), st.sampled_from(["", "/"]), TEXTS).map(lambda t: t[0](t[1] + t[2]))
    return corpus | texts.filter(lambda text: takes(row, text))


ALONG: Mapping[str, Mapping[str, str | None]] = {
    "build.disk_max": {"build.command": "[make]"},
    "build.environment": {"build.command": "[make]"},
    "health.command": {"health.type": "command"},
    "php.document_root": {"type": "php", "command": None},
    "php.settings": {"type": "php", "command": None},
    "runtime.node_max_old_space": {"type": "node"},
    "scaling.min_workers": {"scaling.max_workers": "1000"},
    "static.directory": {"type": "static", "command": None},
    "static.prefix": {"type": "static", "command": None},
    "tls.certificate": {"tls.key": "/k.pem"},
    "tls.hsts": {"tls.certificate": "/c/"},
    "tls.key": {"tls.certificate": "/c.pem"},
    "tls.redirect": {"tls.certificate": "/c/"},
    "watch.debounce": {"watch.enabled": "true"},
    "watch.ignore": {"watch.enabled": "true"},
    "watch.live": {"watch.enabled": "true", "sandbox": "writable-code"},
    "watch.max_wait": {"watch.enabled": "true"},
    "watch.paths": {"watch.enabled": "true"},
    "watchdog": {"service_type": "notify"},
}
"""The other settings that a setting needs to have an effect; None: a setting that must be left
out."""


def written(row: Setting[object], value: str | None) -> str:
    """A file that has this setting, or could have it. A worker's file also has what every worker
    needs."""
    return document({**needed(row), **({} if value is None else {row.key: value})})


def needed(*rows: Setting[object]) -> Mapping[str, str | None]:
    """The settings that go along with others."""
    entries: dict[str, str | None] = {}
    if any(row.file is File.WORKER for row in rows):
        entries |= {"path": "/api", "command": "[bin/serve]"}
    for row in rows:
        entries |= ALONG.get(row.key, {})
    return entries


def document(entries: Mapping[str, str | None]) -> str:
    """Dotted key -> YAML, as a file; None is left out."""
    groups: dict[str, list[str]] = {}
    for key, value in entries.items():
        if value is None:
            continue
        group, _, name = key.rpartition(".")
        groups.setdefault(group, []).append(f"{name}: {value}")
    top = groups.pop("", [])
    return "".join(f"{line}\n" for line in [*top, *(f"{g}: {{{', '.join(own)}}}" for g, own in groups.items())])


_NESTED = ("{Unit: {Description: a}}", "{api: {routes: [/a]}}")

_FREE: tuple[Callable[[str], str], ...] = (
    quoted,
    lambda text: f"[{quoted(text)}]",
    lambda text: f"[bin/x, {quoted(text)}]",
    lambda text: f"{{A: {quoted(text)}}}",
    lambda text: f"{{Unit: {{Description: {quoted(text)}}}}}",
)


def _shapes(scalars: Iterable[str]) -> Iterable[str]:
    for scalar in scalars:
        yield scalar
        yield f"[{scalar}]"
        yield f"[bin/x, {scalar}]"
        yield f"[sh, -c, {scalar}]"
        yield f"{{A: {scalar}}}"
        yield f"{{B_b: {scalar}, a.b: {scalar}}}"
        yield f"{{api: {scalar}}}"
    yield "[200, 204, 300-399]"
    yield "[standard, netlink]"
    yield "[strict, outbound, proc]"
    yield "{profile: legacy, relax: [home]}"


def _nested(scalars: Iterable[str]) -> Iterable[str]:
    """A key within a key: sections with directives, and workers with grants."""
    grants = [field.name for field in fields(Grant)]
    for above, names in (*DIRECTIVES.items(), ("api", grants), ("'*'", grants)):
        for below in names:
            yield from (f"{{{above}: {{{below}: {scalar}}}}}" for scalar in scalars)
