"""The frames of the control channel: read correctly in pieces of any size, with any bytes between
them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .frames import LENGTHS, MAGIC, MOST_BODY, MOST_HEAD, Decoder, Frame, encode

HEADS = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=3)
FRAMES = st.builds(Frame, HEADS, st.binary(max_size=40) | st.just(MAGIC * 3))
FRAME = Frame({"number": 1}, b"body")


def decoded(pieces: list[bytes]) -> list[Frame]:
    decoder = Decoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


@given(st.lists(FRAMES, max_size=4), st.integers(1, 30))
def test_frames_come_out_as_they_went_in(frames: list[Frame], size: int) -> None:
    stream = b"".join(map(encode, frames))
    assert decoded([stream[at : at + size] for at in range(0, len(stream), size)]) == frames


@given(st.binary(max_size=60).filter(lambda noise: MAGIC not in noise + MAGIC[:-1]), FRAMES)
def test_what_is_no_frame_is_skipped(noise: bytes, frame: Frame) -> None:
    assert decoded([noise + encode(frame) + noise, encode(frame)]) == [frame, frame]


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(MAGIC + LENGTHS.pack(MOST_HEAD + 1, 0), id="a head that claims too much"),
        pytest.param(MAGIC + LENGTHS.pack(2, MOST_BODY + 1) + b"{}", id="a body that claims too much"),
        pytest.param(MAGIC + LENGTHS.pack(2, 0) + b"{]", id="a head that is no JSON"),
        pytest.param(MAGIC + LENGTHS.pack(2, 0) + b"[]", id="a head that is no object"),
        pytest.param(MAGIC + LENGTHS.pack(1, 0) + b"\xff", id="a head that is no text"),
        pytest.param(MAGIC * 2, id="the magic alone"),
    ],
)
def test_what_only_begins_like_a_frame_is_skipped(rest: bytes) -> None:
    assert decoded([rest + encode(FRAME)]) == [FRAME]


def test_a_frame_that_is_not_whole_is_waited_for() -> None:
    stream = encode(FRAME)
    assert [len(decoded([stream[:at]])) for at in range(len(stream) + 1)] == [0] * len(stream) + [1]
