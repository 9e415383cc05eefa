"""Values on their way to D-Bus and back, as pystemd has them (its dbuslib takes and gives bytes, lists and tuples).

Arguments are a flat list of (type, value), where a container is opened by its type and contents' signature, and closed
by END: ("a", "s") ("s", "x") END is the array ["x"]. Answers are decoded to str, int, bool, float, tuple and dict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Argument = tuple[int, object]

END: Argument = (-1, None)


def string(text: str) -> Argument:
    """One string."""
    return (ord("s"), text.encode("utf-8", "surrogateescape"))


def strings(texts: Iterable[str]) -> list[Argument]:
    """An array of strings."""
    return [(ord("a"), b"s"), *(string(text) for text in texts), END]


def boolean(*, value: bool) -> Argument:
    """One boolean."""
    return (ord("b"), value)


def number(value: int) -> Argument:
    """One signed 32-bit number."""
    return (ord("i"), value)


def properties(values: Mapping[str, int]) -> list[Argument]:
    """What SetUnitProperties takes (a(sv)), with 64-bit numbers alone: all limits of a cgroup are."""
    arguments: list[Argument] = [(ord("a"), b"(sv)")]
    for name, value in values.items():
        arguments += [(ord("r"), b"sv"), string(name), (ord("v"), b"t"), (ord("t"), value), END, END]
    return [*arguments, END]


def decoded(value: object) -> object:
    """An answer with text instead of bytes, and tuples instead of lists."""
    match value:
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case list() | tuple():
            return tuple(decoded(each) for each in value)
        case dict():
            return {decoded(key): decoded(each) for key, each in value.items()}
        case _:
            return value


def rows(answer: object) -> tuple[object, ...]:
    """A decoded array or struct; anything else is an empty one."""
    return answer if isinstance(answer, tuple) else ()


def mapping(answer: object) -> Mapping[object, object]:
    """A decoded dictionary; pystemd gives an empty one as an empty list."""
    return answer if isinstance(answer, dict) else {}


def integer(answer: object) -> int:
    """A decoded number."""
    assert isinstance(answer, int)
    return answer
