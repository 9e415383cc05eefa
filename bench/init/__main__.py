"""The programs of `tqunits init` beside the hello-world servers of their runtimes' documentation.

    .venv/bin/python -m bench.init [--rounds N] [--seconds N] [--only TYPE]...

Needs a C compiler, and measures the types whose runtime is installed. `tqunits init` makes each
worker, and its program runs as its unit would run it, but for the sandbox: with the variables of
the contract, and on the port, the path or the handed socket that its worker.yaml asks for. The
other one runs as its documentation has it, on a port. In each round both get their turn, in turned
order: first with 16 connections (requests per second, CPU time of all the program's processes),
then with one (time per request). Figures are medians of the rounds, `against` is the median of the
rounds' ratios. The client is in C and takes a CPU, so what is fast is fast as long as there is a
second one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.init.hellos import HELLOS, Hello
from bench.processes import PATIENCE, Process, children, cpu_of, output_of
from tqunits.config.start_files import starting_files
from tqunits.host.sources import load
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.model import Listen, Mode, Worker, WorkerType
from tqunits.units.environment import contract, fill_in

SOURCE = Path(__file__).with_name("load.c")
CONNECTIONS = 16
PRODUCTION = {"NODE_ENV": "production", "RACK_ENV": "production", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
RUNTIMES = {WorkerType.PYTHON: "python3", WorkerType.JAVA: "javac", WorkerType.RUBY: "puma"}


@dataclass(frozen=True, slots=True)
class Peer:
    """A running program."""

    address: str  # a port, or the path of a socket
    process: Process


@dataclass(frozen=True, slots=True)
class Round:
    """What one turn of one peer gave."""

    rps: float
    cpu_us: float
    alone_ms: float


def main() -> None:
    """Measure, and print a row for each program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each program (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load (2)")
    parser.add_argument("--only", action="append", choices=[str(each) for each in HELLOS], help="these types")
    arguments = parser.parse_args()
    print(f"{'':8}{'program':10}{'req/s':>9}{'against':>9}{'us CPU':>9}{'against':>9}{'ms alone':>10}{'failed':>8}")
    with tempfile.TemporaryDirectory() as folder:
        load_program = Path(folder, "load")
        output_of(["cc", "-O2", "-o", str(load_program), str(SOURCE)])
        for worker_type in HELLOS:
            if arguments.only and worker_type not in arguments.only:
                continue
            if shutil.which(RUNTIMES.get(worker_type, worker_type)) is None:
                print(f"{worker_type:8}its runtime is not installed")
                continue
            compare(worker_type, Path(folder, worker_type), load_program, arguments)


def compare(worker_type: WorkerType, folder: Path, load_program: Path, arguments: argparse.Namespace) -> None:
    """Rounds of the two programs of a type."""
    with hello(HELLOS[worker_type], folder / "hello") as theirs, ours(worker_type, folder / "root") as own:
        peers = {"hello": theirs, "init": own}
        rounds: dict[str, list[Round]] = {name: [] for name in peers}
        failed = dict.fromkeys(peers, 0)
        for peer in peers.values():
            loaded(load_program, peer, CONNECTIONS, arguments.seconds)  # what compiles as it runs has done so
        for number in range(arguments.rounds):
            for name in sorted(peers, reverse=bool(number % 2)):
                one, errors = measured(load_program, peers[name], arguments.seconds)
                rounds[name].append(one)
                failed[name] += errors
    for name, taken in rounds.items():
        base = rounds["hello"]
        faster = median(one.rps / other.rps for one, other in zip(taken, base, strict=True))
        dearer = median(one.cpu_us / other.cpu_us for one, other in zip(taken, base, strict=True))
        print(
            f"{worker_type:8}{name:10}{median(one.rps for one in taken):9.0f}{faster:9.2f}"
            f"{median(one.cpu_us for one in taken):9.1f}{dearer:9.2f}"
            f"{median(one.alone_ms for one in taken):10.3f}{failed[name]:8}",
            flush=True,
        )


def measured(load_program: Path, peer: Peer, seconds: float) -> tuple[Round, int]:
    """One turn."""
    peer.process.check()
    pids = [peer.process.pid, *children(peer.process.pid)]
    before = cpu_of(pids)
    whole, failed, lasted = loaded(load_program, peer, CONNECTIONS, seconds)
    cpu = cpu_of(pids) - before
    alone, alone_failed, alone_lasted = loaded(load_program, peer, 1, seconds)
    if not whole or not alone:
        raise RuntimeError(f"no answer: {peer.process.log()[-1000:]}")
    return Round(whole / lasted, cpu.total / whole * 1e6, alone_lasted / alone * 1e3), failed + alone_failed


def loaded(load_program: Path, peer: Peer, connections: int, seconds: float) -> tuple[int, int, float]:
    """Whole answers, failures, seconds."""
    whole, failed, lasted = output_of([str(load_program), peer.address, str(connections), str(seconds)]).split()
    return int(whole), int(failed), float(lasted)


@contextlib.contextmanager
def hello(program: Hello, folder: Path) -> Iterator[Peer]:
    """The runtime's own."""
    port = free_port()
    folder.mkdir(parents=True)
    (folder / program.file).write_text(program.text.replace("{port}", port), encoding="utf-8")
    build(program.build, folder)
    argv = [word.replace("{port}", port) for word in program.command]
    with running(argv, folder, port, {}) as peer:
        yield peer


@contextlib.contextmanager
def ours(worker_type: WorkerType, root: Path) -> Iterator[Peer]:
    """What init writes, as its unit runs it."""
    worker = made(worker_type, root)
    path, port = str(root / "http.sock"), free_port()
    is_port = worker.listen is Listen.TCP
    own = {"STATE_DIRECTORY": str(root), "CACHE_DIRECTORY": str(root)}
    listening = (int(port), None) if is_port else (None, path)
    variables = contract(worker, Mode.PRODUCTION, port=listening[0], socket=listening[1], folders=own)
    folder = Path(worker.folder)
    build(worker.build.command, folder)
    with socket.socket(socket.AF_UNIX) as listener:
        handed = None
        if worker.listen is Listen.FD:
            listener.bind(path)
            listener.listen(4096)
            handed = listener.fileno()
        argv = fill_in(worker, {**variables, **own})
        with running(argv, folder, port if is_port else path, variables, handed) as peer:
            yield peer


def made(worker_type: WorkerType, root: Path) -> Worker:
    for path, text in starting_files("hello", worker_type).items():
        file = root / "workers/hello" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (worker,) = load(root, SYSTEM_LAYOUT).configured().workers
    return worker


@contextlib.contextmanager
def running(
    argv: Sequence[str], folder: Path, address: str, variables: Mapping[str, str], listener: int | None = None
) -> Iterator[Peer]:
    given = [f"{name}={value}" for name, value in {**PRODUCTION, **variables}.items()]
    log = folder.parent / f"{folder.name}.log"
    with Process(["env", f"--chdir={folder}", *given, *argv], log=log, listener=listener) as process:
        deadline = time.monotonic() + PATIENCE
        while not answers(address):
            process.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{argv[0]} takes no connections: {process.log()}")
            time.sleep(0.02)
        yield Peer(address, process)


def answers(address: str) -> bool:
    family, to = (socket.AF_INET, ("127.0.0.1", int(address))) if address.isdigit() else (socket.AF_UNIX, address)
    with socket.socket(family) as asking:
        return asking.connect_ex(to) == 0


def build(argv: Sequence[str], folder: Path) -> None:
    if argv:
        output_of(["env", f"--chdir={folder}", *argv], environment={**os.environ, "GOFLAGS": "-buildvcs=false"})


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


if __name__ == "__main__":
    main()
