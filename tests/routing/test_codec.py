"""routes.json: what is written reads back the same, and the commands read the same values from the
file as the router."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.model import ClientGone, HeadLimits, Retry
from tqunits.routing.codec.document import VERSION, files_alone, installed_routes, with_workers, without
from tqunits.routing.codec.schema import USUAL, parse_snapshot, snapshot_text
from tqunits.routing.endpoint import Address
from tqunits.routing.released_files import ReleasedFiles
from tqunits.routing.snapshot import (
    ClientTimeouts,
    RoutedWorker,
    Snapshot,
    StaticFiles,
    WorkerTimeouts,
)
from tqunits.system.process import run

NATURAL = st.integers(0, 2**63 - 1)
POSITIVE = st.integers(1, 2**63 - 1)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,23}", fullmatch=True)
HOSTS = st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True)
SEGMENT = r"/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]{0,8}"
PREFIXES = st.just("/") | st.from_regex(rf"({SEGMENT}){{1,3}}", fullmatch=True)
PATHS = st.from_regex(r"/[^/\0\r\n]{1,10}(/[^/\0\r\n]{1,10})?", fullmatch=True)
RELEASES = st.builds(
    lambda link, below: ReleasedFiles(link=link, directory=link + below),
    PATHS.filter(lambda path: ".." not in path.split("/")),
    st.sampled_from(["", "/public", "/a b/\u00e9"]),
)
FILES = st.builds(StaticFiles, directory=PATHS, prefix=PREFIXES, release=st.none() | RELEASES)
ADDRESSES = (
    st.builds(Address, st.ip_addresses().map(str), st.integers(1, 65535))
    | st.builds(lambda path: Address(path=path), PATHS)
)  # fmt: skip
NETWORKS = st.ip_addresses(v=4).map(IPv4Network) | st.ip_addresses(v=6).map(IPv6Network)

REPLICAS = st.builds(
    RoutedWorker,
    name=NAMES,
    hosts=st.lists(HOSTS, max_size=3).map(tuple),
    routes=st.lists(PREFIXES, max_size=3).map(tuple),
    strip_prefix=st.booleans(),
    endpoints=st.lists(ADDRESSES, max_size=3).map(tuple),
    timeouts=st.builds(
        WorkerTimeouts,
        request_us=NATURAL,
        read_us=NATURAL,
        write_us=NATURAL,
        idle_us=NATURAL,
        body_us=NATURAL,
        stream_us=NATURAL,
    ),
    max_body=NATURAL,
    min_body_rate=NATURAL,
    max_inflight=POSITIVE,
    queue_us=NATURAL,
    retry=st.sampled_from(Retry),
    buffer_requests=st.booleans(),
    encoded_slash=st.booleans(),
    on_client_gone=st.sampled_from(ClientGone),
    response_heads=st.builds(lambda head, fields: HeadLimits(head, head, fields), POSITIVE, POSITIVE),
    raw_path=st.booleans(),
    via=st.booleans(),
    static=st.none() | FILES,
    start_us=NATURAL,
    disabled=st.booleans(),
)
WORKERS = st.builds(
    lambda worker, surge: replace(worker, surge=surge and len(worker.endpoints) > 1), REPLICAS, st.booleans()
)

SNAPSHOTS = st.builds(
    Snapshot,
    timeouts=st.builds(ClientTimeouts, head_us=NATURAL, idle_us=NATURAL, drain_us=NATURAL),
    max_connections=POSITIVE,
    max_connections_per_client=NATURAL,
    heads=st.builds(HeadLimits, POSITIVE, POSITIVE, POSITIVE),
    trusted_proxies=st.lists(NETWORKS, max_size=3).map(tuple),
    access_log=st.booleans(),
    redirect=st.booleans(),
    hsts_s=NATURAL,
    workers=st.lists(WORKERS, max_size=3, unique_by=lambda worker: worker.name).map(tuple),
)


@given(SNAPSHOTS)
def test_what_is_written_reads_back_the_same(snapshot: Snapshot) -> None:
    assert parse_snapshot(snapshot_text(snapshot).encode("utf-8", "surrogatepass")) == snapshot


@given(FILES)
def test_files_of_a_worker_of_an_earlier_release_are_of_no_release(files: StaticFiles) -> None:
    document = json.loads(snapshot_text(around(replace(USUAL, name="api", static=files))))
    del document["workers"][0]["static"]["release"]
    (found,) = parse_snapshot(json.dumps(document).encode()).workers
    assert found.static == replace(files, release=None)


LATER = ("min_body_rate", "on_client_gone", "max_response_head", "max_response_fields", "raw_path", "via", "start_us")


@pytest.mark.parametrize("key", [*LATER, "disabled", "surge", "timeouts.body_us", "timeouts.stream_us"])
@given(worker=WORKERS)
def test_a_key_that_came_later_is_as_usual_where_it_is_missing(key: str, worker: RoutedWorker) -> None:
    def values(one: RoutedWorker) -> dict[str, object]:
        (entry,) = json.loads(snapshot_text(around(one)))["workers"]
        spans = {f"timeouts.{name}": value for name, value in entry.pop("timeouts").items()}
        return {**entry, **spans}

    document = json.loads(snapshot_text(around(worker)))
    *folder, last = key.split(".")
    members = document["workers"][0]
    del (members[folder[0]] if folder else members)[last]
    (found,) = parse_snapshot(json.dumps(document).encode()).workers
    assert values(found) == {**values(worker), key: values(USUAL)[key]}


@pytest.mark.parametrize("endpoints", [[], ["127.0.0.1:9000"]], ids=["none", "one"])
def test_a_surge_without_another_endpoint_is_refused(endpoints: list[str]) -> None:
    document = json.loads(snapshot_text(around(replace(USUAL, name="api"))))
    document["workers"][0] |= {"endpoints": endpoints, "surge": True}
    with pytest.raises(TqunitsError, match="'api' has a surge, and no other endpoint"):
        parse_snapshot(json.dumps(document).encode())


def around(*workers: RoutedWorker) -> Snapshot:
    spans = ClientTimeouts(head_us=1, idle_us=2, drain_us=3)
    return Snapshot(timeouts=spans, max_connections=4, workers=workers)


@given(SNAPSHOTS)
def test_what_is_asked_of_the_file_is_what_the_router_reads(snapshot: Snapshot) -> None:
    text = snapshot_text(snapshot)
    named = {worker.name: worker for worker in snapshot.workers}
    for name, routes in installed_routes(text).items():
        assert routes == {(host, route) for host, route, worker in snapshot.routes() if worker.name == name}
    assert installed_routes(text).keys() == {name for name, worker in named.items() if not worker.disabled}
    alone = files_alone(text)
    assert [served.name for served in alone] == [w.name for w in snapshot.workers if w.static and not w.endpoints]
    for served in alone:
        worker = named[served.name]
        assert (served.hosts, served.routes) == (worker.hosts, worker.routes)
        assert worker.static
        assert (served.directory, served.release) == (worker.static.directory, worker.static.release)


@given(SNAPSHOTS)
def test_without_a_worker_the_others_are_as_they_were_and_with_it_again_too(snapshot: Snapshot) -> None:
    text = snapshot_text(snapshot)
    for gone in snapshot.workers:
        rest = replace(snapshot, workers=tuple(worker for worker in snapshot.workers if worker is not gone))
        assert without(text, [gone.name]) == snapshot_text(rest)
        assert with_workers(snapshot_text(rest), text, [gone.name]) == text


def test_the_version_that_is_written_is_the_one_that_is_read() -> None:
    assert json.loads(snapshot_text(around()))["version"] == VERSION


ASKERS = {
    "ls": ("tqunits.cli.verbs.ls", {"tqunits.routing.codec.schema", "tqunits.routing.snapshot"}),
    "install": ("tqunits.cli.verbs.install", set[str]()),
}


@pytest.mark.parametrize(("module", "unneeded"), ASKERS.values(), ids=ASKERS)
def test_who_asks_for_routes_does_without_what_is_compiled(module: str, unneeded: set[str]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = set(run([sys.executable, "-c", code]).stdout.split())
    assert "tqunits.routing.codec.document" in loaded
    assert not unneeded & loaded
    assert not [name for name in loaded if name.endswith("__mypyc")]
