"""What is wrong, and at which node: problems are values until a whole run has been read, then all
are shown at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tqunits.config.nodes import Node
from tqunits.errors import Diagnostic, Severity

MAX_PER_FILE = 100
"""Nobody reads more mistakes than that of one file, and a hostile one could make 20,000."""


@dataclass(frozen=True, slots=True)
class NodeProblem:
    """One finding about one node."""

    node: Node
    message: str
    hint: str | None = None
    severity: Severity = Severity.ERROR

    def about(self, key: str) -> NodeProblem:
        """The same, led by the setting it is about."""
        return NodeProblem(self.node, f"{key}: {self.message}", self.hint, self.severity)

    def diagnostic(self) -> Diagnostic:
        """The same, on its own: mark and source line are copied out of the document."""
        node = self.node
        return Diagnostic(
            severity=self.severity, message=self.message, mark=node.mark, hint=self.hint, source=node.source
        )


class Invalid(Exception):
    """A node that can not be read as what its setting wants; may know several reasons."""

    def __init__(self, problems: Iterable[NodeProblem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def invalid(node: Node, message: str, hint: str | None = None) -> Invalid:
    """The usual Invalid: one reason."""
    return Invalid((NodeProblem(node, message, hint),))


def note(node: Node, message: str, hint: str | None = None) -> NodeProblem:
    """A NOTE."""
    return NodeProblem(node, message, hint, Severity.NOTE)


def warning(node: Node, message: str, hint: str | None = None) -> NodeProblem:
    """A WARNING."""
    return NodeProblem(node, message, hint, Severity.WARNING)


def diagnostics(problems: Iterable[NodeProblem]) -> tuple[Diagnostic, ...]:
    """All of them by place, each once, at most MAX_PER_FILE of a file."""
    unique = sorted({p.diagnostic(): None for p in problems}, key=_place)
    return tuple(bounded(unique))


def has_errors(findings: Iterable[Diagnostic]) -> bool:
    """Whether anything in them stops everything."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def _place(finding: Diagnostic) -> tuple[str, int, int]:
    mark = finding.mark
    return (mark.file, mark.line, mark.column) if mark else ("", 0, 0)


def bounded(findings: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """At most MAX_PER_FILE of each severity of a file: errors are never dropped for the sake of
    notes."""
    count: dict[tuple[str, Severity], int] = {}
    for finding in findings:
        key = (finding.mark.file if finding.mark else "", finding.severity)
        count[key] = count.get(key, 0) + 1
        if count[key] <= MAX_PER_FILE:
            yield finding
