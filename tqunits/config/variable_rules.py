"""Rules about variables: placeholders in commands and environments, and names that a worker can not
set.

Which placeholders have a value, and which names tqunits sets, depends on how the worker listens and
on its credentials. So these are rules about a whole worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tqunits import placeholders
from tqunits.config import shellwords, words
from tqunits.config.findings import NodeProblem, warning
from tqunits.config.layers import Values
from tqunits.config.nodes import ListNode, MapNode, Node, ScalarNode, within
from tqunits.config.reject import Reject, did_you_mean, shown
from tqunits.config.setting import Setting
from tqunits.config.worker_settings import WorkerSettings as W
from tqunits.model import Listen, Worker
from tqunits.placeholders import Found, PlaceholderKind

_SUSPECTS = frozenset(shellwords.OPERATORS) - {";"}  # `find -exec` uses ;

_IN_SHELL = 'a shell has its own: ["sh", "-c", "…"]'


def problems(worker: Worker, values: Values, top: Node) -> Iterator[NodeProblem]:
    """The problems of one worker. `top`: the place of a setting that nobody wrote."""
    known = names(worker)
    written = values[W.command] if values.written(W.command) else worker.command  # without the options that php.py adds
    yield from _of_command(W.command, written, worker, values, top, known)
    yield from _release(worker, values, top)
    yield from _build(worker, values, top)
    yield from _environment(worker, values, known)
    yield from _reserved(worker, values)


def names(worker: Worker) -> tuple[str, ...]:
    """The placeholders that have a value for this worker."""
    listening = placeholders.WITH_PORT if worker.listen is Listen.TCP else placeholders.WITH_SOCKET
    return (*placeholders.ALWAYS, *listening, *(placeholders.WITH_CREDENTIALS if worker.has_credentials else ()))


def health_command(worker: Worker, values: Values, top: Node) -> Iterator[NodeProblem]:
    """The problems of the command of a health check. systemd 252 shows a unit's credentials to its
    main program only."""
    known = [name for name in names(worker) if name not in placeholders.WITH_CREDENTIALS]
    yield from _of_command(W.health_command, worker.health.command, worker, values, top, known)


def _release(worker: Worker, values: Values, top: Node) -> Iterator[NodeProblem]:
    """It runs beside the worker, which has the port or the socket, and the runtime folder."""
    known = [name for name in names(worker) if name not in placeholders.OF_A_PROCESS]
    why = "release.command listens nowhere, and has no runtime folder"
    yield from _of_command(W.release_command, values[W.release_command], worker, values, top, known, why)


def _of_command(
    setting: Setting[object],
    argv: Sequence[str],
    worker: Worker,
    values: Values,
    top: Node,
    known: Sequence[str],
    why: str = "",
) -> Iterator[NodeProblem]:
    """`why`: the hint about a placeholder that only the worker's own process has."""
    script = placeholders.script_at(argv)
    node = values.node(setting) or values.node(W.listen) or top
    for at, word in enumerate(argv):
        found = placeholders.in_script(word) if at == script else placeholders.in_word(word)
        for each in found:
            whole = _whole(node, at) if isinstance(node, ListNode) else None
            wrong = _wrong(each, known, worker, whole=whole, in_command=True, why=why)
            if wrong is not None:
                yield NodeProblem(
                    _place(node, at, each, setting, values), f"{setting.key}: {wrong.message}", wrong.hint
                )
        yield from _too_long(setting, _place(node, at, None, setting, values), word)
    yield from _suspects(setting, values.node(setting), script)


def _build(worker: Worker, values: Values, top: Node) -> Iterator[NodeProblem]:
    """A build has no port and none of the worker's folders. Its shell replaces the build's own
    variables."""
    argv = worker.build.command
    script = placeholders.script_at(argv)
    node = values.node(W.build_command) or top
    for at, word in enumerate(argv):
        for each in placeholders.in_word(word) if at != script else ():
            message = f"build.command: {each.text} is not put in: a build has no placeholders"
            hint = f"write {_doubled(each)} if it is meant as it stands; {_IN_SHELL}"
            yield NodeProblem(_place(node, at, each, W.build_command, values), message, hint)
    yield from _suspects(W.build_command, values.node(W.build_command), script)


def _environment(worker: Worker, values: Values, known: Sequence[str]) -> Iterator[NodeProblem]:
    node = values.node(W.environment)
    nodes = [value for _, value in node.entries] if isinstance(node, MapNode) else []
    for (name, text), place in zip(worker.environment, nodes, strict=False):
        for each in placeholders.in_value(text):
            wrong = _wrong(each, known, worker, whole=_whole(place, 0), in_command=False)
            if wrong is not None:
                yield NodeProblem(_within(place, each), f"environment: {name}: {wrong.message}", wrong.hint)
        yield from _too_long(W.environment, place, text)


