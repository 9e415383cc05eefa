"""The field lines of one message: validated once, then looked up and forwarded unchanged.

A valid line is already canonical (`name:` value, no folding, no control), so it is forwarded with
exactly the meaning that the router has understood (RFC 9110 §7.6). Values are parsed only for the
few fields that the router itself uses; `SPECIAL` lists them all. The meaning of the names in a
head, its `Outline`, is computed once for all heads with the same names in the same order. The
fields of a connection's previous message are a `Stencil` for the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from functools import lru_cache
from itertools import compress
from operator import ne
from typing import ClassVar, Final

from tqunits.http.grammar import AUTHORITY, FIELD_LINES, MAX_DIGITS, Malformed, has_controls, length_of, split_list
from tqunits.http.mending import mended
from tqunits.http.stencil import MAX_HOLES, Stencil
from tqunits.model import USUAL_HEADS

MAX_FIELDS: Final = USUAL_HEADS.fields

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 §7.6.1: these fields are about this connection, never about the next one. `Trailer`
describes the body and stays."""

FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})

FORWARDING: Final = frozenset(
    {
        b"forwarded",
        b"front-end-https",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-forwarded-by",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-method",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-protocol",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-url",
        b"x-real-ip",
        b"x-request-id",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-url-scheme",
    }
)
"""Fields by which a router tells a worker about the client or its request (every framework believes
some of them). From a client they may be false. Fields of a CDN (CF-Connecting-IP) concern only the
CDN and the worker."""

SCHEMES: Final = frozenset(
    {
        b"cf-visitor",
        b"cloudfront-forwarded-proto",
        b"front-end-https",
        b"x-forwarded-proto",
        b"x-forwarded-protocol",
        b"x-forwarded-scheme",
        b"x-forwarded-ssl",
        b"x-scheme",
        b"x-url-scheme",
    }
)
"""The fields by which a trusted proxy says whether the client used HTTPS (schemes.py)."""


NEVER_FORWARDED: Final = HOP_BY_HOP | FRAMING | FORWARDING | {b"proxy"}
"""From a client, and with them their look-alikes. Framing is written anew by `framing.Framing`;
`Proxy` becomes HTTP_PROXY in CGI (httpoxy)."""

NEVER_RETURNED: Final = HOP_BY_HOP | FRAMING
"""From a worker."""

SPECIAL: Final = NEVER_FORWARDED | SCHEMES | {b"cdn-loop", b"date", b"expect", b"host", b"max-forwards", b"via"}

NOT_NOMINATED: Final = FRAMING | FORWARDING | {b"authorization", b"cookie", b"host"}
"""RFC 9110 §7.6.1 forbids a sender to name end-to-end fields in Connection. These are the ones
whose loss would change who is asking or what is asked, so their nomination is ignored."""

NOT_IN_TRAILERS: Final = SPECIAL | {
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"cookie",
    b"range",
    b"set-cookie",
    b"trailer",
    b"www-authenticate",
}
"""RFC 9110 §6.5.1: framing, routing, authentication, and what decides how the content is read."""

_PLAIN: Final = b"abcdefghijklmnopqrstuvwxyz0123456789-\n"
"""What nearly all names are made of, and LF between them."""

_AS_CGI: Final = bytes(byte if byte in _PLAIN else 0x2D for byte in range(256))
"""RFC 3875 §4.1.18 turns only "-" into "_" in the name of a meta-variable; Apache, lighttpd and PHP
turn every character into it that is neither a letter nor a digit (and a shell could not name the
variable otherwise). So `X_Real_IP` and `X.Real.IP` are `X-Real-IP` to a program."""

_CLEANED: Final = NEVER_FORWARDED | {b"max-forwards"}
"""Fields with a "-" that the router writes or removes: no other name may look like one of them to a
program."""

MAX_OUTLINES: Final = 128
MAX_OUTLINE: Final = 1024
"""How many outlines are kept, and the greatest number of bytes of names in one. The clients of a
site are some dozens of programs that send a few sets of names each. The worst case is less than 4
MiB; a client that changes its names each time only costs the computation."""

