"""The dataclass of this package does what the standard library's does, for classes that are frozen
and have slots; and the modules that are not compiled use it."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup import compiled
from tqunits.light_dataclass import dataclass as light

ROOT = Path(__file__).parent.parent
DECORATORS = pytest.mark.parametrize("decorator", [light, dataclasses.dataclass], ids=["ours", "the library's"])
Decorator = Callable[..., Any]


def plain(decorator: Decorator) -> Any:
    @decorator(frozen=True, slots=True)
    class Plain:
        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list)
        d: int = field(default=4, repr=False, compare=False)

    return Plain


def named(decorator: Decorator) -> Any:
    @decorator(frozen=True, slots=True, kw_only=True, order=True)
    class Named:
        b: int = 2
        a: int

    return Named


CALLS: list[tuple[Callable[[Decorator], Any], tuple[Any, ...], dict[str, Any]]] = [
    (plain, (1,), {}),
    (plain, (1, "x", [3]), {"d": 5}),
    (plain, (), {"a": 1, "b": "y"}),
    (plain, (), {}),
    (plain, (1, "x", [], 4, 5), {}),
    (plain, (1,), {"a": 2}),
    (plain, (1,), {"e": 2}),
    (plain, (), {"b": "x", "c": [], "d": 1}),
    (plain, (), {"b": "x", "c": [], "d": 1, "e": 1}),
    (named, (), {"a": 1}),
    (named, (1,), {"a": 1}),
    (named, (), {"b": 1}),
]


@pytest.mark.parametrize(("made", "args", "values"), CALLS)
def test_an_object_is_made_as_the_librarys(
    made: Callable[[Decorator], Any], args: tuple[Any, ...], values: dict[str, Any]
) -> None:
    def outcome(decorator: Decorator) -> object:
        try:
            one = made(decorator)(*args, **values)
        except TypeError:
            return TypeError
        return repr(one), {each.name: getattr(one, each.name) for each in dataclasses.fields(one)}

    assert outcome(light) == outcome(dataclasses.dataclass)


@pytest.mark.parametrize(
    ("args", "values", "said"),
    [
        ((), {}, "Plain(): missing: a"),
        ((1,), {"a": 1}, "Plain(): given twice: a"),
        ((1,), {"z": 1}, "Plain(): not a field: z"),
        ((1, "", [], 4, 5), {}, "Plain(): it takes 4 positional arguments, and 5 are given"),
    ],
)
def test_a_mistake_is_named(args: tuple[Any, ...], values: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as raised:
        plain(light)(*args, **values)
    assert str(raised.value) == said


PAIR = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(PAIR, PAIR)
def test_two_compare_as_the_librarys(one: tuple[int, int], other: tuple[int, int]) -> None:
    def outcome(decorator: Decorator) -> list[bool]:
        made = named(decorator)
        x, y = (made(a=a, b=b) for a, b in (one, other))
        return [x == y, x != y, x < y, x <= y, x > y, x >= y, hash(x) == hash(y), len({x, y}) == 1]

    assert outcome(light) == outcome(dataclasses.dataclass)


@DECORATORS
def test_objects_of_two_classes_are_never_equal(decorator: Decorator) -> None:
    one, other = plain(decorator)(1), named(decorator)(a=1)
    assert one != other
    assert one != (1, "b", [], 4)
    with pytest.raises(TypeError):
        assert other < one


@DECORATORS
def test_what_is_not_compared_makes_no_difference(decorator: Decorator) -> None:
    made = plain(decorator)
    assert made(1, d=1) == made(1, d=2)
    assert "d=" not in repr(made(1))


@DECORATORS
def test_nothing_is_changed(decorator: Decorator) -> None:
    one = plain(decorator)(1)
    for name in ("a", "z"):
        with pytest.raises((FrozenInstanceError, TypeError)):  # the library's: TypeError for "z" (bpo-46414)
            setattr(one, name, 2)
    with pytest.raises(FrozenInstanceError):
        del one.a
    assert (replace(one, a=2).a, one.a) == (2, 1)


@DECORATORS
def test_each_object_has_its_own_default(decorator: Decorator) -> None:
    made = plain(decorator)
    made(1).c.append(1)
    assert made(1).c == []


@DECORATORS
def test_a_class_keeps_its_own_methods_and_a_subclass_has_all_fields(decorator: Decorator) -> None:
    @decorator(frozen=True, slots=True)
    class Base:
        a: int

        def __repr__(self) -> str:
            return "mine"

    @decorator(frozen=True, slots=True)
    class Derived(Base):
        b: int = 2

    base: Any = Base
    derived: Any = Derived
    assert (repr(base(1)), derived(1).a, derived(1).b) == ("mine", 1, 2)
    assert derived(1) == derived(1, 2)
    assert base(1) != derived(1)


@DECORATORS
def test_without_comparison_an_object_is_equal_to_itself_alone(decorator: Decorator) -> None:
    @decorator(frozen=True, slots=True, eq=False)
    class Single:
        a: int

    single: Any = Single
    one = single(1)
    assert one in [one]
    assert one != single(1)
    assert len({one, single(1)}) == 2


def test_other_forms_are_the_librarys() -> None:
    @light(slots=True)
    class Changing:
        a: int = 1

    one = Changing()
    one.a = 2
    assert one.a == 2
    assert not hasattr(Changing, "__field_plan__")


def interpreted() -> Iterable[Path]:
    """The modules that are not compiled, and not the programs in alone/, which have nothing of
    ours."""
    extensions = set(compiled())
    for path in (ROOT / "tqunits").rglob("*.py"):
        name = str(path.relative_to(ROOT))
        if name not in extensions and path.parent.name != "alone":
            yield path


def test_what_is_not_compiled_uses_it() -> None:
    """It is a third of a command's start."""
    late = [path for path in interpreted() if path.name not in {"light_dataclass.py", "late_pattern.py"}]
    assert [str(path) for path in late if any(map(is_of_the_library, ast.walk(ast.parse(path.read_text()))))] == []


def is_of_the_library(node: ast.AST) -> bool:
    """`from dataclasses import dataclass`, or a call of re.compile."""
    if isinstance(node, ast.ImportFrom) and node.module == "dataclasses":
        return any(each.name == "dataclass" for each in node.names)
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
