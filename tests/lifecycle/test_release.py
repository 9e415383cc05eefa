"""Manifests, orders and results come back as they were written; everything else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from host.releases import draft
from hypothesis import given
from hypothesis import strategies as st

from tqunits.lifecycle import release
from tqunits.lifecycle.release import FOLDER, BuildRequest, HarvestOrder, HarvestResult, Manifest, Tool

ID = "0123456789ab"
REVISION = "0" * 40

printable = st.text().filter(str.isprintable)
numbers = st.integers(0, (1 << 63) - 1)
ids = st.text("0123456789abcdef", min_size=12, max_size=12)
digests = st.text("0123456789abcdef", min_size=1, max_size=128)
revisions = st.none() | st.text("0123456789abcdef", min_size=40, max_size=40)
requests = st.builds(BuildRequest, printable, printable, st.booleans())

manifests = st.builds(
    Manifest,
    worker=st.from_regex(r"[a-z][a-z0-9_-]{0,23}", fullmatch=True),
    release=ids,
    sources_digest=digests,
    recipe_digest=digests,
    toolchain=st.lists(st.builds(Tool, printable, printable), max_size=3).map(tuple),
    revision=revisions,
    is_dirty=st.booleans() | st.none(),
    actor=printable,
    message=printable,
    made_us=numbers,
    took_us=numbers,
    size=numbers,
    files=numbers,
)
orders = st.builds(
    HarvestOrder,
    number=numbers,
    build=requests,
    runs=st.dictionaries(st.integers(1, release.MAX_INSTANCE), ids | st.just(FOLDER)),
    stable=st.none() | ids,
    clear=st.booleans(),
)
results = st.builds(
    HarvestResult,
    number=numbers,
    release=st.none() | ids,
    is_new=st.booleans(),
    in_folder=st.booleans(),
    revision=revisions,
    is_dirty=st.booleans() | st.none(),
    cleared=st.booleans(),
    left=st.lists(printable, max_size=release.MAX_LEFT).map(tuple),
    left_count=numbers,
    why=printable,
    hint=st.lists(printable).map("\n".join),
)


@given(manifests)
def test_a_manifest_comes_back(manifest: Manifest) -> None:
    assert release.parse_manifest(release.manifest_text(manifest)) == manifest


@given(orders)
def test_an_order_comes_back(order: HarvestOrder) -> None:
    assert release.parse_order(release.order_text(order).encode()) == order


@given(results)
def test_a_result_comes_back(result: HarvestResult) -> None:
    assert release.parse_result(release.result_text(result)) == result


ORDER = HarvestOrder(number=7, build=BuildRequest("root", "first"), runs={1: FOLDER, 2: ID}, stable=ID)
RESULT = HarvestResult(number=7, release=ID, is_new=True, revision=REVISION, left=("pipe",))


@given(st.text(), st.text(), st.lists(st.text()))
def test_a_result_can_always_be_read(why: str, hint: str, left: list[str]) -> None:
    """Builds print what they like, and make names of any bytes."""
    hostile = replace(RESULT, why=why, hint=hint, left=tuple(left))
    assert release.parse_result(release.result_text(hostile)).number == RESULT.number


def test_a_result_is_cut_to_its_bounds() -> None:
    long = replace(RESULT, why="w" * 9999, hint="\x1b\n" * 9999, left=("n" * 9999,) * 99)
    read = release.parse_result(release.result_text(long))
    assert (len(read.why), len(read.hint), len(read.left), len(read.left[0])) == (4096, 4096, 10, 4096)
    assert read.hint.startswith("\\x1b\n\\x1b\n")


def of_order(**members: object) -> str:
    return json.dumps({**json.loads(release.order_text(ORDER)), **members})


BAD_ORDERS = {
    "nothing": "",
    "no-json": "{",
    "no-object": "[]",
    "not-utf8": b"\xff",
    "deep": "[" * 100_000,
    "too-long": " " * (release.MAX_DOCUMENT + 1),
    "key-missing": "{}",
    "key-unknown": of_order(more=1),
    "key-twice": release.order_text(ORDER).replace("{", '{"number": 7, ', 1),
    "number-negative": of_order(number=-1),
    "number-true": of_order(number=True),
    "number-float": of_order(number=1.0),
    "number-nan": of_order(number=float("nan")),
    "number-huge": of_order(number=1 << 63),
    "build-text": of_order(build="all"),
    "build-key-missing": of_order(build={"actor": "alice"}),
    "actor-number": of_order(build={"actor": 0, "message": ""}),
    "actor-long": of_order(build={"actor": "a" * 301, "message": ""}),
    "message-escape": of_order(build={"actor": "", "message": "\x1b[2J"}),
    "message-two-lines": of_order(build={"actor": "", "message": "a\nb"}),
    "message-surrogate": of_order(build={"actor": "", "message": "\ud800"}),
    "runs-list": of_order(runs=[ID]),
    "runs-none": of_order(runs={"0": ID}),
    "runs-beyond": of_order(runs={"1002": ID}),
    "runs-leading-zero": of_order(runs={"01": ID}),
    "runs-other-digits": of_order(runs={"\u0661": ID}),
    "runs-newline": of_order(runs={"1\n": ID}),
    "runs-path": of_order(runs={"1": "../../etc/aa"}),
    "runs-null": of_order(runs={"1": None}),
    "runs-word": of_order(runs={"1": "new"}),
    "stable-folder": of_order(stable=FOLDER),
    "stable-upper-case": of_order(stable="0123456789AB"),
    "stable-newline": of_order(stable=f"{ID}\n"),
    "stable-false": of_order(stable=False),
}


@pytest.mark.parametrize("text", BAD_ORDERS.values(), ids=BAD_ORDERS)
def test_an_order_that_is_none_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        release.parse_order(text)


@given(st.binary())
def test_any_bytes_are_an_order_or_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        release.parse_order(document)


def test_the_message_of_a_refusal_names_the_key() -> None:
    with pytest.raises(ValueError, match=r"^stable: 'x' is none$"):
        release.parse_order(of_order(stable="x"))
    with pytest.raises(ValueError, match=r"^it: has not exactly the keys number, build, runs, stable, clear: see 'a"):
        release.parse_order(of_order(**{"a" * 9999: 1}))


def test_an_order_may_build_nothing() -> None:
    order = replace(ORDER, build=None, runs={1: ID}, stable=None)
    assert release.parse_order(release.order_text(order)) == order


Spoil = Callable[[dict[str, object]], object]
BAD_MANIFESTS: dict[str, Spoil] = {
    "worker": lambda found: found.update(worker="../api"),
    "release": lambda found: found.update(release="x"),
    "digest": lambda found: found.update(sources_digest=""),
    "recipe": lambda found: found.update(recipe_digest="g"),
    "tools": lambda found: found.update(toolchain=[{"path": "/x", "version": ""}] * 33),
    "tool": lambda found: found.update(toolchain=[{"path": "/x"}]),
    "tool-text": lambda found: found.update(toolchain=["/x"]),
    "revision": lambda found: found.update(revision="main"),
    "dirty": lambda found: found.update(is_dirty=0),
    "size": lambda found: found.update(size=-1),
    "missing": lambda found: found.pop("files"),
}


@pytest.mark.parametrize("spoil", BAD_MANIFESTS.values(), ids=BAD_MANIFESTS)
def test_a_manifest_that_is_none_is_refused(spoil: Spoil) -> None:
    found = json.loads(release.manifest_text(draft()))
    spoil(found)
    with pytest.raises(ValueError, match=r"."):
        release.parse_manifest(json.dumps(found))


BAD_RESULTS: dict[str, Spoil] = {
    "left-many": lambda found: found.update(left=["a"] * 11),
    "left-count": lambda found: found.update(left_count=-1),
    "left-number": lambda found: found.update(left=[1]),
    "why-escape": lambda found: found.update(why="\x1b"),
    "hint-escape": lambda found: found.update(hint="\x1b"),
    "hint-long": lambda found: found.update(hint="h" * 4097),
    "release-folder": lambda found: found.update(release=FOLDER),
}


@pytest.mark.parametrize("spoil", BAD_RESULTS.values(), ids=BAD_RESULTS)
def test_a_result_that_is_none_is_refused(spoil: Spoil) -> None:
    found = json.loads(release.result_text(RESULT))
    spoil(found)
    with pytest.raises(ValueError, match=r"."):
        release.parse_result(json.dumps(found))


@pytest.mark.parametrize("text", [ID[:-1], f"{ID}0", ID.upper(), f"{ID[:-1]}\n", FOLDER, ""])
def test_an_id_has_twelve_digits(text: str) -> None:
    assert release.is_release_id(ID)
    assert not release.is_release_id(text)
