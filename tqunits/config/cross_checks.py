"""Rules that need more than one setting: within a worker, and across workers.

What several workers ask for is no mistake of a file: who gets it depends on what is installed, and
is told by units/contests.py and units/ports.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from tqunits.config import health_rules, overlaps, unit_names, variable_rules
from tqunits.config.findings import NodeProblem, note, warning
from tqunits.config.layers import Values
from tqunits.config.nodes import ListNode, Node, ScalarNode
from tqunits.config.parsers import items_of
from tqunits.config.reject import did_you_mean
from tqunits.config.server_settings import ServerSettings as S
from tqunits.config.setting import Setting
from tqunits.config.values import print_permyriad, print_size, print_span
from tqunits.config.watch_settings import MOST_CHARACTERS
from tqunits.config.words import is_worker_name
from tqunits.config.worker_settings import WorkerSettings as W
from tqunits.health import HealthType
from tqunits.light_dataclass import dataclass
from tqunits.model import (
    INFINITY,
    UNSERVED,
    Listen,
    Server,
    ServiceType,
    Worker,
    WorkerType,
    account_of,
    is_some_workers,
)
from tqunits.resources import Share

T = TypeVar("T")

_VAR_RUN = PurePosixPath("/var/run")


@dataclass(frozen=True, slots=True)
class Draft:
    """A worker on its way: what it would be, what was written, and the top of its file."""

    name: str  # its folder's, right or wrong
    worker: Worker
    values: Values
    top: Node
    wrong: frozenset[str]  # the settings that count as their defaults, for what was written is wrong

    def place(self, setting: Setting[object]) -> Node:
        """Where the setting stands, else the top of worker.yaml."""
        return self.values.node(setting) or self.top


def within_worker(draft: Draft) -> Iterator[NodeProblem]:
    """What is wrong, or odd, with one worker."""
    for rule in _WORKER_RULES:
        yield from rule(draft)


def within_server(values: Values, top: Node) -> Iterator[NodeProblem]:
    """What is wrong with the server."""
    yield from _listen(values)
    yield from _metrics(values, top)
    certificate, key = values[S.certificate], values[S.key]
    if certificate is None:
        if key is not None:
            yield NodeProblem(values.node(S.key) or top, "tls.certificate is missing", "write both, or none")
        for setting in (s for s in (S.redirect, S.hsts) if values[s]):
            yield NodeProblem(values.node(setting) or top, f"{setting.key}: there is no tls.certificate", "write one")
    elif certificate.endswith("/"):
        if key is not None:
            message = "tls.key: a folder of certificates has the keys in it"
            yield NodeProblem(values.node(S.key) or top, message, "remove it, or write one certificate")
    elif key is None:
        hint = "write both, or a folder of NAME.pem and NAME.key with a slash at its end"
        yield NodeProblem(values.node(S.certificate) or top, "tls.key is missing", hint)


def _listen(values: Values) -> Iterator[NodeProblem]:
    """Two addresses of which systemd could open the first alone: the whole router would not
    start."""
    node, listen = values.node(S.listen), values[S.listen]
    if not isinstance(node, ListNode) or len(node.items) != len(listen):
        return
    for at, taker in overlaps.conflicts(listen):
        message = f"listen: {listen[at]} can not be open beside {taker}, which has it already"
        yield NodeProblem(node.items[at], message, "leave one of them out")


def _metrics(values: Values, top: Node) -> Iterator[NodeProblem]:
    metrics, listen = values[S.metrics], values[S.listen]
    taken = [address for address in listen if metrics and list(overlaps.conflicts([address, metrics]))]
    if taken:
        message = f"manager.metrics: {metrics} can not be open beside {taken[0]}, which is the router's"
        yield NodeProblem(values.node(S.metrics) or top, message, "take another port")


def across_workers(drafts: Sequence[Draft], server: Server) -> Iterator[NodeProblem]:
    """What is wrong, or odd, with workers together."""
    yield from _routes_of_others(drafts)
    yield from _ports_of_ours(drafts, server)
    yield from _shared_users(drafts)
    yield from _depends_on_others(drafts)


def _program(draft: Draft) -> Iterator[NodeProblem]:
    worker = draft.worker
    is_known = not draft.wrong & {W.type.key, W.command.key}
    if worker.type is not WorkerType.STATIC and not worker.command and is_known:
        hint = "write the command, or a type that presets one: go, python, node, bun, deno, java, ruby, php"
        yield NodeProblem(draft.place(W.command), "command is missing", hint)
    yield from variable_rules.problems(worker, draft.values, draft.top)


def _php(draft: Draft) -> Iterator[NodeProblem]:
    """What is written for a command that somebody has replaced, or for another language's."""
    worker = draft.worker
    if worker.type is WorkerType.PHP and not draft.values.written(W.command):
        return
    words = " ".join(f"-d {name}={text}" for name, text in draft.values[W.php_settings])
    folder = f"-t {draft.values[W.php_document_root]}"
    for setting, told in ((W.php_settings, words), (W.php_document_root, folder)):
        if draft.values.written(setting) and draft.values[setting] not in ((), setting.default):
            hint = (
                f"write it in the command: {told}" if worker.type is WorkerType.PHP else "remove it, or set type: php"
            )
            message = f"{setting.key} has no effect: it is for the command that type php presets"
            yield warning(draft.place(setting), message, hint)


