"""Snapshots are accepted as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.model import USUAL_RESPONSE_HEADS, ClientGone, HeadLimits
from tqunits.routing.codec.schema import parse_snapshot
from tqunits.routing.endpoint import Address, parse_address

WORKER: dict[str, Any] = {
    "name": "api",
    "hosts": ["a.example"],
    "routes": ["/api", "/"],
    "strip_prefix": True,
    "endpoints": ["127.0.0.1:9000", "[::1]:9001", "unix:/run/x.sock"],
    "timeouts": {"request_us": 0, "read_us": 30000000, "write_us": 30000000, "idle_us": 120000000},
    "max_body": 0,
    "max_inflight": 1000,
    "queue_us": 30000000,
    "retry": "idempotent",
    "buffer_requests": False,
    "encoded_slash": False,
    "static": None,
}


def document() -> dict[str, Any]:
    return {
        "version": 1,
        "timeouts": {"head_us": 10000000, "idle_us": 120000000, "drain_us": 30000000},
        "limits": {
            "max_connections": 20000,
            "max_connections_per_client": 0,
            "max_request_line": 8192,
            "max_head": 32768,
            "max_fields": 100,
        },
        "trusted_proxies": ["10.0.0.0/8", "::1/128"],
        "access_log": False,
        "tls": {"redirect": False, "hsts_s": 0},
        "workers": [json.loads(json.dumps(WORKER))],
    }


def test_a_snapshot_is_read_whole() -> None:
    snapshot = parse_snapshot(json.dumps(document()).encode())
    (worker,) = snapshot.workers
    assert worker.endpoints == (Address("127.0.0.1", 9000), Address("::1", 9001), Address(path="/run/x.sock"))
    assert [str(address) for address in worker.endpoints] == WORKER["endpoints"]
    assert [(host, prefix) for host, prefix, _ in snapshot.routes()] == [("a.example", "/api"), ("a.example", "/")]
    assert (snapshot.max_connections, snapshot.timeouts.drain_us) == (20000, 30000000)


def test_a_worker_of_an_earlier_release_has_the_default_rate_for_bodies() -> None:
    """If install refuses a worker, the entry of the earlier release is written again unchanged."""
    changed = document()
    changed["workers"][0] |= {"min_body_rate": 0}
    changed["workers"][0]["timeouts"] |= {"body_us": 5}
    found = [parse_snapshot(json.dumps(one).encode()).workers[0] for one in (document(), changed)]
    assert [(one.min_body_rate, one.timeouts.body_us) for one in found] == [(1024, 10_000_000), (0, 5)]


def test_what_a_later_release_added_is_as_usual_in_a_snapshot_of_before() -> None:
    """If install leaves a worker unchanged, its entry in the snapshot is unchanged."""
    (worker,) = parse_snapshot(json.dumps(document()).encode()).workers
    assert (worker.on_client_gone, worker.response_heads) == (ClientGone.FINISH, USUAL_RESPONSE_HEADS)
    assert worker.timeouts.stream_us == 3_600_000_000
    later = document()
    later["workers"][0].update(on_client_gone="abort", max_response_head=65536, max_response_fields=7)
    later["workers"][0]["timeouts"]["stream_us"] = 0
    (worker,) = parse_snapshot(json.dumps(later).encode()).workers
    assert (worker.on_client_gone, worker.response_heads) == (ClientGone.ABORT, HeadLimits(65536, 65536, 7))
    assert worker.timeouts.stream_us == 0


def test_a_worker_of_an_earlier_release_lacks_keys_that_came_later() -> None:
    """The worker stays installed while its files are refused, and the other workers must not fail
    because of it."""
    (worker,) = parse_snapshot(json.dumps(document()).encode()).workers
    assert (worker.via, worker.raw_path) == (False, False)
    told = document()
    told["workers"][0] |= {"via": True, "raw_path": True}
    (worker,) = parse_snapshot(json.dumps(told).encode()).workers
    assert (worker.via, worker.raw_path) == (True, True)


def released(link: str, directory: str) -> dict[str, object]:
    return {"directory": "/srv/api/public", "prefix": "/", "release": {"link": link, "directory": directory}}


Change = Callable[[dict[str, Any]], object]

BROKEN: dict[str, tuple[str, Change]] = {
    "other version": ("version 2 is not 1", lambda d: d.update(version=2)),
    "no version": ("no key 'version'", lambda d: d.pop("version")),
    "version true": ("version", lambda d: d.update(version=True)),
    "unknown key": ("unknown key 'more'", lambda d: d.update(more=1)),
    "unknown key of a worker": (r"workers\[0\]: unknown key 'x'", lambda d: d["workers"][0].update(x=1)),
    "missing key of a worker": (r"workers\[0\]: no key 'routes'", lambda d: d["workers"][0].pop("routes")),
    "a number as a string": ("head_us: not a number", lambda d: d["timeouts"].update(head_us="1")),
    "a negative span": ("head_us: -1", lambda d: d["timeouts"].update(head_us=-1)),
    "no connections": ("max_connections: 0", lambda d: d["limits"].update(max_connections=0)),
    "retry of another kind": (r"retry: 'always' is not one of never", lambda d: d["workers"][0].update(retry="always")),
    "another word for a client that is gone": (
        r"on_client_gone: 'ask' is not one of finish",
        lambda d: d["workers"][0].update(on_client_gone="ask"),
    ),
    "no response head": ("max_response_head: 0", lambda d: d["workers"][0].update(max_response_head=0)),
    "no response field": ("max_response_fields: 0", lambda d: d["workers"][0].update(max_response_fields=0)),
    "a silence that is no number": (
        "stream_us: not a number",
        lambda d: d["workers"][0]["timeouts"].update(stream_us=None),
    ),
    "no network": (r"trusted_proxies\[0\]: 'x' is no network", lambda d: d.update(trusted_proxies=["x"])),
    "static files at no path": (
        "'public' is no absolute path",
        lambda d: d["workers"][0].update(static={"directory": "public", "prefix": "/"}),
    ),
    "a release at no path": (
        "'runs/1' is no absolute path",
        lambda d: d["workers"][0].update(static=released("runs/1", "runs/1/public")),
    ),
    "files that are in no release": (
        r"'/r/runs/10/public' is not in the release '/r/runs/1'",
        lambda d: d["workers"][0].update(static=released("/r/runs/1", "/r/runs/10/public")),
    ),
    "files of another release": (
        r"'/r/api/runs/1/../../../web' is not in the release '/r/api/runs/1'",
        lambda d: d["workers"][0].update(static=released("/r/api/runs/1", "/r/api/runs/1/../../../web")),
    ),
    "half a release": (
        r"release: no key 'directory'",
        lambda d: d["workers"][0].update(static={"directory": "/p", "prefix": "/", "release": {"link": "/r"}}),
    ),
    "via no truth": (r"workers\[0\].via: not true or false", lambda d: d["workers"][0].update(via="yes")),
    "workers no list": ("workers: not a list", lambda d: d.update(workers={})),
    "worker no object": (r"workers\[0\]: not an object", lambda d: d.update(workers=[1])),
    "route no string": (r"routes\[0\]: not a string", lambda d: d["workers"][0].update(routes=[1])),
    "route with a slash at its end": ("is no route", lambda d: d["workers"][0].update(routes=["/a/"])),
    "route with dots": ("is no route", lambda d: d["workers"][0].update(routes=["/a/../b"])),
    "route with an escape": ("is no route", lambda d: d["workers"][0].update(routes=["/%61"])),
    "host with a port": ("is no host", lambda d: d["workers"][0].update(hosts=["a:80"])),
    "host in capitals": ("is no host", lambda d: d["workers"][0].update(hosts=["A"])),
    "endpoint that is none": (r"endpoints\[0\]: 'x' is no endpoint", lambda d: d["workers"][0].update(endpoints=["x"])),
    "two of one name": ("two workers", lambda d: d["workers"].append(d["workers"][0])),
}


@pytest.mark.parametrize(("message", "change"), BROKEN.values(), ids=BROKEN.keys())
def test_a_snapshot_that_is_not_understood_is_refused(message: str, change: Change) -> None:
    broken = document()
    change(broken)
    with pytest.raises(TqunitsError, match=message):
        parse_snapshot(json.dumps(broken).encode())


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"1", b'{"version": 1, "version": 1}', b"[" * 100_000])
def test_what_is_no_snapshot_is_refused(text: bytes) -> None:
    with pytest.raises(TqunitsError, match="routes"):
        parse_snapshot(text)


LEAVES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_json_makes_the_reader_fail(value: object) -> None:
    with pytest.raises(TqunitsError):
        parse_snapshot(json.dumps(value).encode())


HINTS = {
    "9000": "127.0.0.1:9000",
    "localhost:9000": "127.0.0.1:9000",
    ":9000": "127.0.0.1:9000",
    "::1:9000": "[::1]:9000",
    "127.0.0.1:0": "1 to 65535",
    "127.0.0.1:65536": "1 to 65535",
    "127.0.0.1:x": "1 to 65535",
    "unix:x.sock": "unix:/run/NAME.sock",
    "unix:/" + "x" * 108: "unix",
}


@pytest.mark.parametrize(("text", "hint"), HINTS.items(), ids=HINTS.keys())
def test_a_bad_endpoint_says_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(TqunitsError) as refused:
        parse_address(text)
    assert hint in str(refused.value.hint)