_USUAL_REQUEST: Final = frozenset({b"connection", b"content-length", b"host"})
"""The special fields that most requests have, and no others."""

_NONE: Final[frozenset[bytes]] = frozenset()
_USUAL_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})
"""Options that nominate nothing which is not removed anyway."""

_LASTING: Final = frozenset({b"keep-alive"})
_ALONE: Final = {option: frozenset({option}) for option in _USUAL_OPTIONS}

_FIXED: Final = frozenset({b"connection", b"host"})
"""The meaning of these values is copied from head to head, so a stencil has no hole for them."""


class Outline:
    """The meaning of the names of a head, whatever the values are: one object for all heads with
    the same names in the same order.

    A place is the index of a field line in its block; `places` has those of each name in `special`.
    """

    __slots__ = ("beginnings", "dropped", "lookalikes", "names", "places", "special", "usual")

    def __init__(self, spelled: list[bytes]) -> None:
        """`spelled`: the names in the order and the letters of the head."""
        names = b"\n".join(spelled).lower()
        self.names = tuple(names.split(b"\n")) if spelled else ()
        self.lookalikes = lookalikes(self.names, _CLEANED) if names.translate(None, _PLAIN) else _NONE
        self.special = SPECIAL.intersection(self.names) | self.lookalikes
        self.usual = self.special <= _USUAL_REQUEST
        self.beginnings = [b"\r\n%b:" % name for name in spelled]
        self.places: dict[bytes, list[int]] = {name: [] for name in self.special}
        for place in self.places_of(self.special):
            self.places[self.names[place]].append(place)
        self.dropped = {
            NEVER_FORWARDED: self.places_of(self.special & NEVER_FORWARDED | self.lookalikes),
            NEVER_RETURNED: self.places_of(self.special & NEVER_RETURNED),
        }

    def places_of(self, names: Set[bytes]) -> list[int]:
        """The places of the lines with one of these names, in order."""
        return [place for place, name in enumerate(self.names) if name in names] if names else []


def lookalikes(names: Iterable[bytes], of: Set[bytes]) -> frozenset[bytes]:
    """Those of `names` (lower-case) that a program would see as one of these names, and that are
    not one of them."""
    return frozenset(name for name in names if name not in of and name.translate(_AS_CGI) in of)


@lru_cache(MAX_OUTLINES)
def _remembered(spelled: bytes) -> Outline:
    """The outline of these names, joined by LF. Names are no secret; no value is ever remembered
    here."""
    return Outline(spelled.split(b"\n"))


def _outline_of(block: bytes, most: int) -> Outline:
    """Check a block by the grammar and find its outline. Raises Malformed: 400, or 431 for too many
    fields."""
    spelled: list[bytes] = FIELD_LINES.findall(block)
    if len(spelled) != len(block.split(b"\r\n")) - 3 or not block.endswith(b"\r\n\r\n"):
        raise Malformed(400, _fault(block))
    if len(spelled) > most:
        raise Malformed(431, f"more than {most} fields")
    names = b"\n".join(spelled)
    return _remembered(names) if 0 < len(names) <= MAX_OUTLINE else Outline(spelled)


