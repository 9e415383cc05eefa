"""Problems and the nodes that they are about. They are values: a run reads everything first, and
then shows all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tqunits.config.nodes import Node
from tqunits.errors import Diagnostic, Severity
from tqunits.light_dataclass import dataclass

MAX_PER_FILE = 100
"""Nobody reads more problems than that of one file, and a hostile file could have 20,000."""


@dataclass(frozen=True, slots=True)
class NodeProblem:
    """One finding about one node."""

    node: Node
    message: str
    hint: str | None = None
    severity: Severity = Severity.ERROR

    def about(self, key: str) -> NodeProblem:
        """The same problem, with the name of its setting in front."""
        return NodeProblem(self.node, f"{key}: {self.message}", self.hint, self.severity)

    def diagnostic(self) -> Diagnostic:
        """The same without the node: mark and source line are copied from the document."""
        node = self.node
        return Diagnostic(
            severity=self.severity, message=self.message, mark=node.mark, hint=self.hint, source=node.source
        )


class Invalid(Exception):
    """A node that is not a valid value of its setting. It may carry several reasons."""

    def __init__(self, problems: Iterable[NodeProblem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def invalid(node: Node, message: str, hint: str | None = None) -> Invalid:
    """An Invalid with one reason."""
    return Invalid((NodeProblem(node, message, hint),))


def note(node: Node, message: str, hint: str | None = None) -> NodeProblem:
    """A NOTE."""
    return NodeProblem(node, message, hint, Severity.NOTE)


def warning(node: Node, message: str, hint: str | None = None) -> NodeProblem:
    """A WARNING."""
    return NodeProblem(node, message, hint, Severity.WARNING)


def diagnostics(problems: Iterable[NodeProblem]) -> tuple[Diagnostic, ...]:
    """All of them in the order of their places, each one once, at most MAX_PER_FILE of a file."""
    unique = sorted({p.diagnostic(): None for p in problems}, key=_place)
    return tuple(bounded(unique))


def has_errors(findings: Iterable[Diagnostic]) -> bool:
    """Whether one of them is an ERROR."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def _place(finding: Diagnostic) -> tuple[str, int, int]:
    mark = finding.mark
    return (mark.file, mark.line, mark.column) if mark else ("", 0, 0)


def bounded(findings: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """At most MAX_PER_FILE of each severity of a file, so that notes never push out errors."""
    count: dict[tuple[str, Severity], int] = {}
    for finding in findings:
        key = (finding.mark.file if finding.mark else "", finding.severity)
        count[key] = count.get(key, 0) + 1
        if count[key] <= MAX_PER_FILE:
            yield finding
