"""`dataclass` of the standard library, at a tenth of its cost for classes that are frozen and have
slots.

The standard library writes the source of six methods for each class, and compiles it: 0.7 ms for a
class of five fields, and 0.07 ms without them, on a busy machine. A command of tqunits makes two
hundred classes before it does anything, so that was two fifths of its time. Here all classes share
one set of methods, which ask the class what its fields are. An object costs one or two microseconds
more, and a command makes some thousands.

All other forms (not frozen, without slots) are the standard library's. Compiled modules use that
one, too: mypyc knows no other. There is no `__post_init__`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

_T = TypeVar("_T")


class FieldPlan:
    """What the shared methods need to know of a class."""

    __slots__ = ("defaults", "factories", "identity", "names", "positional", "setters", "shown")

    def __init__(self, cls: type) -> None:
        """`cls`: a dataclass with slots."""
        fields = dataclasses.fields(cls)
        self.setters = tuple((each.name, getattr(cls, each.name).__set__) for each in fields)
        self.names = frozenset(each.name for each in fields)
        self.positional = tuple(each.name for each in fields if not each.kw_only)
        self.defaults = {each.name: each.default for each in fields if each.default is not MISSING}
        self.factories = {each.name: each.default_factory for each in fields if each.default_factory is not MISSING}
        self.shown = tuple(each.name for each in fields if each.repr)
        self.identity = _tuple_of([each.name for each in fields if each.compare])

    def values(self, args: tuple[object, ...], named: Mapping[str, object]) -> Mapping[str, object]:
        """A value for each field. Raises TypeError."""
        if len(args) > len(self.positional):
            raise TypeError(f"it takes {len(self.positional)} positional arguments, and {len(args)} are given")
        given = dict(zip(self.positional, args, strict=False))
        if twice := given.keys() & named.keys():
            raise TypeError(f"given twice: {', '.join(sorted(twice))}")
        given.update(named)
        if len(given) < len(self.setters):
            made = {name: make() for name, make in self.factories.items() if name not in given}
            given = {**self.defaults, **made, **given}
        if given.keys() != self.names:
            raise TypeError(self._mistake(given))
        return given

    def _mistake(self, given: Mapping[str, object]) -> str:
        missing = [name for name, _ in self.setters if name not in given]
        unknown = [name for name in given if name not in self.names]
        return f"not a field: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}"


class SharedMethods:
    """The methods of all the classes; `dataclass` copies them."""

    __field_plan__: ClassVar[FieldPlan]

    def __init__(self, /, *args: object, **named: object) -> None:
        plan = self.__field_plan__
        if not named and len(args) == len(plan.setters) == len(plan.positional):
            for (_, put), value in zip(plan.setters, args, strict=True):
                put(self, value)
            return
        values: Mapping[str, object] = named
        if not (args or plan.factories) and len(named) < len(plan.setters):
            values = {**plan.defaults, **named}
        if args or values.keys() != plan.names:
            try:
                values = plan.values(args, named)
            except TypeError as error:
                raise TypeError(f"{type(self).__name__}(): {error}") from None
        for name, put in plan.setters:
            put(self, values[name])

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__field_plan__.shown)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        pair = _identities(self, other)
        return NotImplemented if pair is None else pair[0] == pair[1]

    def __hash__(self) -> int:
        return hash(self.__field_plan__.identity(self))

    def __lt__(self, other: object) -> bool:
        pair = _identities(self, other)
        return NotImplemented if pair is None else pair[0] < pair[1]

    def __le__(self, other: object) -> bool:
        pair = _identities(self, other)
        return NotImplemented if pair is None else pair[0] <= pair[1]

    def __gt__(self, other: object) -> bool:
        pair = _identities(self, other)
        return NotImplemented if pair is None else pair[0] > pair[1]

    def __ge__(self, other: object) -> bool:
        pair = _identities(self, other)
        return NotImplemented if pair is None else pair[0] >= pair[1]


_Values = tuple[object, ...]

_ALWAYS: Final = ("__init__", "__repr__", "__setattr__", "__delattr__")
_EQUAL: Final = ("__eq__", "__hash__")
_ORDERED: Final = ("__lt__", "__le__", "__gt__", "__ge__")


def light_dataclass(
    cls: type[_T] | None = None,
    /,
    *,
    frozen: bool = False,
    slots: bool = False,
    kw_only: bool = False,
    eq: bool = True,
    order: bool = False,
) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """As dataclasses.dataclass."""

    def made(cls: type[_T]) -> type[_T]:
        if not (frozen and slots):
            return dataclasses.dataclass(frozen=frozen, slots=slots, kw_only=kw_only, eq=eq, order=order)(cls)
        shared = (*_ALWAYS, *(_EQUAL if eq else ()), *(_ORDERED if order else ()))
        own = cls.__dict__
        bare = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
        for name in shared:
            if name not in own:
                setattr(bare, name, SharedMethods.__dict__[name])
        setattr(bare, "__field_plan__", FieldPlan(bare))  # noqa: B010 - the checkers do not know it there
        return bare

    return made if cls is None else made(cls)


def _tuple_of(names: list[str]) -> Callable[[object], _Values]:
    """A function that gives these attributes of an object. (An attrgetter of one name gives no
    tuple.)"""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda each: tuple(getattr(each, name) for name in names)


def _identities(one: SharedMethods, other: object) -> tuple[_Values, _Values] | None:
    """What is compared; None: another class is not comparable."""
    if other.__class__ is not one.__class__:
        return None
    identity = one.__field_plan__.identity
    return identity(one), identity(other)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # what the checkers know
else:
    dataclass = light_dataclass