class Fields:
    """The fields of one head. `block` begins with the CRLF before the first line and ends with the
    empty line."""

    __slots__ = ("_length", "_outline", "block", "special")

    def __init__(self, block: bytes, most: int = MAX_FIELDS) -> None:
        """Check the block line by line. Raises Malformed: 400, or 431 for more than `most`."""
        self.block = block
        self._outline = outline = _outline_of(block, most)
        self.special = outline.special
        self._length = -1  # Content-Length, once it has been read

    @property
    def names(self) -> tuple[bytes, ...]:
        """The names, lower-cased, in order."""
        return self._outline.names

    def values(self, name: bytes) -> list[bytes]:
        """The values of every line of that (lower-case) name, in order, without the space around
        them."""
        block, outline = self.block, self._outline
        beginnings = outline.beginnings
        found = []
        end = 0
        places = outline.places.get(name, ()) if name in SPECIAL else outline.places_of({name})
        for place in places:  # the first line from `end` on that begins so is the one
            start = block.find(beginnings[place], end) + len(beginnings[place])
            end = block.find(b"\r\n", start)
            found.append(block[start:end].strip(b" \t"))
        return found

    def content_length(self) -> int:
        """The one Content-Length there must be. Raises Malformed for more than one, and for what is
        no plain number."""
        if self._length < 0:
            values = self.values(b"content-length")
            if len(values) != 1:
                raise Malformed(400, "more than one Content-Length")
            length = length_of(values[0])
            if length < 0:
                raise Malformed(400, f"a Content-Length that is not 1 to {MAX_DIGITS} digits")
            self._length = length
        return self._length

    def without(self, names: Set[bytes]) -> bytes:
        """The lines of all other fields, each with the CRLF before it. Linear in their number."""
        return self._without(self._outline.places_of(names))

    def options(self) -> frozenset[bytes]:
        """The connection options: `close`, `keep-alive`, `upgrade`, and fields that are meant for
        this hop only."""
        if b"connection" not in self.special:
            return _NONE
        values = self.values(b"connection")
        alone = _ALONE.get(values[0].lower()) if len(values) == 1 else None
        return frozenset(split_list(values)) if alone is None else alone

    def forwarded(self, never: Set[bytes], options: Set[bytes]) -> bytes:
        """A request's lines that are forwarded: without `never`, look-alikes, and the fields that
        Connection names (RFC 9110 §7.6.1)."""
        return self.without(never | self._outline.lookalikes | _nominated(options))

    def _without(self, places: Iterable[int]) -> bytes:
        """The lines at all other places. `places`: in order, and all that a name has, or none of
        them."""
        block, beginnings = self.block, self._outline.beginnings
        kept = []
        end = 0
        for place in places:  # as above
            start = block.find(beginnings[place], end)
            kept.append(block[end:start])
            end = block.find(b"\r\n", start + 2)
        kept.append(block[end:-4])
        return b"".join(kept)


class HeadFields(Fields):
    """The fields of a head, parsed with the help of the previous ones on the same connection."""

    __slots__ = ("kept", "options_said", "stencil")

    _never: ClassVar[frozenset[bytes]]

    def _read(self, block: bytes, known: HeadFields | None, most: int = MAX_FIELDS) -> None:
        """Parse them by the grammar, and make a stencil for the next ones. Raises Malformed: 400 or
        431."""
        super().__init__(block, most)
        outline = self._outline
        self.options_said = self.options()
        nominated = _nominated(self.options_said)
        dropped = outline.dropped[self._never]
        if nominated:
            named = set(outline.places_of(nominated))
            dropped = sorted(named.union(dropped))
        self.kept = self._without(dropped)
        self.stencil = self._common(known, dropped) if known is not None and known._outline is outline else None

    def says(self, block: bytes) -> bool:
        """Whether that block is the same, and there is already a stencil for the next ones."""
        return self.stencil is not None and self.block == block

    def _fits(self, block: bytes, known: HeadFields) -> bool:
        """Parse them by the stencil of the previous ones, if they fit."""
        stencil = known.stencil
        found = stencil.fit(block, 0, len(block)) if stencil is not None else None
        if stencil is None or found is None:
            return False
        self.block = block
        self.kept, told = found
        self.special = known.special
        self.options_said = known.options_said
        self._length = length_of(told) if stencil.tells else known._length
        self._outline = known._outline
        self.stencil = stencil
        return True

    def _common(self, known: HeadFields, dropped: list[int]) -> Stencil | None:
        """The common part of these fields and the previous ones, which have the same outline."""
        lines, before = (fields.block.split(b"\r\n")[1:-2] for fields in (self, known))
        holes = frozenset(compress(range(len(lines)), map(ne, lines, before)))
        if known.stencil is not None:
            holes |= known.stencil.holes
        names = self._outline.names
        if len(holes) > MAX_HOLES or any(names[hole] in _FIXED for hole in holes):
            return None
        lengths = [hole for hole in holes if names[hole] == b"content-length"]
        if lengths and len(self._outline.places[b"content-length"]) > 1:
            return None
        return Stencil(lines, self._outline.beginnings, dropped, holes, lengths[0] if lengths else None)


