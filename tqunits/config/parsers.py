"""Parsers of settings: functions from a node to a value. They raise Invalid with every reason.

A parser is composed of small ones: `listing(words.route)`, `optional(scalar(words.port))`. No
parser knows the key of its setting; the caller puts it in front of the message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TypeAlias, TypeVar

from tqunits.config import shellwords, values, words
from tqunits.config.findings import Invalid, NodeProblem, invalid
from tqunits.config.nodes import ListNode, MapNode, Node, ScalarNode, within
from tqunits.config.reject import Reject, did_you_mean, shown
from tqunits.model import INFINITY, MAX_START, Enabled, Profile, Relaxation
from tqunits.resources import Descriptors, Share

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Parser: TypeAlias = Callable[[Node], T]
Pairs: TypeAlias = tuple[tuple[str, str], ...]

_MIB = 1024**2
_MOST_FILES = 1_073_741_816  # the greatest value of fs.nr_open
_MOST_INSTANCES = 1000  # as many ports as the usual workers.port_range has
DAY = 86_400_000_000
"""µs."""


def text_of(node: Node) -> str:
    """The text of a scalar, as written."""
    match node:
        case ScalarNode() if node.is_null:
            raise invalid(node, "has no value", "write one, or remove the line for the default")
        case ScalarNode():
            return node.text
        case ListNode():
            raise invalid(node, "takes one value, not a list")
        case _:
            raise invalid(node, "takes one value, not a mapping", "put a text with braces or ': ' in it in quotes")


def scalar(convert: Callable[[str], T]) -> Parser[T]:
    """A parser of one scalar."""

    def parse(node: Node) -> T:
        try:
            return convert(text_of(node))
        except Reject as error:
            raise invalid(node, error.message, error.hint) from error

    return parse


def optional(parse: Parser[T]) -> Parser[T | None]:
    """The same parser, which also accepts null."""
    return lambda node: None if is_null(node) else parse(node)


def unless_empty(parse: Parser[T]) -> Parser[T | None]:
    """The same parser, which also accepts null and the empty text."""
    return lambda node: None if isinstance(node, ScalarNode) and not node.text else optional(parse)(node)


def number(least: int, most: int) -> Parser[int]:
    """A whole number within both bounds."""
    return scalar(lambda text: values.integer(text, least=least, most=most))


def choice(enum: type[E]) -> Parser[E]:
    """One of the enum's values."""
    return scalar(lambda text: one_of(enum, text))


def listing(convert: Callable[[str], T], *, least: int = 0, most: int | None = None) -> Parser[tuple[T, ...]]:
    """A list, or one value alone; null is an empty list. No value may come twice."""
    item = scalar(convert)

    def parse(node: Node) -> tuple[T, ...]:
        nodes = items_of(node)
        if most is not None and len(nodes) > most:
            raise invalid(nodes[most], f"has {len(nodes)} values", f"a list of this kind has at most {most}")
        results = _each(nodes, item)
        _refuse_twice(nodes, results)
        if len(results) < least:
            raise invalid(node, "is empty", "write at least one")
        return results

    return parse


def pairs(name: Callable[[str], str], value: Callable[[str], str]) -> Parser[Pairs]:
    """A mapping of names to texts; null is an empty one."""
    read_name, read_value = scalar(name), scalar(value)

    def parse(node: Node) -> Pairs:
        entries = entries_of(node, "a mapping of names to values")
        names = _each([key for key, _ in entries], read_name, more=[value for _, value in entries], check=read_value)
        return tuple((name, read_value(value)) for name, (_, value) in zip(names, entries, strict=True))

    return parse


def command(node: Node) -> tuple[str, ...]:
    """A command line: a list of words, or one text that is split as a shell would do it."""
    match node:
        case ScalarNode():
            return () if node.is_null else _command_text(node)
        case ListNode():
            return _whole_command(_each(node.items, scalar(words.value)), [(item, 0) for item in node.items])
        case _:
            raise invalid(node, "takes a command line, not a mapping", 'write a list: ["program", "word"]')


def _command_text(node: ScalarNode) -> tuple[str, ...]:
    try:
        split = shellwords.split(words.value(node.text), folded=node.folded)
    except shellwords.Misplaced as error:
        raise invalid(within(node, error.at), error.message, error.hint) from error
    except Reject as error:
        raise invalid(node, error.message, error.hint) from error
    if not split:
        raise invalid(node, "'' is empty", 'write a list: ["program", "word"], or [] for none')
    return _whole_command(tuple(word.text for word in split), [(node, word.at) for word in split])


