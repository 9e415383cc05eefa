"""No value of a worker's YAML can add a directive, change a directive of others, or end its
line."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import PurePosixPath

from hypothesis import given, settings
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.health import HealthType
from tqunits.model import Depends, Listen, Worker
from tqunits.units.unitfile import is_ours, ledger, parse
from units.cases import case, worker

HOSTILE = st.sampled_from(
    [
        "\nUser=root",
        "\r\n[Service]\nUser=root",
        "x\\",
        "x\\\\",
        " ; /bin/sh",
        "%i%n%%",
        "$(id) ${HOME} $$",
        '" "',
        "'\\x0a",
        "]",
        "# x",
        "\u2028User=root",
        "\x85User=root",
        "a:b:c",
        "{{ user }}{% raw %}",
    ]
)
TEXT = st.lists(st.text(max_size=6) | HOSTILE, max_size=3).map("".join)
PATH = TEXT.map(lambda text: f"/{text}")


@st.composite
def hostile_workers(draw: st.DrawFn) -> Worker:
    """A worker with a hostile text in every place that takes text."""
    folder = PurePosixPath("/srv") / draw(TEXT).replace("/", "")
    return replace(
        worker("api"),
        folder=folder,
        source=folder / "worker.yaml",
        routes=(draw(PATH),),
        hosts=(draw(TEXT),),
        command=(draw(st.just("bin/api") | TEXT), draw(TEXT)),
        environment=(("NAME", draw(TEXT)),),
        environment_file=(draw(PATH),),
        credentials=(("key", draw(PATH)),),
        listen=draw(st.sampled_from(Listen)),
        health=replace(
            worker("api").health,
            type=draw(st.sampled_from(HealthType)),
            path=draw(PATH),
            host=draw(TEXT),
            command=("bin/well", draw(TEXT)),
        ),
        user=draw(st.just("worker-api") | TEXT),
        group=draw(st.just("worker-api") | TEXT),
        depends=Depends(after=draw(st.just(()) | st.tuples(TEXT)), requires=()),
        unit=draw(st.just(()) | st.tuples(st.tuples(st.just("Service"), st.just("Nice"), TEXT))),
    )


def shape(text: str) -> Counter[tuple[str, str]]:
    return Counter((a.section, a.name) for a in parse(text) if a.name != "Nice")


@settings(max_examples=4 * settings().max_examples, deadline=None)
@given(hostile_workers())
def test_hostile_values_add_no_directive(hostile: Worker) -> None:
    plain = replace(
        worker("api"),
        environment=(("NAME", ""),),
        environment_file=("/x",),
        credentials=(("key", "/x"),),
        hosts=("x",),
        listen=hostile.listen,
        depends=replace(hostile.depends, after=("a.service",) * len(hostile.depends.after)),
    )
    try:
        files = case(hostile).files()
    except TqunitsError:
        return  # refused as a whole: nothing is written
    expected = {file.path: file for file in case(plain).files()}
    for file in files:
        assert shape(file.content) == shape(expected[file.path].content), file.content
        assert is_ours(file.content)


@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(st.lists(PATH, min_size=1, max_size=3), TEXT)
def test_the_ledger_remembers_hostile_values_exactly(routes: list[str], host: str) -> None:
    try:
        text = case(replace(worker("api"), routes=tuple(routes), hosts=(host,))).drop_in("api")
    except TqunitsError:
        return
    notes = ledger(text)
    assert notes is not None
    assert (notes.routes, notes.hosts) == (tuple(routes), (host,))


def test_a_file_of_somebody_elses_is_not_ours() -> None:
    assert not is_ours("[Service]\n# Rendered by tqunits from x\n")
    assert ledger("[X-Tqunits]\nWorker=api\n") is None
