"""Files for which `check` reports nothing are rendered, and systemd accepts the result.

The files are generated from the settings table (generated.py). The short forms use some of them,
with several keys in each; the long forms use every value that the corpus has for every key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tqunits.config.parse import Text, WorkerText, parse_server, parse_workers
from tqunits.config.setting import File, Setting
from tqunits.config.settings import SERVER, SETTINGS, WORKER
from tqunits.errors import Diagnostic, Severity
from tqunits.host.routes import routes_snapshot
from tqunits.model import Configuration, Host, Instance
from tqunits.units.rendering import RenderedFile, render
from units import analyze, generated
from units.cases import TEMPLATES, target
from units.test_verify import OWN_VERSION

WORKERS = PurePosixPath("/srv/tqunits/workers")
ETC = PurePosixPath("/etc/tqunits/tqunits.yaml")
TARGETS = (target(systemd=252), target(systemd=257), target(systemd=252, user_mode=True))
ONE = {"api": "path: /api\ntype: go\n"}
BATCH = 200
"""The number of workers in one tree: systemd-analyze needs little more time for them than for a
few."""

UNHURRIED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
SLOW = settings(deadline=None, suppress_health_check=UNHURRIED)

IN_UNITS = ("listen", "tls.certificate", "tls.key", "proxy.max_connections", "timeouts.drain", "grants")
"""Settings of tqunits.yaml that have an effect on units."""

IN_NO_FILE = ("port", "workers.directory", "workers.port_range", "grants", "manager.keep_releases")
"""Settings that decide which files exist, and with which port, before they are rendered; and one
that is read when releases are removed."""

_HASH = re.compile(r"[0-9a-f]{64}")


def parsed(files: Mapping[str, str], common: str = "") -> tuple[Configuration | None, tuple[Diagnostic, ...]]:
    """The valid workers, and all findings."""
    server = parse_server(text("tqunits.yaml", common), (), source=ETC, root=None)
    texts = [
        WorkerText(name=name, folder=WORKERS / name, text=text(f"/srv/{name}.yaml", yaml), not_roots=None)
        for name, yaml in files.items()
    ]
    result = parse_workers(texts, server)
    return result.configuration, (*server.diagnostics, *result.diagnostics)


def text(path: str, content: str) -> Text:
    return Text(path=PurePosixPath(path), content=content.encode("utf-8", "surrogatepass"))


def rendered(configuration: Configuration, host: Host) -> tuple[RenderedFile, ...]:
    return render(configuration, host, ports_of(configuration), TEMPLATES)


def ports_of(configuration: Configuration) -> dict[Instance, int]:
    instances = (whose for worker in configuration.workers for whose in worker.instances)
    return {whose: 9000 + at for at, whose in enumerate(instances)}


def said(configuration: Configuration) -> list[str]:
    """The messages of this host's systemd, without those about missing programs: not all programs
    can be in one tree."""
    with analyze.scratch() as root:
        done = analyze.verify(rendered(configuration, target(systemd=OWN_VERSION)), root)
    return [line for line in done.stderr.splitlines() if "is not executable: No such file" not in line]


def one_key(rows: Iterable[Setting[object]]) -> list[str]:
    """A file for every value of the corpus."""
    return [generated.written(row, value) for row in rows for value in generated.taken(row)]


@st.composite
def workers(draw: st.DrawFn) -> str:
    """A worker.yaml with some keys, each with a value that its own parser takes."""
    keys = draw(st.lists(st.sampled_from(sorted(WORKER)), max_size=8, unique=True))
    entries = {key: draw(generated.values(WORKER[key])) for key in keys}
    return generated.document({**generated.needed(*map(WORKER.__getitem__, keys)), **entries})


@st.composite
def servers(draw: st.DrawFn) -> str:
    """A tqunits.yaml, in the same way."""
    keys = draw(st.lists(st.sampled_from(sorted(SERVER)), max_size=5, unique=True))
    entries = {key: draw(generated.values(SERVER[key])) for key in keys}
    return generated.document({**generated.needed(*map(SERVER.__getitem__, keys)), **entries})


@cache
def right(file: File, yaml: str) -> Configuration | None:
    """The configuration of one file, if it has no findings."""
    configuration, _ = parsed({"api": yaml}) if file is File.WORKER else parsed(ONE, yaml)
    return configuration if configuration is not None and configuration.workers else None


@cache
def laid_out(file: File, yaml: str) -> tuple[str, ...]:
    """The files that are written for it, without what only shows that something has changed."""
    configuration = right(file, yaml)
    assert configuration is not None
    units = [_HASH.sub("", each.content) for each in rendered(configuration, TARGETS[0])]
    return (*units, routes_snapshot(configuration, TARGETS[0], ports_of(configuration)))


def means_the_same(file: File, one: str, other: str) -> bool:
    (server, workers), (its_server, its_workers) = (
        (found.server, [replace(worker, source_hash="") for worker in found.workers])
        for found in (right(file, one), right(file, other))
        if found is not None
    )
    return server == its_server and workers == its_workers


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: f"{row.file.value}-{row.key}")
def test_each_setting_is_generated(row: Setting[object]) -> None:
    """Otherwise the tests below would not test the setting: two files are valid, and their results
    differ."""
    files = (generated.written(row, value) for value in chain([None], generated.accepted(row)))
    good = (yaml for yaml in files if right(row.file, yaml) is not None)
    usual = next(good, None)
    assert usual is not None, "no value is right: does it need others beside it, in generated.ALONG?"
    others = (yaml for yaml in good if not means_the_same(row.file, usual, yaml))
    if row.in_effect and row.key not in IN_NO_FILE:
        others = (yaml for yaml in others if laid_out(row.file, usual) != laid_out(row.file, yaml))
    assert next(others, None) is not None, "no value makes a difference: have the corpus of generated.py one for it"


@settings(SLOW, max_examples=settings().max_examples // 5)
@given(st.lists(workers(), min_size=1, max_size=8), st.sampled_from(TARGETS))
def test_workers_that_are_right_are_rendered(yamls: list[str], host: Host) -> None:
    configuration, findings = parsed({f"w{at}": yaml for at, yaml in enumerate(yamls)})
    assert configuration is not None
    assert len(configuration.workers) == len(yamls) or Severity.ERROR in {f.severity for f in findings}
    rendered(configuration, host)


@settings(SLOW, max_examples=settings().max_examples // 4)
@given(servers(), st.sampled_from(TARGETS))
def test_a_server_that_is_right_is_rendered(yaml: str, host: Host) -> None:
    configuration, findings = parsed(ONE, yaml)
    if configuration is None:
        assert Severity.ERROR in {finding.severity for finding in findings}
    else:
        rendered(configuration, host)


def test_systemd_has_nothing_to_say_about_workers_that_are_right() -> None:
    yamls = one_key(WORKER.values())
    configuration, _ = parsed({f"w{at}": yaml for at, yaml in enumerate(yamls[:: len(yamls) // 100])})
    assert configuration is not None
    assert len(configuration.workers) > 90
    assert said(configuration) == []


@pytest.mark.long
@settings(SLOW, max_examples=settings().max_examples // 10)
@given(st.lists(workers(), min_size=60, max_size=60))
def test_systemd_has_nothing_to_say_about_workers_of_several_keys(yamls: list[str]) -> None:
    configuration, _ = parsed({f"w{at}": yaml for at, yaml in enumerate(yamls)})
    assert configuration is not None
    assert said(configuration) == []


@pytest.mark.long
def test_every_value_of_every_key_is_rendered_and_taken() -> None:
    yamls = one_key(WORKER.values())
    for at in range(0, len(yamls), BATCH):
        configuration, _ = parsed({f"w{n}": yaml for n, yaml in enumerate(yamls[at : at + BATCH])})
        assert configuration is not None
        for host in TARGETS:
            rendered(configuration, host)
        assert said(configuration) == [], yamls[at : at + BATCH]


@pytest.mark.long
@pytest.mark.parametrize("key", IN_UNITS)
def test_every_value_of_every_key_of_the_server_is_rendered_and_taken(key: str) -> None:
    for yaml in one_key([SERVER[key]]):
        configuration, _ = parsed(ONE, yaml)
        if configuration is not None:
            assert (said(configuration), yaml) == ([], yaml)


ODD: dict[str, tuple[str, str, str]] = {
    "a socket that is a folder": ("listen: /run/", "listen: '/run/' is a folder, no socket", "write /run/http.sock"),
    "a long socket": (
        f"listen: /run/{'x' * 110}",
        f"listen: '/run/{'x' * 55}…' is too long for a socket",
        "a socket's path has at most 107 bytes",
    ),
}


@pytest.mark.parametrize(("yaml", "message", "hint"), ODD.values(), ids=ODD)
def test_what_systemd_would_ignore_is_refused(yaml: str, message: str, hint: str) -> None:
    configuration, findings = parsed(ONE, yaml)
    assert configuration is None
    assert [(finding.message, finding.hint) for finding in findings] == [(message, hint)]


@pytest.mark.parametrize("span", ["0", "infinity"])
def test_a_router_without_a_limit_to_its_end_has_none_in_its_unit(span: str) -> None:
    configuration, _ = parsed(ONE, f"timeouts: {{drain: {span}}}")
    assert configuration is not None
    unit = next(f.content for f in rendered(configuration, TARGETS[0]) if f.unit == "tq-proxy@.service")
    assert "\nTimeoutStopSec=infinity\n" in unit


def test_slashes_of_a_path_are_one() -> None:
    """systemd ignores a credential whose path is not normalized, with a line in its log."""
    configuration, _ = parsed({"api": "path: /a\ntype: go\ncredentials: {a: //etc///key}\n"})
    assert configuration is not None
    assert configuration.workers[0].credentials == (("a", "/etc/key"),)
