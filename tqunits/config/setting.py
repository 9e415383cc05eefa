"""One row of the SETTINGS table: everything that is known of one setting."""

from __future__ import annotations

from dataclasses import KW_ONLY
from enum import StrEnum
from typing import Generic, TypeVar

from tqunits.config.parsers import Parser
from tqunits.light_dataclass import dataclass

T_co = TypeVar("T_co", covariant=True)


class File(StrEnum):
    """The file in which a setting is written."""

    WORKER = "worker.yaml"
    SERVER = "tqunits.yaml"


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """A setting whose value has the type T."""

    key: str  # dotted: limits.memory_max
    parse: Parser[T_co]
    default: str | None  # as YAML, with "{name}" for the worker's name; None: the setting is required
    takes: str  # the values that it takes, for the reference
    doc: str  # sentences for the reference and the example file
    _: KW_ONLY
    file: File = File.WORKER
    fills: str = ""  # its field in the model, if that has another name than the key: signals.stop
    feeds: str = ""  # the directive or variable that it sets; "" when tqunits itself uses it
    since: str = "0.1"  # the first version that has it
    in_effect: bool = True  # False: parsed and checked, but without effect yet
    for_all: bool = True  # may stand in `defaults:` of tqunits.yaml
    merges: int = 0  # of a mapping: how many levels files merge by name; below that the later one replaces

    @property
    def field(self) -> str:
        """The field that it fills, dotted, in the model's Worker or Server."""
        return self.fills or self.key

    @property
    def group(self) -> str:
        """`limits` of `limits.memory_max`; "" at the top."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """`memory_max` of `limits.memory_max`."""
        return self.key.rpartition(".")[2]
