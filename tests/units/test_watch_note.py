"""The note of what is watched: who has one, what it says, and that nothing but a note is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.model import Enabled, Mode, OriginKind, Profile, Relaxation, SettingOrigin, Static, Worker, WorkerType
from tqunits.units import ledger, quote, unitfile, watch_note
from tqunits.units.ledger import LedgerEntry
from tqunits.units.watch_note import WatchNote
from tqunits.units.watch_scope import note_of
from units.cases import case, sandbox, target, twice, worker

NOTE = WatchNote(paths=(".",), ignore=(), without=(), debounce=100_000, max_wait=2_000_000, may_write=False)
WRITTEN = SettingOrigin(kind=OriginKind.WORKER)

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=30)
PATHS = TEXTS.filter(lambda text: not text.startswith("/") and ".." not in text.split("/"))


def lists(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(texts, max_size=5).map(tuple)


@st.composite
def notes(draw: st.DrawFn) -> WatchNote:
    debounce = draw(st.integers(0, 60_000_000))
    return WatchNote(
        paths=draw(lists(PATHS)),
        ignore=draw(lists(TEXTS)),
        without=draw(lists(PATHS)),
        debounce=debounce,
        max_wait=draw(st.integers(debounce, 600_000_000)),
        may_write=draw(st.booleans()),
    )


@given(notes())
def test_what_is_noted_is_read_back_from_a_drop_in(watched: WatchNote) -> None:
    line = watch_note.note(watched)
    assert watch_note.read(line) == watched
    assert watch_note.read(quote.untext(quote.text(line))) == watched


def altered(**members: object) -> str:
    return json.dumps({**json.loads(watch_note.note(NOTE)), **members})


NO_NOTES = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "deep": "[" * 100_000,
    "a key too few": '{"paths": ["."]}',
    "a key too many": altered(live=[]),
    "long": watch_note.note(NOTE) + " " * 65_536,
    "a word for a list": altered(paths="src"),
    "a number in a list": altered(ignore=[1]),
    "a list in a list": altered(ignore=[[]]),
    "an empty path": altered(paths=[""]),
    "an absolute path": altered(paths=["/etc"]),
    "a path that climbs": altered(without=["a/../../b"]),
    "a long path": altered(paths=["x" * 4097]),
    "many patterns": altered(ignore=["*"] * 4097),
    "a pattern of two lines": altered(ignore=["a\nb"]),
    "half a character": altered(ignore=["\ud800"]),
    "a negative time": altered(debounce=-1),
    "a time in words": altered(debounce="1s"),
    "a fraction": altered(debounce=1.5),
    "no number": '{"paths": NaN}',
    "a truth for a time": altered(debounce=True),
    "less than debounce": altered(max_wait=99_999),
    "a long time": altered(max_wait=600_000_001),
    "a number for a truth": altered(may_write=1),
}


@pytest.mark.parametrize("line", NO_NOTES.values(), ids=NO_NOTES)
def test_what_is_no_note_is_none(line: str) -> None:
    assert watch_note.read(line) is None


def test_a_note_as_it_stands_is_one() -> None:
    assert watch_note.read(altered()) == NOTE


def watching(one: Worker, *, enabled: bool | None = True, **rules: Any) -> Worker:
    return replace(one, watch=replace(one.watch, enabled=enabled, **rules))


def noted(one: Worker, mode: Mode = Mode.PRODUCTION) -> WatchNote | None:
    line = note_of(replace(one, in_development=mode is Mode.DEVELOPMENT), mode, target())
    return None if line is None else watch_note.read(line)


API = worker("api")
FILES = worker("files", type=WorkerType.STATIC, command=())
AT_HOME = worker("api", folder=PurePosixPath("/home/ann/api"))
DEVELOPMENT, PRODUCTION = Mode.DEVELOPMENT, Mode.PRODUCTION

WHO = {
    "by itself in development": (API, DEVELOPMENT, True),
    "not by itself in production": (API, PRODUCTION, False),
    "where it is written": (watching(API), PRODUCTION, True),
    "not where it is switched off": (watching(API, enabled=False), DEVELOPMENT, False),
    "not who never runs": (watching(replace(API, enabled=Enabled.FALSE)), PRODUCTION, False),
    "not who runs in the other mode": (watching(replace(API, enabled=Enabled.DEVELOPMENT)), PRODUCTION, False),
    "who runs in this mode": (replace(API, enabled=Enabled.DEVELOPMENT), DEVELOPMENT, True),
    "files of a release": (watching(FILES), PRODUCTION, True),
    "not files that are served as they are": (FILES, DEVELOPMENT, False),
    "not files of another folder": (
        watching(replace(FILES, static=Static(directory="/var/www", prefix="/"))),
        PRODUCTION,
        False,
    ),
    "a program below a home": (watching(AT_HOME), PRODUCTION, True),
}


@pytest.mark.parametrize(("one", "mode", "is_watched"), WHO.values(), ids=WHO)
def test_who_is_watched(one: Worker, mode: Mode, is_watched: bool) -> None:  # noqa: FBT001
    assert (noted(one, mode) is not None) is is_watched


@pytest.mark.parametrize("one", [watching(API), watching(FILES)], ids=["program", "files"])
def test_with_user_nobody_is_watched(one: Worker) -> None:
    """`show` and `ls` would say that changes are not noticed."""
    assert note_of(one, PRODUCTION, target(user_mode=True)) is None


def serving(one: Worker, directory: str = "public") -> Worker:
    """The same, with `static` written."""
    return replace(one, static=Static(directory=directory, prefix="/"), origins={"static.directory": WRITTEN})


GIVEN = watching(
    replace(
        API,
        environment_file=(f"{API.folder}/.env", f"{API.folder}/../other.env"),
        credentials=(("key", f"{API.folder}/a/key"), ("other", "/etc/key")),
    )
)
LIVE = watching(API, live=("views", "data/a"))
WITHOUT = {
    "nothing": (API, DEVELOPMENT, ()),
    "files that it is given": (GIVEN, PRODUCTION, (".env", "a/key")),
    "what it writes": (watching(replace(API, writable=("data", "up"))), PRODUCTION, ("data", "up")),
    "live files of its folder": (LIVE, DEVELOPMENT, ("views", "data/a")),
    "no live files of a release": (LIVE, PRODUCTION, ()),
    "served files of its folder": (serving(API), DEVELOPMENT, ("public",)),
    "served files by their whole path": (serving(API, f"{API.folder}/a/b"), DEVELOPMENT, ("a/b",)),
    "no served files of a release": (serving(watching(API)), PRODUCTION, ()),
    "no served files of elsewhere": (serving(API, "/var/www"), DEVELOPMENT, ()),
    "no served files above it": (serving(API, "../public"), DEVELOPMENT, ()),
    "no files that nobody serves": (replace(API, static=Static(directory="public", prefix="/")), DEVELOPMENT, ()),
    "below a home": (serving(watching(AT_HOME, live=("views",))), PRODUCTION, ("public", "views")),
    "each once": (
        serving(watching(replace(API, writable=("public",)), live=("public", "views"))),
        DEVELOPMENT,
        ("public", "views"),
    ),
}


@pytest.mark.parametrize(("one", "mode", "without"), WITHOUT.values(), ids=WITHOUT)
def test_what_is_no_source(one: Worker, mode: Mode, without: tuple[str, ...]) -> None:
    found = noted(one, mode)
    assert found is not None
    assert found.without == without


def test_the_rules_are_those_of_the_settings() -> None:
    found = noted(watching(API, paths=("src", "bin/x"), ignore=("*.tmp", "!a"), debounce=5, max_wait=9))
    assert found == WatchNote(
        paths=("src", "bin/x"), ignore=("*.tmp", "!a"), without=(), debounce=5, max_wait=9, may_write=False
    )


def test_a_debounce_longer_than_the_usual_max_wait_is_waited_for() -> None:
    found = noted(watching(API, debounce=5_000_000))
    assert found is not None
    assert found.max_wait == 5_000_000


def relaxed(profile: Profile, *relaxations: Relaxation) -> Worker:
    return watching(replace(API, sandbox=sandbox(profile, *relaxations)))


@pytest.mark.parametrize(
    ("one", "may_write"),
    [
        (relaxed(Profile.STANDARD), False),
        (relaxed(Profile.LEGACY), False),
        (relaxed(Profile.LEGACY, Relaxation.WRITABLE_CODE), True),
        (relaxed(Profile.STRICT, Relaxation.WRITABLE_CODE), True),
    ],
    ids=["usual", "legacy", "legacy relaxed", "strict relaxed"],
)
def test_who_may_write_its_own_folder(one: Worker, may_write: bool) -> None:  # noqa: FBT001
    found = noted(one)
    assert found is not None
    assert found.may_write is may_write


def noted_in(one: Worker, whose: str = "api") -> tuple[str, unitfile.Ledger]:
    text = case(one).drop_in(whose)
    found = unitfile.ledger(text)
    assert found is not None
    return text, found


@pytest.mark.parametrize("whose", ["api", "api:2"])
def test_the_drop_in_of_each_instance_has_the_note(whose: str) -> None:
    text, found = noted_in(twice(watching(API)), whose)
    assert found.watch == NOTE
    assert text.count("\nWatch={") == 1


def test_without_a_watch_there_is_no_line() -> None:
    text, found = noted_in(API)
    assert found.watch is None
    assert "Watch=" not in text


@pytest.mark.parametrize(
    "changed",
    [watching(API), watching(API, ignore=("*.tmp", "100%", 'a "b" \\# ')), watching(API, debounce=1, live=("views",))],
    ids=["on", "patterns", "times"],
)
def test_a_change_of_what_is_watched_restarts_nobody(changed: Worker) -> None:
    (_, before), (_, after) = noted_in(API), noted_in(changed)
    assert before.watch != after.watch
    assert before.restart_hash == after.restart_hash


def test_a_ledger_entry_of_files_alone_keeps_its_note() -> None:
    line = note_of(watching(FILES), PRODUCTION, target())
    assert line is not None
    entry = LedgerEntry(worker="files", source="/y", source_hash="0", watch=line)
    assert ledger.load(ledger.dump([entry])) == {"files": entry}
