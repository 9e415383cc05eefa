"""One row of the SETTINGS table: all that is known of one setting, in one place."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from tqunits.config.parsers import Parser

T_co = TypeVar("T_co", covariant=True)


class File(StrEnum):
    """The file in which a setting stands."""

    WORKER = "worker.yaml"
    SERVER = "tqunits.yaml"


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """A setting whose value is a T."""

    key: str  # dotted: limits.memory_max
    parse: Parser[T_co]
    default: str | None  # as YAML, "{name}" is the worker's name; None: must be written
    takes: str  # what may be written, for the reference
    doc: str  # sentences for the reference and the example file
    _: KW_ONLY
    file: File = File.WORKER
    fills: str = ""  # its field in the model, where that is not called as the key: signals.stop
    feeds: str = ""  # the directive or variable that it decides; "" when it is tqunits' own
    since: str = "0.1"  # the first version that knows it
    in_effect: bool = True  # False: read and checked, but its machinery is still to come
    for_all: bool = True  # may stand in `defaults:` of tqunits.yaml
    merges: int = 0  # a mapping: files add up name by name, so many levels deep; below that the later one replaces

    @property
    def field(self) -> str:
        """The field that it fills, dotted from the model's Worker or Server."""
        return self.fills or self.key

    @property
    def group(self) -> str:
        """`limits` of `limits.memory_max`; "" at the top."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """`memory_max` of `limits.memory_max`."""
        return self.key.rpartition(".")[2]
