"""Accept-Encoding: which compressed siblings of a file a client accepts, in its order of
preference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.coding import CODINGS, accepted

CASES = {
    "a browser": ("gzip, deflate, br, zstd", "br gzip"),
    "curl": ("deflate, gzip", "gzip"),
    "br alone": ("br", "br"),
    "any case": ("GZip, BR", "br gzip"),
    "the old name": ("x-gzip", "gzip"),
    "others": ("deflate, zstd, compress, x-br", ""),
    "empty": ("", ""),
    "anything": ("*", "br gzip"),
    "anything else": ("gzip;q=0.5, *", "br"),
    "anything but": ("br;q=0, *", "gzip"),
    "nothing": ("*;q=0", ""),
    "only gzip": ("gzip, *;q=0", "gzip"),
    "by weight": ("br;q=0.5, gzip;q=0.8", "gzip br"),
    "equal weights": ("gzip;q=0.8, br;q=0.8", "br gzip"),
    "thousandths": ("gzip;q=0.101, br;q=0.1", "gzip br"),
    "refused": ("br;q=0, gzip;q=0.0", ""),
    "refused with zeros": ("br;q=0.000, gzip;q=0.", ""),
    "one": ("br;q=1.000, gzip;q=1", "br gzip"),
    "rather plain": ("identity, br;q=0.5", ""),
    "rather plain than brotli": ("gzip, identity;q=0.5, br;q=0.1", "gzip"),
    "plain is as good": ("gzip, identity", "gzip"),
    "never plain": ("identity;q=0, br", "br"),
    "spaces": (" br \t;  q=0.5 ,, gzip ;q=0.1", "br gzip"),
    "Q": ("br;Q=0.5", "br"),
    "weight above one": ("br;q=1.1, gzip", "gzip"),
    "weight with four digits": ("br;q=0.1234, gzip", "gzip"),
    "negative weight": ("br;q=-1, gzip", "gzip"),
    "no weight": ("br;q=, gzip", "gzip"),
    "another parameter": ("br;level=9, gzip", "gzip"),
    "a space before the value": ("br;q= 1, gzip", "gzip"),
    "no token": ('"br", gzip', "gzip"),
}


def names(*values: str) -> str:
    return " ".join(coding.name.decode() for coding in accepted([value.encode() for value in values]))


@pytest.mark.parametrize(("value", "codings"), CASES.values(), ids=CASES.keys())
def test_what_a_client_takes(value: str, codings: str) -> None:
    assert names(value) == codings


def test_without_the_field_the_plain_file_is_sent() -> None:
    assert names() == ""


def test_two_lines_are_one_list() -> None:
    assert names("gzip", "br;q=0.5") == "gzip br"


WEIGHTS = st.fixed_dictionaries({}, optional={name: st.integers(0, 1000) for name in ("br", "gzip", "identity", "*")})


@given(WEIGHTS)
def test_nothing_refused_is_sent_and_the_best_comes_first(weights: dict[str, int]) -> None:
    members = [f"{name};q={weight // 1000}.{weight % 1000:03d}" for name, weight in weights.items()]
    found = names(", ".join(members)).split()
    liked = {coding.name.decode(): weights.get(coding.name.decode(), weights.get("*", 0)) for coding in CODINGS}
    plain = weights.get("identity", weights.get("*", 0))
    assert set(found) == {name for name, weight in liked.items() if weight > 0 and weight >= plain}
    assert [liked[name] for name in found] == sorted((liked[name] for name in found), reverse=True)


@given(st.binary())
def test_no_value_makes_it_fail(value: bytes) -> None:
    assert set(accepted([value])) <= set(CODINGS)
