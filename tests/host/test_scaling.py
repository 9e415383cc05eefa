"""What an order for so many instances comes to, and what is refused before anything is changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.config.scale_file import written
from tqunits.errors import ConfigurationError, Mark, NoSuchWorker, NotPermitted, TqunitsError
from tqunits.host.premises import Premises
from tqunits.host.scaling import Rescaling, ScaleOrder, foresee
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.units.steps import Discard, RemoveFile, WriteFile

API = "path: /api\ntype: python\ncommand: [python3, src/main.py]\n"


class Place:
    """A folder for -C with the worker api, on a host without units."""

    def __init__(self, root: Path) -> None:
        layout = replace(SYSTEM_LAYOUT, units=PurePosixPath(root / "units"), state=PurePosixPath(root / "state"))
        self.root = root
        self.premises = Premises(root=root, layout=layout, user_mode=False)
        self.file = root / "config/tqunits.yaml.d/scale.yaml"
        self.put("config/tqunits.yaml", "mode: production\n")
        self.put("workers/api/config/worker.yaml", API)
        self.put("workers/api/src/main.py", "")

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def scale(self, **numbers: int | None) -> Rescaling:
        return foresee([ScaleOrder(worker, number) for worker, number in numbers.items()], self.premises)

    def after(self, **numbers: int | None) -> str | None:
        """The text of scale.yaml after that."""
        (step,) = self.scale(**numbers).steps
        assert isinstance(step, WriteFile | RemoveFile)
        return step.file.content if isinstance(step, WriteFile) else None


@pytest.fixture
def place(roots: Path) -> Place:
    return Place(roots)


def units(found: Rescaling) -> set[str]:
    """The units of instances that would be written."""
    paths = (step.file.path for step in found.outlook.plan.steps if isinstance(step, WriteFile))
    return {path.parent.name.removesuffix(".d") for path in paths if path.name == "10-tqunits.conf"}


def test_the_first_number_makes_the_file_and_the_instances(place: Place) -> None:
    found = place.scale(api=3)
    (step,) = found.steps
    assert isinstance(step, WriteFile)
    assert (step.file.path, step.file.content, step.file.mode) == (
        PurePosixPath(place.file),
        written({"api": 3}),
        0o644,
    )
    assert {f"tq-worker@{name}.service" for name in ("api", "api:2", "api:3")} <= units(found)
    assert not place.file.exists()


def test_the_numbers_of_others_stay(place: Place) -> None:
    place.put("config/tqunits.yaml.d/scale.yaml", "scale: {web: 2, api: 3, gone: 4}")  # as somebody may write it
    assert place.after(api=2) == written({"web": 2, "gone": 4, "api": 2})
    assert place.after(api=None) == written({"web": 2, "gone": 4})


def test_a_worker_may_have_the_name_of_nothing(place: Place) -> None:
    place.put("workers/null/config/worker.yaml", API.replace("/api", "/null"))
    place.put("workers/null/src/main.py", "")
    assert place.after(null=2) == written({"null": 2})


def test_the_last_number_goes_with_the_file(place: Place) -> None:
    place.put("config/tqunits.yaml.d/scale.yaml", written({"api": 3}))
    assert place.after(api=None) is None


@pytest.mark.parametrize("text", ["scale: {api: 2}  # mine", written({"api": 2})], ids=["by hand", "ours"])
def test_the_same_number_changes_nothing(place: Place, text: str) -> None:
    place.put("config/tqunits.yaml.d/scale.yaml", text)
    assert place.scale(api=2).steps == ()


def test_what_an_interrupted_write_has_left_is_removed(place: Place) -> None:
    left = place.file.parent / ".tqunits-0123456789abcdef.tmp"
    place.put(str(left.relative_to(place.root)), "scale: {api")
    assert place.scale(api=2).steps[0] == Discard((PurePosixPath(left),))


def test_nothing_is_removed_where_there_is_nothing(place: Place) -> None:
    assert place.scale(api=None).steps == ()


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("# because of May\nscale: {api: 2}", 1, 1, "a comment that somebody has put here would be lost"),
        (f"{written({'api': 2})}\n# May\n", 6, 1, "a comment that somebody has put here would be lost"),
        ("scale:\n  api: 2  # May", 2, 11, "a comment that somebody has put here would be lost"),
        ("scale: {api: 2}\nmode: production", 2, 1, "the key 'mode' that somebody has put here would be lost"),
    ],
)
def test_nothing_of_somebody_is_lost(place: Place, text: str, line: int, column: int, message: str) -> None:
    place.put("config/tqunits.yaml.d/scale.yaml", text)
    with pytest.raises(TqunitsError) as refused:
        place.scale(api=3)
    assert (refused.value.mark, refused.value.message) == (Mark(str(place.file), line, column), message)


@pytest.mark.parametrize("name", ["tqunits.yaml", "tqunits.yaml.d/10.yaml", "tqunits.yaml.d/z.yaml"])
@pytest.mark.parametrize("number", [None, 2, 3])
def test_a_number_in_another_file_of_the_administrator_stays(place: Place, name: str, number: int | None) -> None:
    place.put(f"config/{name}", "mode: production\nscale:\n  api: 2\n")
    with pytest.raises(TqunitsError) as refused:
        place.scale(api=number)
    assert refused.value.mark == Mark(str(place.root / "config" / name), 3, 3)


def test_a_name_without_a_worker(place: Place) -> None:
    with pytest.raises(NoSuchWorker) as refused:
        place.scale(api=2, aip=2)
    assert refused.value.hint == "did you mean 'api'?"
    place.put("config/tqunits.yaml.d/scale.yaml", written({"gone": 2}))
    with pytest.raises(NoSuchWorker) as refused:
        place.scale(gone=None)
    assert refused.value.hint == f"{place.file} has a number for it: remove that line"


def test_files_alone_have_no_instances(place: Place) -> None:
    place.put("workers/files/config/worker.yaml", "path: /files\ntype: static\n")
    with pytest.raises(NoSuchWorker, match="files that the router serves"):
        place.scale(files=2)


@pytest.mark.parametrize(
    ("server", "more", "message"),
    [
        pytest.param("workers: {port_range: 9000-9002}", "", "no port is left in 9000-9002", id="ports"),
        pytest.param("", "scaling: {max_workers: 3}\n", "is more than max_workers", id="its own most"),
        pytest.param("", "route: /x\n", "unknown key 'route'", id="a mistake in it"),
        pytest.param("", "user: nobody-at-all\n", "nobody-at-all", id="no account"),
    ],
)
def test_what_the_worker_can_not_have_is_refused(place: Place, server: str, more: str, message: str) -> None:
    place.put("config/tqunits.yaml", server)
    place.put("workers/api/config/worker.yaml", API + more)
    with pytest.raises(ConfigurationError) as refused:
        place.scale(api=4)
    assert any(message in finding.message for finding in refused.value.diagnostics), refused.value.diagnostics
    assert not place.file.exists()


def test_a_mistake_of_another_worker_is_in_nobodys_way(place: Place) -> None:
    place.put("workers/web/config/worker.yaml", "path: web")
    assert place.after(api=2) == written({"api": 2})


def test_a_number_that_was_too_many_can_be_taken_back(place: Place) -> None:
    place.put("config/tqunits.yaml.d/scale.yaml", written({"api": 4}))
    place.put("workers/api/config/worker.yaml", f"{API}scaling: {{max_workers: 3}}\n")
    assert place.after(api=3) == written({"api": 3})
    assert place.after(api=None) is None


def test_a_mistake_in_the_file_is_said_and_nothing_of_it_is_lost(place: Place) -> None:
    place.put("config/tqunits.yaml.d/scale.yaml", "scale: {web: 0, api: 2}")
    with pytest.raises(ConfigurationError) as refused:
        place.scale(api=3)
    assert [finding.mark for finding in refused.value.diagnostics] == [Mark(str(place.file), 1, 14)]


def test_no_drop_in_too_many_is_written(place: Place) -> None:
    for number in range(100):
        place.put(f"config/tqunits.yaml.d/{number}.yaml", "mode: production\n")
    with pytest.raises(ConfigurationError):
        place.scale(api=3)


def test_root_writes_nothing_where_another_may_rename(place: Place) -> None:
    (place.root / "config/tqunits.yaml.d").mkdir()
    os.chown(place.root / "config/tqunits.yaml.d", 1234, -1)
    with pytest.raises(NotPermitted, match="root writes nothing where another user may rename"):
        place.scale(api=3)
    place.premises = replace(place.premises, trust=True)
    with pytest.raises(NotPermitted, match="root writes nothing where another user may rename"):
        place.scale(api=3)


@pytest.mark.parametrize(
    "text", ["scale: {api: 2}", "root:secret:1", "scale: {secret"], ids=["valid", "text", "broken"]
)
def test_a_link_in_the_place_of_the_file_is_not_followed(place: Place, text: str) -> None:
    """With --trust, who owns the folder could have root show him any file."""
    place.put("elsewhere.yaml", text)
    place.file.parent.mkdir()
    place.file.symlink_to(place.root / "elsewhere.yaml")
    with pytest.raises(ConfigurationError) as refused:
        place.scale(api=3)
    assert [finding.message for finding in refused.value.diagnostics] == ["is a symbolic link, which is not followed"]