def _reserved(worker: Worker, values: Values) -> Iterator[NodeProblem]:
    """PORT is reserved for a worker that listens on a port. For every other name the way of
    listening makes no difference (words.py)."""
    node = values.node(W.environment) if worker.listen is Listen.TCP else None
    for key, _ in node.entries if isinstance(node, MapNode) else ():
        if key.text == "PORT":
            yield NodeProblem(
                key, "environment: PORT is set by tqunits, for the worker listens on it", "set 'port' instead"
            )


def _wrong(
    found: Found, known: Sequence[str], worker: Worker, *, whole: str | None, in_command: bool, why: str = ""
) -> Reject | None:
    """What is wrong with something that looks like a variable, and what to write instead.

    `whole`: the text that contains it, if that has no quotes: in a list or a mapping a brace needs
    quotes.
    """
    if found.kind is PlaceholderKind.NAMED and found.name in known:
        return None
    literal = f"write {_doubled(found)} if it is meant as it stands"
    if found.name in placeholders.NAMES and found.name not in known:
        is_ours = why and found.name in placeholders.OF_A_PROCESS
        return Reject(f"{found.text} has no value here", why if is_ours else _why_not(found.name, worker))
    if found.name in known:
        right = f"${{{found.name}}}"
        quoted = None if whole is None else f'"{whole[: found.at]}{right}{whole[found.at + len(found.text) :]}"'
        return Reject(f"{found.text} is not put in without braces", f"write {quoted or right}")
    near = did_you_mean(found.name, known) if found.name else None
    there = near.replace("'", "'${", 1).replace("'?", "}'?") if near else "'tqunits docs command' lists them"
    shell = f"; {_IN_SHELL}" if in_command and not near else ""
    return Reject(f"{found.text} is no placeholder", f"{there}; {literal}{shell}")


def _why_not(name: str, worker: Worker) -> str:
    if name in placeholders.WITH_CREDENTIALS:
        if worker.has_credentials:
            return "a health check has no credentials: only the program of the worker has them"
        return "there are no credentials: write them below credentials"
    other = "${WORKER_PORT}" if worker.listen is Listen.TCP else "${WORKER_SOCKET}"
    return f"with listen: {worker.listen} there is {other}"


def _doubled(found: Found) -> str:
    return f"${found.text}"


def _too_long(setting: Setting[object], place: Node, text: str) -> Iterator[NodeProblem]:
    """Texts that would be too long with all values put in. The length of what is written is limited
    already."""
    count = text.count("${")
    if count and len(text) + count * placeholders.LONGEST_VALUE > words.LONGEST:
        yield NodeProblem(
            place, f"{setting.key}: {shown(text)} is too long with all that is put in", "write a shorter one"
        )


def _suspects(setting: Setting[object], node: Node | None, script: int | None) -> Iterator[NodeProblem]:
    """Texts that are valid but seldom meant: a shell's operators as words of their own, and
    patterns that a shell would expand."""
    if isinstance(node, ListNode):
        for at, item in enumerate(node.items):
            if isinstance(item, ScalarNode) and item.text in _SUSPECTS and at != script:
                message = f"{setting.key}: {item.text} is given to the program as it stands"
                yield warning(item, message, 'for a shell\'s meaning of it, write ["sh", "-c", "…"]')
    elif isinstance(node, ScalarNode) and not node.is_null:
        for word in shellwords.split(node.text, folded=node.folded):
            if word.globs and not word.text.startswith("-"):
                message = f"{setting.key}: {shown(word.text)} is given to the program as it stands"
                yield warning(within(node, word.at), message, "put it in quotes if that is meant; a shell replaces it")


def _whole(node: Node, at: int) -> str | None:
    """A word of a list, or a value, that was written without quotes; otherwise None."""
    if isinstance(node, ListNode):
        item = node.items[at] if at < len(node.items) else node
        return item.text if isinstance(item, ScalarNode) and item.plain else None
    return node.text if isinstance(node, ScalarNode) and node.plain and "\n" not in node.text else None


def _place(node: Node, at: int, found: Found | None, setting: Setting[object], values: Values) -> Node:
    """A word of a command, or a place in it."""
    if values.node(setting) is not node:
        return node
    if isinstance(node, ListNode) and at < len(node.items):
        return _within(node.items[at], found)
    return _within(node, found)


def _within(node: Node, found: Found | None) -> Node:
    """The place in the written text, found by the placeholder's own text, because quotes may have
    moved it."""
    if not isinstance(node, ScalarNode) or found is None:
        return node
    at = node.text.find(found.text)
    return within(node, at) if at >= 0 else node