def _accounts(draft: Draft) -> Iterator[NodeProblem]:
    """Whether there is such a worker or not: there may be one tomorrow."""
    own = account_of(draft.worker.name)
    for setting in (W.user, W.group):
        account = draft.values[setting]
        if draft.values.written(setting) and is_some_workers(account) and account != own:
            message = f"{setting.key}: {account} is the account of another worker"
            yield NodeProblem(draft.place(setting), message, f"leave it out: this one's own is {own}")


def _listening(draft: Draft) -> Iterator[NodeProblem]:
    worker = draft.worker
    if worker.port is not None and worker.listen is not Listen.TCP:
        yield warning(draft.place(W.port), f"port has no meaning with listen: {worker.listen}", "remove it")


def _static(draft: Draft) -> Iterator[NodeProblem]:
    """What is served is public. The worker's own folder is not: it has worker.yaml and the
    program's text."""
    worker = draft.worker
    is_written = draft.values.written(W.static_directory) or draft.values.written(W.static_prefix)
    if not is_written and worker.type is not WorkerType.STATIC:
        return
    served = _in_full(worker.folder / worker.static.directory)
    if (worker.folder / "config").is_relative_to(served):
        message = f"static.directory: '{worker.static.directory}' has the worker's own files in it"
        yield NodeProblem(draft.place(W.static_directory), message, "serve a folder of its own, such as public")
    for unserved in UNSERVED:
        if served.is_relative_to(unserved):
            message = f"static.directory: nothing below {unserved} is served"
            yield NodeProblem(draft.place(W.static_directory), message, "put the files elsewhere, such as below /srv")


def _in_full(path: PurePosixPath) -> PurePosixPath:
    """An absolute path as the kernel takes it: with one slash at its beginning, and without
    Debian's link in /var."""
    path = PurePosixPath("/", *path.parts[1:])
    return PurePosixPath("/run", path.relative_to(_VAR_RUN)) if path.is_relative_to(_VAR_RUN) else path


def _memory(draft: Draft) -> Iterator[NodeProblem]:
    limits, runtime = draft.worker.limits, draft.worker.runtime
    if limits.memory_high is not None and _more(limits.memory_high, limits.memory_max):
        message = f"limits.memory_high: {_printed(limits.memory_high)} is more than memory_max"
        yield NodeProblem(draft.place(W.memory_high), message, f"write less than {_printed(limits.memory_max)}")
    if runtime.go_mem_limit is not None and _more(runtime.go_mem_limit, limits.memory_max):
        message = f"runtime.go_mem_limit: {_printed(runtime.go_mem_limit)} is more than limits.memory_max"
        hint = f"Go keeps its memory below it, so write less than {_printed(limits.memory_max)}"
        yield warning(draft.place(W.go_mem_limit), message, hint)


def _scaling(draft: Draft) -> Iterator[NodeProblem]:
    """It stands in worker.yaml, whatever file decided one of them: an error in another file would
    not keep this worker from being installed."""
    scaling = draft.worker.scaling
    if scaling.min_workers > scaling.max_workers and draft.values.written(W.max_workers):
        written = (draft.values.node(setting) for setting in (W.min_workers, W.max_workers))
        place = next((node for node in written if node and node.document.file == draft.top.document.file), draft.top)
        mark = draft.values.origin(W.min_workers).mark
        elsewhere = f", which is in {mark}," if mark and mark.file != draft.top.document.file else ""
        message = f"scaling.min_workers: {scaling.min_workers}{elsewhere} is more than max_workers"
        yield NodeProblem(place, message, f"write at most {scaling.max_workers}, or raise max_workers")


