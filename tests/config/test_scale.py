"""How `scale` of tqunits.yaml is read, and that it decides how many instances a worker has."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tqunits.config.parse import WorkersResult, WorkerText, parse_workers
from tqunits.config.scale_file import ScaleFile, read, written
from tqunits.errors import ConfigurationError, Mark
from tqunits.model import NotRoots, OriginKind
from tqunits.units.grants import refusals

from .parsing import errors, server, valid, worker_text, workers

GO = "path: /api\ntype: go\n"
BOBS = NotRoots(PurePosixPath("/srv/tqunits/workers/api"), "belongs to uid 1001 (bob)")


MISTAKES = {
    "no mapping": ("scale: [api]", "1:8", "scale: takes a mapping of workers' names to numbers"),
    "no name": ("scale: {Api: 2}", "1:9", "scale: 'Api' is no worker's name"),
    "an instance": ("scale: {'api:2': 2}", "1:9", "scale: 'api:2' is no worker's name"),
    "all": ("scale: {'*': 2}", "1:9", "scale: '*' is no worker's name"),
    "none": ("scale: {api: 0}", "1:14", "scale: 0 is not within 1 and 1000"),
    "too many": ("scale: {api: 1001}", "1:14", "scale: 1001 is not within 1 and 1000"),
    "octal": ("scale: {api: 010}", "1:14", "scale: '010' is not a whole decimal number"),
    "null": ("scale: {api: }", "1:14", "scale: has no value"),
    "a mapping": ("scale: {api: {min: 2}}", "1:14", "scale: takes one value, not a mapping"),
    "twice": ("scale: {api: 2, api: 3}", "1:17", "'api' is written twice"),
    "in defaults": ("defaults: {scale: {api: 2}}", "1:12", "unknown key 'scale'"),
}


@pytest.mark.parametrize(("yaml", "place", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_said_where_it_stands(yaml: str, place: str, message: str) -> None:
    assert [(mark, said) for mark, said, _ in errors(server(yaml).diagnostics)] == [(f"tqunits.yaml:{place}", message)]


def test_all_mistakes_are_said_at_once() -> None:
    assert len(errors(server("scale: {A: 1, b: 0, c: x}").diagnostics)) == 3


@pytest.mark.parametrize("yaml", ["", "scale:", "scale: {}"])
def test_nothing_is_nothing(yaml: str) -> None:
    result = server(yaml)
    assert (errors(result.diagnostics), result.server.scale, result.scale) == ([], {}, {})


def test_a_later_file_decides_name_by_name_and_its_place_is_told() -> None:
    result = server("scale: {api: 2, web: 2}", "scale:\n  api: 3\n  gone: 1\n")
    assert result.server.scale == {"api": 3, "web": 2, "gone": 1}
    assert {name: value.origin.mark for name, value in result.scale.items()} == {
        "api": Mark("0.yaml", 2, 3),
        "web": Mark("tqunits.yaml", 1, 17),
        "gone": Mark("0.yaml", 3, 3),
    }


@pytest.mark.parametrize(
    ("yaml", "common", "number", "kind"),
    [
        pytest.param("", "", 1, OriginKind.DEFAULT, id="default"),
        pytest.param("", "defaults: {scaling: {min_workers: 2}}", 2, OriginKind.SERVER, id="defaults"),
        pytest.param("scaling: {min_workers: 4}", "scale: {web: 3}", 4, OriginKind.WORKER, id="of another"),
        pytest.param("scaling: {min_workers: 4}", "scale: {api: 3}", 3, OriginKind.SERVER, id="scale"),
        pytest.param("", "defaults: {scaling: {min_workers: 2}}\nscale: {api: 1}", 1, OriginKind.SERVER, id="fewer"),
    ],
)
def test_who_decides_the_number(yaml: str, common: str, number: int, kind: OriginKind) -> None:
    worker = valid(f"{GO}{yaml}", common)
    assert len(worker.instances) == number
    assert worker.origins["scaling.min_workers"].kind is kind


def test_it_is_told_where_the_number_stands() -> None:
    worker = valid(f"{GO}scaling: {{min_workers: 4}}", "mode: production\nscale:\n  api: 3")
    assert worker.origins["scaling.min_workers"].mark == Mark("tqunits.yaml", 3, 3)


def test_it_makes_another_configuration_of_this_worker_alone() -> None:
    def hashes(common: str) -> dict[str, str]:
        result = workers({"api": GO, "web": GO.replace("api", "web")}, common)
        assert result.configuration is not None
        return {worker.name: worker.source_hash for worker in result.configuration.workers}

    before, two, three = hashes(""), hashes("scale: {api: 2}"), hashes("scale: {api: 3}")
    assert len({before["api"], two["api"], three["api"]}) == 3
    assert before["web"] == two["web"] == three["web"]


CONTRARY = {
    "worker.yaml": (
        "scaling: {min_workers: 2, max_workers: 4}",
        "scale: {api: 5}",
        "api.yaml:3:40",
        "scaling.min_workers: 5, which is in tqunits.yaml:1:9, is more than max_workers",
    ),
    "the most alone": (
        "scaling: {max_workers: 4}",
        "scale: {api: 5}",
        "api.yaml:3:24",
        "scaling.min_workers: 5, which is in tqunits.yaml:1:9, is more than max_workers",
    ),
    "both elsewhere": (
        "",
        "defaults: {scaling: {max_workers: 4}}\nscale: {api: 5}",
        "api.yaml:1:1",
        "scaling.min_workers: 5, which is in tqunits.yaml:2:9, is more than max_workers",
    ),
    "the least in defaults": (
        "scaling: {max_workers: 4}",
        "defaults: {scaling: {min_workers: 5}}",
        "api.yaml:3:24",
        "scaling.min_workers: 5, which is in tqunits.yaml:1:22, is more than max_workers",
    ),
}


@pytest.mark.parametrize(("yaml", "common", "place", "message"), CONTRARY.values(), ids=CONTRARY)
def test_more_than_the_worker_may_have_is_an_error_of_the_worker(
    yaml: str, common: str, place: str, message: str
) -> None:
    result = workers({"api": f"{GO}{yaml}"}, common)
    assert [(mark, said) for mark, said, _ in errors(result.diagnostics)] == [(place, message)]
    assert result.configuration is not None
    assert (result.configuration.workers, result.configuration.broken) == ((), ("api",))


@pytest.mark.parametrize("numbers", [{"api": 3}, {"web-2": 1000, "no": 1, "a_b": 7}])
def test_what_is_written_is_read_and_nothing_in_it_is_foreign(numbers: dict[str, int]) -> None:
    text = written(numbers)
    assert read(text.encode(), "scale.yaml") == ScaleFile(numbers)
    assert server("", text).server.scale == numbers


@pytest.mark.parametrize("text", ["- api", "api", "scale: {api: 0}", "scale: [api]", "scale: {", "scale: {a: 1, a: 2}"])
def test_a_file_with_a_mistake_is_not_read(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(text.encode(), "scale.yaml")
    assert {finding.mark.file for finding in refused.value.diagnostics if finding.mark} == {"scale.yaml"}


def requested(yaml: str, common: str) -> WorkersResult:
    """A worker that is bob's."""
    of = worker_text("api", f"{GO}{yaml}")
    return parse_workers([WorkerText(name="api", folder=of.folder, text=of.text, not_roots=BOBS)], server(common))


@pytest.mark.parametrize(
    ("yaml", "common", "refused"),
    [
        pytest.param("scaling: {min_workers: 2}", "", 1, id="its own word"),
        pytest.param("scaling: {min_workers: 2}", "scale: {web: 2}", 1, id="for another"),
        pytest.param("", "scale: {api: 3}", 0, id="root's word"),
        pytest.param("scaling: {min_workers: 900}", "scale: {api: 3}", 0, id="in its place"),
    ],
)
def test_roots_own_number_takes_no_grant(yaml: str, common: str, refused: int) -> None:
    configuration = requested(yaml, common).configuration
    assert configuration is not None
    (worker,) = configuration.workers
    found = refusals(worker, configuration.server, PurePosixPath("/etc/tqunits/tqunits.yaml"))
    assert [each.message.partition(":")[0] for each in found] == ["scaling.min_workers"] * refused
