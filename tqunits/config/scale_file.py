"""The text of scale.yaml, the drop-in of tqunits.yaml that `tqunits scale` writes.

It is a drop-in as any other: root may edit it. But it is written anew as a whole, so what is no
number of instances would be lost. `read` finds such a thing, and then nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tqunits.config import nodes
from tqunits.config.findings import Invalid, NodeProblem, diagnostics
from tqunits.config.nodes import MapNode, Node, YamlReading
from tqunits.config.parsers import is_null
from tqunits.config.server_settings import ServerSettings as S
from tqunits.errors import ConfigurationError
from tqunits.light_dataclass import dataclass

SCALE_FILE: Final = "scale.yaml"

_HEADER = (
    "# Written by 'tqunits scale', which keeps the numbers below, and nothing else that is put here.",
    "# Worker: how many instances it has, whatever scaling.min_workers of its worker.yaml says.",
)
"""Later releases have to know these lines, whatever they write: other comments are somebody's."""


@dataclass(frozen=True, slots=True)
class ScaleFile:
    """What is in the file. `foreign`: the first thing that would be lost, and what it is."""

    numbers: Mapping[str, int]
    foreign: tuple[Node, str] | None = None


def read(content: bytes, file: str) -> ScaleFile:
    """Read the file; `file`: its path, for marks. Raises ConfigurationError where `check` finds an
    error in it."""
    reading = nodes.read(content, file)
    problems = [NodeProblem(mistake.node, mistake.message, mistake.hint) for mistake in reading.mistakes]
    entries = _entries(reading, problems)
    numbers: Mapping[str, int] = {}
    for key, value in entries:
        if key.text == S.scale.key:
            numbers = _numbers(value, problems)
    if problems:
        raise ConfigurationError(diagnostics(problems))
    others = ((key, f"the key '{key.text}'") for key, _ in entries if key.text != S.scale.key)
    return ScaleFile(numbers, next(others, None) or _comment(reading.top))


def written(numbers: Mapping[str, int]) -> str:
    """The file with these numbers."""
    lines = (f"  {_key(worker)}: {number}" for worker, number in sorted(numbers.items()))
    return "\n".join([*_HEADER, f"{S.scale.key}:", *lines]) + "\n"


def _key(worker: str) -> str:
    """A worker may be called null, which without quotes is no name in YAML."""
    return f"'{worker}'" if worker == "null" else worker


def _entries(reading: YamlReading, problems: list[NodeProblem]) -> tuple[tuple[nodes.ScalarNode, Node], ...]:
    root = reading.root
    if isinstance(root, MapNode):
        return root.entries
    if root is not None and not is_null(root):
        problems.append(NodeProblem(root, "the file holds settings, one 'key: value' per line"))
    return ()


def _numbers(value: Node, problems: list[NodeProblem]) -> Mapping[str, int]:
    try:
        return S.scale.parse(value)
    except Invalid as error:
        problems += (problem.about(S.scale.key) for problem in error.problems)
        return {}


def _comment(top: Node) -> tuple[Node, str] | None:
    """The first comment that is not ours. Names and numbers have no '#' in them, so each one begins
    a comment."""
    for number, line in enumerate(top.document.lines, 1):
        if "#" in line and line.strip() not in _HEADER:
            return Node(top.document, number, line.index("#") + 1), "a comment"
    return None