def _whole_command(results: tuple[str, ...], places: Sequence[tuple[Node, int]]) -> tuple[str, ...]:
    """The words of a command, if a unit can express them all. `places`: for each word its node and
    its index in the text."""
    try:
        words.check_command(results)
    except words.WrongWord as error:
        node, at = places[error.word]
        place = within(node, at) if isinstance(node, ScalarNode) else node
        raise invalid(place, error.message, error.hint) from error
    return results


def at_least(least: int, convert: Callable[[str], int], printed: Callable[[int], str]) -> Callable[[str], int]:
    """`convert`, with a lower bound."""

    def check(text: str) -> int:
        value = convert(text)
        if value < least:
            raise Reject(f"{shown(text)} is less than {printed(least)}", f"write at least {printed(least)}")
        return value

    return check


def size_between(least: int, most: int) -> Parser[int]:
    """Bytes, within both bounds."""
    return scalar(lambda text: values.size_within(text, least=least, most=most))


def positive_span(text: str) -> int:
    """A time span greater than 0."""
    span = values.span(text)
    if span == 0:
        raise Reject(f"{shown(text)} is no time at all", "write more than 0")
    return span


def start_span(text: str) -> int:
    """A time span for a start: not 0, and short enough to wait for."""
    span = positive_span(text)
    if span > MAX_START:
        most = values.print_span(MAX_START)
        hint = f"write at most {most}, and let the health check pass when it is up"
        raise Reject(f"{shown(text)} is more than {most}", hint)
    return span


def day(text: str) -> int:
    """A time span of at most a day; a longer pause is a mistake."""
    span = values.span(text)
    if span > DAY:
        raise Reject(f"{shown(text)} is more than {values.print_span(DAY)}", f"write at most {values.print_span(DAY)}")
    return span


def span_up_to(most: int) -> Parser[int]:
    """A time span of at most so many µs."""

    def check(text: str) -> int:
        span = values.span(text)
        if span > most:
            raise Reject(
                f"{shown(text)} is more than {values.print_span(most)}", f"write at most {values.print_span(most)}"
            )
        return span

    return scalar(check)


def whole_seconds(text: str) -> int:
    """A time span of whole seconds."""
    span = values.span(text)
    if span == INFINITY or span % 1_000_000:
        raise Reject(f"{shown(text)} is no whole number of seconds", "such as 365d, or 0 for none")
    return span


def memory(text: str) -> int | Share:
    """A size of at least 1M, or a share of the machine's memory."""
    if text.endswith("%"):
        permyriad = values.permyriad(text)
        if not 1 <= permyriad <= 100 * values.PERCENT:
            raise Reject(f"{shown(text)} is no share of the memory", "write 1% to 100%")
        return Share(permyriad=permyriad)
    if text.isdecimal() and int(text[:20]) < _MIB:
        raise Reject(f"{text} bytes are too few to run in", f"did you mean '{text}M'?")
    return memory_size(text)


def memory_size(text: str) -> int:
    """A size of at least 1M."""
    return at_least(_MIB, values.size, values.print_size)(text)


def count(text: str) -> int:
    """A whole number of at least 1, or infinity."""
    return INFINITY if text == "infinity" else values.integer(text, least=1, most=values.MANY)


def instances(text: str) -> int:
    """How many instances a worker has."""
    return values.integer(text, least=1, most=_MOST_INSTANCES)


def descriptors(text: str) -> Descriptors:
    """A soft and a hard limit of open files, SOFT:HARD or one number for both."""
    soft, colon, hard = text.partition(":")
    found = [values.integer(end, least=16, most=_MOST_FILES) for end in ([soft, hard] if colon else [text])]
    if found[0] > found[-1]:
        raise Reject(f"{shown(text)}: the soft limit is above the hard one", f"write {hard}:{soft}")
    return Descriptors(found[0], found[-1])


def access_log(text: str) -> str:
    """Where the router logs requests."""
    if text in ("journal", "none"):
        return text
    raise Reject(f"{shown(text)} is not one of journal, none", "the journal keeps and rotates it")


