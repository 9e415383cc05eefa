"""YAML as nodes that know their line and column. The only module that imports PyYAML.

Scalars stay the text that the author wrote. The conversions of YAML 1.1 (`no` is false, 010 is 8,
12:30 is 750) are never made: the parser of each setting decides what its text means (parsers.py).

The nodes are built here from the parser's events, not by PyYAML's compose(): that recurses in C
without a limit, and 200,000 opening brackets end the process with a segmentation fault (measured:
PyYAML 6.0.3, libyaml 0.2.5). The event parser is a state machine and works piece by piece, so the
depth limit below ends such a text after its first bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import yaml  # noqa: TID251 - this is the door

from tqunits.errors import Mark
from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass

MAX_DEPTH = 16
"""unit.Service.X is 3 deep, in `defaults:` 4; deeper is a mistake or an attack on the stack."""

MAX_NODES = 20_000
"""A worker.yaml with every key has about 150 nodes. An alias counts with everything that it stands
for (against a "billion laughs")."""

MAX_TEXT = 2 << 20
"""Characters of all values, counted in the same way: twice what a file may have. Without this bound
50 KB of aliases to one long text were 60 MB of a unit file."""

MAX_WORKER_TEXT = 100_000
"""The same of a worker.yaml: 25 times one with every key. Nearly all of it gets into each drop-in
of its instances, quoted in up to four characters for one, and whoever reads a drop-in takes 1 MiB
(files.READ_LIMIT): a longer one would stop the install of all, and `ls`."""

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_FORBIDDEN = late_pattern("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Control characters, and the characters that YAML takes for a line end but editors do not (NEL,
LS, PS): they would make marks wrong."""

_LINE_END = late_pattern("\r\n|\r|\n")
_SURROGATE = late_pattern("[\ud800-\udfff]")
_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"

