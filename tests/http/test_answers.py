"""The router's own answers: in the client's format, with the request's identifier, and without any
data of the client."""

from __future__ import annotations

import json
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.answers import MAX_MESSAGE, MAX_RANGES, REASONS, AnswerType, answer, notice, preferred
from tqunits.http.framing import NO_BODY_STATUSES
from tqunits.http.head import ResponseHead, parse_response


def split(response: bytes) -> tuple[ResponseHead, bytes]:
    head, body = response.split(b"\r\n\r\n", 1)
    return parse_response(head + b"\r\n\r\n"), body


ACCEPTS = {
    "nothing": (b"", AnswerType.PLAIN),
    "anything": (b"*/*", AnswerType.PLAIN),
    "any text": (b"text/*", AnswerType.PLAIN),
    "any application": (b"application/*", AnswerType.JSON),
    "a browser": (b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", AnswerType.HTML),
    "an image of a page": (b"image/avif,image/webp,*/*;q=0.8", AnswerType.PLAIN),
    "JSON": (b"application/json", AnswerType.JSON),
    "JSON in capitals": (b"Application/JSON", AnswerType.JSON),
    "axios": (b"application/json, text/plain, */*", AnswerType.JSON),
    "jQuery": (b"application/json, text/javascript, */*; q=0.01", AnswerType.JSON),
    "problem": (b"application/problem+json", AnswerType.JSON),
    "an API": (b"application/vnd.api+json;version=2", AnswerType.JSON),
    "another +json": (b"image/x+json", AnswerType.PLAIN),
    "plain": (b"text/plain", AnswerType.PLAIN),
    "plain first": (b"text/plain, text/html", AnswerType.PLAIN),
    "HTML first": (b"text/html, application/json", AnswerType.HTML),
    "JSON first": (b"application/json, text/html", AnswerType.JSON),
    "by quality": (b"text/html;q=0.5, application/json;q=0.6", AnswerType.JSON),
    "by thousandths": (b"text/html;q=0.501, application/json;q=0.5", AnswerType.HTML),
    "quality with spaces": (b"text/html ; q=0.5 , application/json\t;\tq=0.6", AnswerType.JSON),
    "quality in capitals": (b"text/html;Q=0.1, application/json;q=0.6", AnswerType.JSON),
    "quality behind a parameter": (b"text/html;level=1;q=0.1, application/json;q=0.6", AnswerType.JSON),
    "the specific counts": (b"text/html;q=0.1, text/*;q=0.7, application/json;q=0.5", AnswerType.PLAIN),
    "the named wins": (b"*/*, text/html", AnswerType.HTML),
    "anything but plain": (b"text/plain;q=0, text/html;q=0.1", AnswerType.HTML),
    "all but plain": (b"*/*, text/plain;q=0", AnswerType.HTML),
    "refused": (b"text/html;q=0", AnswerType.PLAIN),
    "nothing of ours": (b"image/png", AnswerType.PLAIN),
    "a quality that is none": (b"text/html;q=2, application/json;q=0.1", AnswerType.JSON),
    "a quality with four digits": (b"text/html;q=0.9999, application/json;q=0.1", AnswerType.JSON),
    "a quality of words": (b"text/html;q=nan, application/json;q=inf", AnswerType.PLAIN),
    "junk": (b";;,,q=1;text/html", AnswerType.PLAIN),
    "obs-text": (b"\xff/\xfe, text/html", AnswerType.HTML),
    "within what is read": (b"a/b," * (MAX_RANGES - 1) + b"text/html", AnswerType.HTML),
    "beyond what is read": (b"a/b," * MAX_RANGES + b"text/html", AnswerType.PLAIN),
    "beyond the bytes that are read": (b"a/" + b"b" * 1024 + b", text/html", AnswerType.PLAIN),
}


@pytest.mark.parametrize(("accept", "form"), ACCEPTS.values(), ids=ACCEPTS.keys())
def test_accept_decides_the_format(accept: bytes, form: AnswerType) -> None:
    assert preferred(accept) is form


@given(st.lists(st.sampled_from([b"text/html", b"*/*", b";", b"q=", b"0.5", b",", b" ", b"+json", b"application/"])))
def test_any_accept_has_an_answer(pieces: list[bytes]) -> None:
    assert preferred(b"".join(pieces)) in AnswerType


@pytest.mark.parametrize("accept", [b"", b"text/html", b"application/json"])
@pytest.mark.parametrize("status", REASONS)
def test_an_answer_is_a_valid_response(status: int, accept: bytes) -> None:
    text = answer(status, date=b"now", close=True, accept=accept, request_id=b"id-1", lines=b"\r\nLocation: /x")
    head, body = split(text)
    assert (head.status, head.reason) == (status, REASONS[status])
    assert head.fields.values(b"cache-control") == [b"no-store"]
    assert head.fields.values(b"x-request-id") == [b"id-1"]
    assert head.fields.values(b"location") == [b"/x"]
    assert head.fields.values(b"connection") == [b"close"]
    if status in NO_BODY_STATUSES:
        assert (head.fields.values(b"content-length"), body) == ([], b"")
    else:
        assert head.fields.values(b"content-length") == [b"%d" % len(body)]
        assert b"id-1" in body
        assert answer(
            status,
            date=b"now",
            close=True,
            accept=accept,
            request_id=b"id-1",
            lines=b"\r\nLocation: /x",
            head_only=True,
        ) == text.removesuffix(body)


def test_plain_text_is_for_terminals() -> None:
    head, body = split(answer(404, date=b"now", request_id=b"id-1"))
    assert body == b"404 Not Found: No worker serves this path.\nRequest ID: id-1\n"
    assert head.fields.values(b"content-type") == [b"text/plain; charset=utf-8"]
    assert split(answer(200, date=b"now"))[1] == b"200 OK\n"


def test_json_is_for_programs() -> None:
    head, body = split(answer(400, date=b"now", detail="no Host", accept=b"application/json", request_id=b"id-1"))
    assert json.loads(body) == {"status": 400, "error": "Bad Request", "detail": "no Host", "request_id": "id-1"}
    assert head.fields.values(b"content-type") == [b"application/json"]
    assert json.loads(split(answer(502, date=b"now", accept=b"application/json"))[1])["request_id"] == ""


def test_html_is_for_people() -> None:
    head, body = split(answer(502, date=b"now", accept=b"text/html", request_id=b"id-1"))
    assert b"<title>502 Bad Gateway</title>" in body
    assert b"<p>The worker did not give a valid answer.</p>\n<p>Request ID: <code>id-1</code></p>" in body
    assert head.fields.values(b"content-type") == [b"text/html; charset=utf-8"]
    assert len(body) < 1024


def test_what_only_some_answers_say() -> None:
    assert split(answer(503, date=b"now", retry_after=5))[0].fields.values(b"retry-after") == [b"5"]
    assert split(answer(503, date=b"now"))[0].fields.values(b"retry-after") == []
    assert b"GET" in split(answer(405, date=b"now"))[0].fields.values(b"allow")[0]
    assert split(answer(404, date=b"now"))[0].fields.names == (
        b"date",
        b"cache-control",
        b"content-type",
        b"content-length",
    )


class Text(HTMLParser):
    """The visible text of a page, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = ""
        self.elements: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.shown += data


ELEMENTS = {"html", "head", "meta", "title", "style", "body", "h1", "p"}


@given(st.text(st.characters() | st.sampled_from("<>&\"'/{}\n\r\0"), max_size=60))
def test_a_message_is_text_in_every_format(message: str) -> None:
    written = [
        split(answer(503, date=b"now", detail=notice(message) or "-", accept=form.value))[1] for form in AnswerType
    ]
    plain, page, program = (body.decode("utf-8") for body in written)
    document = Text()
    document.feed(page)
    assert document.elements <= ELEMENTS
    shown = json.loads(program)["detail"].encode("utf-8", "replace").decode()
    assert plain == f"503 Service Unavailable: {shown}\n"
    assert shown in unescape(page)
    assert not any(ord(character) < 0x20 and character != "\n" for character in shown)


def test_a_notice_is_bounded_and_a_503_says_when_to_come_back() -> None:
    text = notice("Back at <b>12</b>.\nSorry.")
    head, body = split(answer(503, date=b"now", detail=text, retry_after=600, request_id=b"id-1"))
    assert (head.status, head.fields.values(b"retry-after")) == (503, [b"600"])
    assert body == b"503 Service Unavailable: Back at <b>12</b>.\nSorry.\nRequest ID: id-1\n"
    assert notice("a" * 10 * MAX_MESSAGE) == "a" * MAX_MESSAGE
    assert notice(" \n") == ""