class RequestFields(HeadFields):
    """The fields of a request and their meaning for the router, whatever the request line is."""

    __slots__ = ("host", "respells", "usual")

    _never = NEVER_FORWARDED

    def __init__(self, block: bytes, known: RequestFields | None = None, most: int = MAX_FIELDS) -> None:
        """`known`: those of the previous request; they only save work. Raises Malformed: 400 or
        431."""
        self.host: bytes | None  # None: not given; b"": of a URI without an authority
        self.respells: bool  # Host does not go on as it came
        self.usual: bool  # a body of known length or none, and a connection that may stay
        if known is not None and self._fits(block, known):
            self.host = known.host
            self.respells = known.respells
            self.usual = known.usual
        else:
            self._read(block, known, most)
            said = self._host_said()
            self.host = valid_authority(said) if said else said
            self.respells = not said or self.host != said
            self.usual = self._outline.usual and not self.respells and self.options_said <= _LASTING

    def _host_said(self) -> bytes | None:
        """The one Host (RFC 9112 §3.2)."""
        if b"host" not in self.special:
            return None
        values = self.values(b"host")
        if len(values) != 1:
            raise Malformed(400, "more than one Host")
        return values[0]


class ResponseFields(HeadFields):
    """The fields of a response and their meaning for the router, whatever the status line is."""

    __slots__ = ()

    _never = NEVER_RETURNED

    def __init__(self, block: bytes, known: ResponseFields | None = None, most: int = MAX_FIELDS) -> None:
        """`known`: those of the previous response; they only save work. Raises Malformed: 400 or
        431."""
        if known is None or not self._fits(block, known):
            self._read(block, known, most)

    def content_length(self) -> int:
        """The length that all of them give: as often as it is said, it is one (RFC 9110 §8.6).
        Raises Malformed."""
        if self._length < 0:
            told = {value.strip(b" \t") for value in b",".join(self.values(b"content-length")).split(b",")}
            if len(told) > 1:
                raise Malformed(502, "more than one Content-Length, and they differ")
            self._length = length_of(told.pop())
            if self._length < 0:
                raise Malformed(502, f"a Content-Length that is not 1 to {MAX_DIGITS} digits")
        return self._length


def _nominated(options: Set[bytes]) -> Set[bytes]:
    """The names in Connection that are not removed anyway."""
    return options - _USUAL_OPTIONS - NOT_NOMINATED


def valid_authority(text: bytes) -> bytes:
    """`text`, if it is a host with or without a port. Raises Malformed.

    An empty port is none (RFC 3986 §3.2.3), and is left out with its colon (§6.2.3).
    """
    match = AUTHORITY.fullmatch(text)
    if match is None or (match[2] and int(match[2]) > 0xFFFF):
        raise Malformed(400, "a host that is no host")
    return text.removesuffix(b":")


def trailer_lines(section: bytes, *, mend: bool = False) -> bytes:
    """What may be passed on of a trailer section (its lines with the empty one): whole lines, each
    with its CRLF.

    `mend`: it is a worker's (mending.py). Raises Malformed. RFC 9112 §7.1.2: never merged into the
    fields of the head.
    """
    block = b"\r\n" + section
    fields = Fields((mended(block) if mend else None) or block)
    lines = fields.without(NOT_IN_TRAILERS | lookalikes(fields.names, NOT_IN_TRAILERS))
    return lines[2:] + b"\r\n" if lines else b""


def _fault(block: bytes) -> str:
    """Why a block is refused, as a text for the answer and for developers of clients."""
    if has_controls(block):
        return "a control character in a field"
    if block.count(b"\n") != block.count(b"\r\n") or block.count(b"\r") != block.count(b"\r\n"):
        return "a bare CR or LF in a field"
    if b"\r\n " in block or b"\r\n\t" in block:
        return "a folded field line"
    return "a line that is not NAME: VALUE"
