"""What parsing costs: heads as browsers, curl and workers send them, in µs and in KiB, without a
socket.

    .venv/bin/python -m bench.python parse [--rounds N] [--json]

Each figure is the median of the rounds, per head. The same head comes to a connection in four ways:

- repeated: the same bytes as the head before;
- varied:   the same names in the same order; query, cookie, referer and a tracing field differ
            from head to head, and ETag and Set-Cookie in responses;
- turned:   the head before had a field less, or more, so that nothing of it helps;
- first:    nothing came before on this connection.

Reading is all that a message costs before it is forwarded: find its end, parse it, and for a
response its length. KiB is what a connection holds that remembers its last head, after three that
differed; below it, what one holds that has forgotten it.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence

from tqunits.http.fields import RequestFields, ResponseFields
from tqunits.http.head import HeadBuffer, parse_request, parse_response

HEADS = 1000
"""Differing heads of a round: more than the first cache of a CPU holds, as with many clients."""

CONNECTIONS = 1000
"""That memory is measured of."""

BROWSER = """\
GET /api/small?n=@ HTTP/1.1
Host: bench.example
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8
Accept-Language: en-GB,en;q=0.9,de;q=0.8
Accept-Encoding: gzip, deflate, br, zstd
Connection: keep-alive
Cookie: session=8f14e45fceea167a5a36dedd4bea@; theme=dark; seen=@
Referer: http://bench.example/api/list?page=@
Sec-Ch-Ua: "Chromium";v="138", "Not)A;Brand";v="8"
Sec-Ch-Ua-Mobile: ?0
Sec-Ch-Ua-Platform: "Linux"
Sec-Fetch-Dest: document
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: same-origin
Upgrade-Insecure-Requests: 1
Traceparent: 00-0af7651916cd43dd8448eb21@-00f067aa@-01
"""

CURL = """\
GET /api/small?n=@ HTTP/1.1
Host: bench.example
User-Agent: curl/7.88.1
Accept: */*
Authorization: Bearer @
"""

PLAIN = """\
HTTP/1.1 200 OK
Date: Thu, 01 Jan 2026 00:00:00 GMT
Server: origin
ETag: "@"
Content-Length: 13
"""

COOKIE = """\
HTTP/1.1 200 OK
Date: Thu, 01 Jan 2026 00:00:00 GMT
Server: origin
Content-Type: text/html; charset=utf-8
ETag: "@"
Set-Cookie: last=@; Path=/; HttpOnly
Content-Length: 13
"""

MANY = """\
HTTP/1.1 200 OK
Date: Thu, 01 Jan 2026 00:00:00 GMT
Server: origin
Content-Type: text/html; charset=utf-8
Cache-Control: private, max-age=0, must-revalidate
Vary: Accept-Encoding, Cookie
X-Content-Type-Options: nosniff
X-Frame-Options: SAMEORIGIN
Referrer-Policy: strict-origin-when-cross-origin
Content-Security-Policy: default-src 'self'; img-src 'self' data:; frame-ancestors 'none'
ETag: "@"
Set-Cookie: last=@; Path=/; HttpOnly
Connection: keep-alive
Content-Length: 13
"""

REQUESTS = {"browser, 16 fields": BROWSER, "curl, 4 fields": CURL}
RESPONSES = {"response, 4 fields": PLAIN, "response, 6 fields": COOKIE, "response, 13 fields": MANY}
Row = dict[str, str | float]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What parsing costs.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    rows = [row(name, text, read_requests, arguments.rounds) for name, text in REQUESTS.items()]
    rows += [row(name, text, read_responses, arguments.rounds) for name, text in RESPONSES.items()]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    table: list[list[str] | list[str | float]] = [list(rows[0]), *(list(one.values()) for one in rows)]
    for one in table:
        cells = [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in one]
        print(f"{cells[0]:<20}" + "".join(f"{cell:>12}" for cell in cells[1:]))
    print(f"forgotten: {kibibytes(lambda _: HeadBuffer()):.2f} KiB")


def row(name: str, text: str, read: Callable[[Sequence[bytes], bool], object], rounds: int) -> Row:
    """One line of the table."""
    varied = heads(text)
    turned = [head for pair in zip(varied, heads(without_third(text)), strict=True) for head in pair][:HEADS]
    return {
        "read µs": name,
        "repeated": microseconds(lambda: read(varied[:1] * HEADS, True), rounds),
        "varied": microseconds(lambda: read(varied, True), rounds),
        "turned": microseconds(lambda: read(turned, True), rounds),
        "first": microseconds(lambda: read(varied, False), rounds),
        "KiB": kept(varied, read),
    }


def heads(text: str) -> list[bytes]:
    """`HEADS` of them, each as it comes from a socket; "@" stands for what differs."""
    template = text.replace("\n", "\r\n") + "\r\n"
    return [template.replace("@", f"{number * 2654435761 % 2**32:08x}").encode() for number in range(HEADS)]


def without_third(text: str) -> str:
    """The same head without its second field."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[:2] + lines[3:])


def read_requests(data: Sequence[bytes], remember: bool) -> RequestFields | None:  # noqa: FBT001
    """What a connection does that gets these heads; gives what it remembers."""
    buffer, known = HeadBuffer(), None
    for one in data:
        whole = buffer.feed(one)
        assert whole is not None
        fields = parse_request(whole[0], known).fields
        if remember:
            known = fields
    return known


def read_responses(data: Sequence[bytes], remember: bool) -> ResponseFields | None:  # noqa: FBT001
    """What a connection to a worker does that gets these heads."""
    buffer, known = HeadBuffer(), None
    for one in data:
        whole = buffer.feed(one)
        assert whole is not None
        fields = parse_response(whole[0], known).fields
        fields.content_length()
        if remember:
            known = fields
    return known


def microseconds(action: Callable[[], object], rounds: int) -> float:
    """The median of the rounds, per head."""
    action()
    return statistics.median(seconds(action) for _ in range(rounds)) / HEADS * 1e6


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def kept(varied: Sequence[bytes], read: Callable[[Sequence[bytes], bool], object]) -> float:
    """KiB that each of many connections holds when three heads have come, each in bytes of its
    own."""
    return kibibytes(lambda number: read([bytes(bytearray(varied[number - n])) for n in range(3)], True))


def kibibytes(make: Callable[[int], object]) -> float:
    """What one of many such objects holds, with what only it refers to."""
    make(0)
    gc.collect()
    tracemalloc.start()
    made = [make(number) for number in range(CONNECTIONS)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (size - sys.getsizeof(made)) / CONNECTIONS / 1024


if __name__ == "__main__":
    main()