def _health(draft: Draft) -> Iterator[NodeProblem]:
    yield from health_rules.problems(draft.worker, draft.values, draft.top, draft.wrong)
    settings, start = draft.worker.health, draft.worker.timeouts.start
    written = draft.values.written(W.health_timeout) or draft.values.written(W.health_interval)
    if settings.timeout > settings.interval and written:
        message = f"health.timeout: {print_span(settings.timeout)} is more than interval"
        hint = f"write at most {print_span(settings.interval)}, or raise interval"
        yield NodeProblem(draft.values.node(W.health_timeout) or draft.place(W.health_interval), message, hint)
    if settings.timeout > start and settings.type is not HealthType.NONE:
        message = f"timeouts.start: {print_span(start)} is less than health.timeout, so one slow check fails the start"
        node = draft.values.node(W.timeout_start) or draft.place(W.health_timeout)
        yield warning(node, message, f"write more than {print_span(settings.timeout)}")


def _stopping(draft: Draft) -> Iterator[NodeProblem]:
    """systemd's patience with a stop has the drain in it (units/command_lines.py, `leave`)."""
    stop, drain = (span or INFINITY for span in (draft.worker.timeouts.stop, draft.worker.timeouts.drain))
    if drain > stop and draft.values.written(W.timeout_drain):
        message = f"timeouts.drain: {print_span(drain)} is more than timeouts.stop, so a stop cuts requests off earlier"
        yield warning(draft.place(W.timeout_drain), message, f"write 'stop: {print_span(drain)}' too")


def _writable(draft: Draft) -> Iterator[NodeProblem]:
    """What is in the worker's hands can not be given once more."""
    folders = [PurePosixPath(path) for path in draft.worker.writable]
    for at, folder in enumerate(folders):
        above = next((other for other in folders if other in folder.parents), None)
        if above is not None:
            message = f"writable: {folder} is in {above}, which is the worker's to write already"
            yield NodeProblem(_item(draft.place(W.writable), at), message, "leave it out")


def _slashes(draft: Draft) -> Iterator[NodeProblem]:
    node = draft.values.node(W.path)
    for item in node.items if isinstance(node, ListNode) else (node,):
        if isinstance(item, ScalarNode) and item.text.endswith("/") and item.text != "/":
            yield note(item, f"path: '{item.text}' is taken as '{item.text.rstrip('/')}'", "leave the last slash out")


def _depends(draft: Draft) -> Iterator[NodeProblem]:
    own = unit_names.service(draft.worker.name)
    for setting in (W.depends_after, W.depends_requires):
        units = draft.values[setting]
        if own in units:
            node = _item(draft.place(setting), units.index(own))
            yield NodeProblem(node, f"{setting.key}: a worker can not depend on itself", "remove it")


def _signals(draft: Draft) -> Iterator[NodeProblem]:
    signals = draft.worker.signals
    if signals.watchdog and draft.worker.service_type is not ServiceType.NOTIFY:
        message = "watchdog: only a program that speaks to systemd can say that it lives"
        yield NodeProblem(draft.place(W.watchdog), message, "write service_type: notify as well, or leave it out")
    if signals.reload == signals.stop:
        message = f"reload: {signals.reload} is the stop_signal: systemd would stop the worker by it"
        node = draft.values.node(W.reload) or draft.place(W.stop_signal)
        yield NodeProblem(node, message, "write another signal for one of them")


def _watch(draft: Draft) -> Iterator[NodeProblem]:
    """A default of max_wait gives way to a longer debounce; a written one would contradict it."""
    debounce, max_wait = draft.worker.watch.debounce, draft.worker.watch.max_wait
    if max_wait < debounce and draft.values.written(W.max_wait):
        message = f"watch.max_wait: {print_span(max_wait)} is less than debounce"
        yield NodeProblem(draft.place(W.max_wait), message, f"write {print_span(debounce)} or more")
    lengths = {row: sum(map(len, draft.values[row])) for row in (W.watch_paths, W.watch_ignore, W.watch_live)}
    if (total := sum(lengths.values())) > MOST_CHARACTERS:
        longest = max(lengths, key=lambda row: lengths[row])
        message = f"{longest.key}: with the other lists of watch it has {total} characters"
        yield NodeProblem(
            draft.place(longest), message, f"write at most {MOST_CHARACTERS}: a folder stands for its files"
        )


_WORKER_RULES: tuple[Callable[[Draft], Iterator[NodeProblem]], ...] = (
    _program,
    _php,
    _accounts,
    _listening,
    _static,
    _memory,
    _scaling,
    _health,
    _stopping,
    _writable,
    _slashes,
    _depends,
    _signals,
    _watch,
)


def _routes_of_others(drafts: Sequence[Draft]) -> Iterator[NodeProblem]:
    """A route that takes requests from the one of another worker is right, and easily a mistake."""
    owners: dict[tuple[str, str], list[Draft]] = {}
    for draft in drafts:
        for host in draft.worker.hosts or ("",):
            for route in draft.worker.routes:
                owners.setdefault((host, route), []).append(draft)
    for draft in drafts:
        for at, route in enumerate(draft.worker.routes):
            for host in draft.worker.hosts or ("",):
                for other in _above(host, route, owners):
                    if other is not draft and other.worker.modes & draft.worker.modes:
                        message = f"path: {host}{route} takes requests from worker '{other.name}'"
                        hint = f"that one's route is in {other.place(W.path).mark}"
                        yield note(_item(draft.place(W.path), at), message, hint)