def enabled(text: str) -> Enabled:
    """true and false in all their spellings, or the mode in which to run."""
    if text in (Enabled.DEVELOPMENT, Enabled.PRODUCTION):
        return Enabled(text)
    try:
        return Enabled.TRUE if values.boolean(text) else Enabled.FALSE
    except Reject as error:
        raise Reject(
            f"{shown(text)} is not one of true, false, development, production", did_you_mean(text, Enabled)
        ) from error


def sandbox(node: Node) -> tuple[Profile | None, tuple[Relaxation, ...]]:
    """`standard`, `[standard, netlink]` or `{profile: standard, relax: [netlink]}`. The profile is
    None if none is written: then the type's counts."""
    if isinstance(node, MapNode):
        return _sandbox_mapping(node)
    parse = scalar(profile_or_relaxation)
    results = _each(items_of(node), parse)
    _refuse_twice(items_of(node), results)
    profiles = [word for word in results if isinstance(word, Profile)]
    if len(profiles) > 1:
        raise invalid(node, f"{profiles[0]} and {profiles[1]} are both profiles", "write one, and relaxations")
    return (profiles[0] if profiles else None), tuple(word for word in results if isinstance(word, Relaxation))


def profile_or_relaxation(text: str) -> Profile | Relaxation:
    """A word of `sandbox`."""
    known: tuple[Profile | Relaxation, ...] = (*Profile, *Relaxation)
    for word in known:
        if word.value == text:
            return word
    hint = did_you_mean(text, known) or "see 'tqunits docs sandbox'"
    raise Reject(f"{shown(text)} is neither a profile nor a relaxation", hint)


def one_of(enum: type[E], text: str) -> E:
    """The enum's member with that value. Raises Reject."""
    try:
        return enum(text)
    except ValueError as error:
        known = ", ".join(enum)
        longer = next((f"did you mean '{word}'?" for word in enum if text and word.startswith(text)), None)
        raise Reject(f"{shown(text)} is not one of {known}", longer or did_you_mean(text.lower(), enum)) from error


def is_null(node: Node) -> bool:
    """Whether the node is null."""
    return isinstance(node, ScalarNode) and node.is_null


def items_of(node: Node) -> Sequence[Node]:
    """The items of a list; for a scalar the scalar itself; for null none."""
    match node:
        case ListNode():
            return node.items
        case MapNode():
            raise invalid(node, "takes a list, not a mapping", "write [one, two]")
        case _:
            return () if is_null(node) else (node,)


def entries_of(node: Node, what: str) -> tuple[tuple[ScalarNode, Node], ...]:
    """The entries of a mapping; null has none."""
    if isinstance(node, MapNode):
        return node.entries
    if is_null(node):
        return ()
    raise invalid(node, f"takes {what}", "write {name: value}, or one 'name: value' per line below it")


def collected(
    entries: Iterable[tuple[ScalarNode, Node]], read: Callable[[ScalarNode, Node], tuple[str, T]]
) -> dict[str, T]:
    """All entries of a mapping parsed; or Invalid with the problems of all of them."""
    found: dict[str, T] = {}
    problems: list[NodeProblem] = []
    for key, value in entries:
        try:
            name, read_value = read(key, value)
            found[name] = read_value
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems)
    return found


def _each(
    nodes: Sequence[Node], parse: Parser[T], *, more: Sequence[Node] = (), check: Parser[object] | None = None
) -> tuple[T, ...]:
    """All of `nodes` parsed and `more` checked; or Invalid with the reasons of both."""
    results: list[T] = []
    problems: list[NodeProblem] = []
    for node in nodes:
        try:
            results.append(parse(node))
        except Invalid as error:
            problems += error.problems
    for node in more if check else ():
        try:
            check(node) if check else None
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems)
    return tuple(results)


def _refuse_twice(nodes: Sequence[Node], results: Sequence[object]) -> None:
    seen: set[object] = set()
    for node, result in zip(nodes, results, strict=True):
        if result in seen:
            raise invalid(node, f"{shown(str(result))} is in the list twice")
        seen.add(result)


def _sandbox_mapping(node: MapNode) -> tuple[Profile | None, tuple[Relaxation, ...]]:
    profile: Profile | None = None
    relaxations: tuple[Relaxation, ...] = ()
    for key, value in node.entries:
        match key.text:
            case "profile":
                profile = choice(Profile)(value)
            case "relax":
                relaxations = listing(lambda text: one_of(Relaxation, text))(value)
            case _:
                raise invalid(key, f"unknown key {shown(key.text)}", did_you_mean(key.text, ("profile", "relax")))
    return profile, relaxations