_HINTS = (
    ("mapping values are not allowed", "put a text that has ': ' in it in quotes"),
    ("could not find expected ':'", "each line of a mapping is 'key: value'"),
    ("did not find expected key", "the keys of one mapping stand in one column"),
    ("expected <block end>", "the keys of one mapping stand in one column"),
    ("unexpected end of stream", "a quote or a bracket is not closed"),
    ("found unexpected end", "a quote or a bracket is not closed"),
    ("did not find expected ',' or", "a bracket is not closed, or a comma is missing"),
    ("expected ',' or", "a bracket is not closed, or a comma is missing"),
    ("cannot start any token", "put a text that begins with this character in quotes"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One file's name and lines, for marks and source lines."""

    file: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A place in a document. A plain Node is the place of a syntax error. Line and column count
    from 1."""

    document: Document
    line: int
    column: int

    @property
    def mark(self) -> Mark:
        """The place for a Diagnostic."""
        return Mark(self.document.file, self.line, self.column)

    @property
    def source(self) -> str | None:
        """The text of the marked line; None when there is no such line."""
        lines = self.document.lines
        return lines[self.line - 1] if self.line <= len(lines) else None


@dataclass(frozen=True, slots=True, eq=False)
class ScalarNode(Node):
    """A text, as written. `plain`: without quotes. `folded`: a block that begins with >."""

    text: str
    plain: bool
    folded: bool = False

    @property
    def is_null(self) -> bool:
        """Whether it is nothing, `~` or `null`, without quotes."""
        return self.plain and self.text in _NULL


@dataclass(frozen=True, slots=True, eq=False)
class ListNode(Node):
    """A list."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MapNode(Node):
    """A mapping, in the author's order; no key occurs twice."""

    entries: tuple[tuple[ScalarNode, Node], ...]


@dataclass(frozen=True, slots=True)
class YamlMistake:
    """What is wrong with the YAML itself."""

    node: Node
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class YamlReading:
    """The outcome of reading one file. `root` is None when the text is not YAML. Mistakes that
    leave a tree, such as a repeated key, are listed beside it."""

    root: Node | None
    top: Node
    mistakes: tuple[YamlMistake, ...]


def items(node: Node) -> tuple[tuple[str, Mark], ...]:
    """All texts in a list or a mapping, at any depth, each with its place; for a single text
    empty."""
    match node:
        case ListNode():
            return tuple(found for item in node.items for found in _texts(item))
        case MapNode():
            return tuple(found for _, value in node.entries for found in _texts(value))
        case _:
            return ()


def within(node: ScalarNode, at: int) -> Node:
    """The place of a character within a text, in its line or block. If that can not be found, the
    place of the text."""
    line = node.line + (1 + node.text.count("\n", 0, at) if "\n" in node.text else 0)
    begin = node.text.rfind("\n", 0, at) + 1
    written = node.text[begin:].partition("\n")[0]
    lines = node.document.lines
    found = lines[line - 1].find(written, node.column - 1 if line == node.line else 0) if line <= len(lines) else -1
    return Node(node.document, line, found + 1 + at - begin) if at and written and found >= 0 else node


def _texts(node: Node) -> tuple[tuple[str, Mark], ...]:
    return ((node.text, node.mark),) if isinstance(node, ScalarNode) else items(node)


Events = Callable[[str], Iterator[yaml.Event]]


def fast_events(text: str) -> Iterator[yaml.Event]:
    """The events of a text, by libyaml if PyYAML has it."""
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)(text)
    yield from iter(loader.get_event, None)  # yaml.parse() asks for each event twice; the last is StreamEndEvent


def pure_events(text: str) -> Iterator[yaml.Event]:
    """The events of a text without libyaml: ten times slower."""
    return yaml.parse(text, Loader=yaml.BaseLoader)


def read(content: bytes, file: str, *, events: Events = fast_events, most_text: int = MAX_TEXT) -> YamlReading:
    """The nodes of one file, whose values have at most `most_text` characters. Never raises,
    whatever the bytes are. An empty file is an empty mapping."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        document = _document(content[: error.start].decode("utf-8-sig") + "\ufffd", file)
        mistake = YamlMistake(_end(document), "not UTF-8", "save the file as UTF-8")
        return YamlReading(None, Node(document, 1, 1), (mistake,))
    document = _document(text, file)
    top = Node(document, 1, 1)
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        place = _place(document, text, forbidden.start())
        mistake = YamlMistake(place, f"the character {ord(forbidden.group()):#04x} has no place in YAML", "remove it")
        return YamlReading(None, top, (mistake,))
    return _compose(_Composer(document, events(text), most_text), document, top)


def _compose(composer: _Composer, document: Document, top: Node) -> YamlReading:
    try:
        root = composer.document_node()
    except _Stop as stop:
        return YamlReading(None, top, (*composer.mistakes, stop.mistake))
    except yaml.MarkedYAMLError as error:
        return YamlReading(None, top, (*composer.mistakes, _syntax(document, error)))
    except (yaml.YAMLError, ValueError, OverflowError):  # the pure parser passes the text to int() and chr()
        return YamlReading(None, top, (*composer.mistakes, YamlMistake(top, "not valid YAML")))
    return YamlReading(root, top, tuple(composer.mistakes))


class _Stop(Exception):
    """Ends the reading of a document."""

    def __init__(self, node: Node, message: str, hint: str | None = None) -> None:
        super().__init__()
        self.mistake = YamlMistake(node, message, hint)


class _Composer:
    """Builds the nodes of one document from its events."""

    def __init__(self, document: Document, events: Iterator[yaml.Event], most_text: int) -> None:
        self.mistakes: list[YamlMistake] = []
        self._most_text = most_text
        self._document = document
        self._events = events
        self._anchors: dict[str, tuple[Node, int, int, int]] = {}  # node, count of its nodes, characters, height
        self._count = 0
        self._text = 0  # characters
        self._height = 0  # the deepest level so far, for the height of an anchored node

    def document_node(self) -> Node:
        """The root of the only document; an empty mapping when there is none."""
        next(self._events)  # StreamStartEvent
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return MapNode(self._document, 1, 1, ())
        root = self._node(next(self._events), 1)
        next(self._events)  # DocumentEndEvent
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _Stop(self._place(after), "a second document begins here", "one file holds one document")
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        before, text = self._count, self._text
        outer, self._height = self._height, depth
        self._charge(event, 1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0, depth)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _Stop(self._place(event), f"the tag {tag} has no meaning here", "write the value without it")
        node = self._content(event, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (node, self._count - before, self._text - text, self._height - depth)
        self._height = max(outer, self._height)
        return node

    def _content(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, depth)
        return self._map(event, depth)

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            raise _Stop(self._place(event), f"no complete anchor &{event.anchor} before this alias")
        node, count, text, height = known
        self._charge(event, count, text, depth + height)
        self._height = max(self._height, depth + height)
        return node

    def _charge(self, event: yaml.Event, nodes: int, text: int, depth: int) -> None:
        self._count += nodes
        self._text += text
        if self._count > MAX_NODES:
            raise _Stop(self._place(event), f"more than {MAX_NODES} values (aliases count with all they stand for)")
        if self._text > self._most_text:
            limit = f"more than {self._most_text} characters in its values (aliases count with all they stand for)"
            raise _Stop(self._place(event), limit)
        if depth > MAX_DEPTH:
            raise _Stop(self._place(event), _TOO_DEEP)

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        line, column = _position(event)
        if not event.value.isascii() and _SURROGATE.search(event.value):
            raise _Stop(self._place(event), "half a surrogate pair is no character")
        return ScalarNode(self._document, line, column, event.value, not event.style, event.style == ">")

    def _list(self, start: yaml.Event, depth: int) -> ListNode:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        place = self._place(start)
        return ListNode(self._document, place.line, place.column, tuple(items))

    def _map(self, start: yaml.Event, depth: int) -> MapNode:
        entries: dict[str, tuple[ScalarNode, Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, depth)
            value = self._node(next(self._events), depth + 1)
            if key.text in entries:
                first = entries[key.text][0]
                self.mistakes.append(YamlMistake(key, f"'{key.text}' is written twice", f"first on line {first.line}"))
            else:
                entries[key.text] = (key, value)
        place = self._place(start)
        return MapNode(self._document, place.line, place.column, tuple(entries.values()))

    def _key(self, event: yaml.Event, depth: int) -> ScalarNode:
        node = self._node(event, depth + 1)
        if not isinstance(node, ScalarNode):
            raise _Stop(node, "a key is one word", "put a text that begins with a bracket in quotes")
        if node.text == "<<" and node.plain:
            raise _Stop(
                node, "merge keys (<<) are not read", "repeat the keys, or put them in defaults: of tqunits.yaml"
            )
        return node

    def _place(self, event: yaml.Event) -> Node:
        return Node(self._document, *_position(event))


def _position(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _document(text: str, file: str) -> Document:
    return Document(file, tuple(_LINE_END.split(text)))


def _place(document: Document, text: str, index: int) -> Node:
    before = _LINE_END.split(text[:index])
    return Node(document, len(before), len(before[-1]) + 1)


def _end(document: Document) -> Node:
    """The place of the last character."""
    return Node(document, len(document.lines), max(len(document.lines[-1]), 1))


def _syntax(document: Document, error: yaml.MarkedYAMLError) -> YamlMistake:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context or "it can not be read")
    place = _end(document) if mark is None else _clamped(document, mark.line + 1, mark.column + 1)
    if (place.source or "")[place.column - 1 : place.column] == "\t":
        return YamlMistake(place, "a tab can not indent YAML", "use spaces")
    if "nesting depth" in problem:  # libyaml reads ahead, and since 0.2.6 it has a limit of its own (1000)
        return YamlMistake(place, _TOO_DEEP)
    hint = next((hint for part, hint in _HINTS if part in problem), None)
    return YamlMistake(place, f"not valid YAML: {problem}", hint)


def _clamped(document: Document, line: int, column: int) -> Node:
    return Node(document, line, column) if line <= len(document.lines) else _end(document)