def _above(host: str, route: str, owners: Mapping[tuple[str, str], list[Draft]]) -> Iterator[Draft]:
    """Whose requests they were without this route: the nearest one's, on this host or on any. Not
    that of "/"."""
    if host and ("", route) in owners:
        yield from owners["", route]
        return
    above = route.rpartition("/")[0]
    while above:
        found = [draft for at in dict.fromkeys((host, "")) for draft in owners.get((at, above), ())]
        if found:
            yield from found
            return
        above = above.rpartition("/")[0]


def _ports_of_ours(drafts: Sequence[Draft], server: Server) -> Iterator[NodeProblem]:
    ports = (address.rpartition(":")[2] for address in server.listen)
    takers: dict[int | None, str] = {int(port): "the router" for port in ports if port.isdecimal()}
    if server.manager.port is not None:
        takers[server.manager.port] = "the manager"
    for draft in drafts:
        taker = takers.get(draft.worker.port)
        if taker is not None and draft.worker.listen is Listen.TCP:
            message = f"port: {taker} listens on {draft.worker.port}"
            yield NodeProblem(draft.place(W.port), message, "take another, or none")


def _shared_users(drafts: Sequence[Draft]) -> Iterator[NodeProblem]:
    """Of those who run at the same time: static ones do not run at all."""
    taken: dict[str, list[Draft]] = {}
    for draft in (d for d in drafts if d.worker.type is not WorkerType.STATIC and _has_its_name(d)):
        others = taken.setdefault(draft.worker.user, [])
        first = next((other for other in others if other.worker.modes & draft.worker.modes), None)
        others.append(draft)
        if first is not None and not _is_refused(draft) and not _is_refused(first):
            message = f"user: {draft.worker.user} is the user of worker '{first.worker.name}' too"
            node = draft.values.node(W.user) or first.values.node(W.user) or draft.top
            yield warning(node, message, "they can read and kill each other: leave user out, or accept that")


def _has_its_name(draft: Draft) -> bool:
    """A folder that is to be renamed has another name until then, and so has its account."""
    return draft.values.written(W.user) or draft.worker.user == account_of(draft.worker.name)


def _is_refused(draft: Draft) -> bool:
    """Whether its account is the mistake: another worker's."""
    return W.user.key in draft.wrong or any(True for _ in _accounts(draft))


def _depends_on_others(drafts: Sequence[Draft]) -> Iterator[NodeProblem]:
    """A name without a suffix is a worker, which has to be there; and one with it is none, even
    where there is one."""
    types = {draft.name: draft.worker.type for draft in drafts}
    for draft in drafts:
        for setting in (W.depends_after, W.depends_requires):
            for node in _texts(draft.values.node(setting)):
                found = _on_other(draft, setting, node, types)
                if found is not None:
                    yield found


def _on_other(
    draft: Draft, setting: Setting[object], node: ScalarNode, types: Mapping[str, WorkerType]
) -> NodeProblem | None:
    """What is wrong with one name in `depends`; `types`: of all workers."""
    text = node.text
    stem = text.removesuffix(".service")
    if is_worker_name(text) and text not in types:
        hint = did_you_mean(text, types.keys() - {draft.name}) or f"for a unit of this host write {text}.service"
        return NodeProblem(node, f"{setting.key}: there is no worker '{text}'", hint)
    if types.get(text) is WorkerType.STATIC and text != draft.name:
        return NodeProblem(
            node, f"{setting.key}: '{text}' is files alone, with no program that could start", "remove it"
        )
    if stem != text and stem in types:
        message = f"{setting.key}: {text} is a unit of this host, not the worker '{stem}'"
        return note(node, message, f"for the worker write {stem}")
    return None


def _texts(node: Node | None) -> Iterator[ScalarNode]:
    """The texts of a list, or one alone."""
    yield from (item for item in (items_of(node) if node else ()) if isinstance(item, ScalarNode))


def _item(node: Node, at: int) -> Node:
    return node.items[at] if isinstance(node, ListNode) else node


def _more(value: int | Share, bound: int | Share) -> bool:
    """Whether it is more, as far as a size and a share can be compared without the machine."""
    match value, bound:
        case Share(), Share():
            return value.permyriad > bound.permyriad
        case int(), int():
            return value > bound
        case _:
            return False


def _printed(value: int | Share) -> str:
    return print_size(value) if isinstance(value, int) else print_permyriad(value.permyriad)
