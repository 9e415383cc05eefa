"""Data: mistakes in what of a worker's files is watched."""

from __future__ import annotations

from tqunits.config.reject import shown

from .parsing import Mistake

_LONG = "a/" * 127 + "bc"
_LISTS = (
    f"watch:\n  ignore: [{', '.join(f'{at:0200}' for at in range(1, 61))}]\n"
    f"  paths: [{', '.join(f'{at:0200}' for at in range(1, 42))}]"
)

OF_WATCHING: dict[str, Mistake] = {
    "watch-nothing": Mistake(
        "path: /a\ntype: go\nwatch: {paths: []}",
        3,
        16,
        "watch.paths: is empty",
        "write at least one",
    ),
    "watch-elsewhere": Mistake(
        "path: /a\ntype: go\nwatch: {paths: [src, /etc]}",
        3,
        22,
        "watch.paths: '/etc' is not below the worker's own folder",
        "write it from there: src",
    ),
    "watch-climbs": Mistake(
        "path: /a\ntype: go\nwatch:\n  paths: src/../../b",
        4,
        10,
        "watch.paths: 'src/../../b' climbs with ..",
        "only what is below the worker's folder is watched",
    ),
    "watch-twice": Mistake(
        "path: /a\ntype: go\nwatch: {paths: [src, ./src/]}",
        3,
        22,
        "watch.paths: 'src' is in the list twice",
        None,
    ),
    "watch-long": Mistake(
        f"path: /a\ntype: go\nwatch: {{paths: {_LONG}}}",
        3,
        16,
        f"watch.paths: {shown(_LONG)} is longer than 255 characters",
        "name a folder above it",
    ),
    "watch-many-paths": Mistake(
        f"path: /a\ntype: go\nwatch:\n  paths: [{', '.join(f'p{at:03}' for at in range(101))}]",
        4,
        611,
        "watch.paths: has 101 values",
        "a list of this kind has at most 100",
    ),
    "watch-ignores-much": Mistake(
        f"path: /a\ntype: go\nwatch:\n  ignore: [{', '.join(f'p{at:03}' for at in range(201))}]",
        4,
        1212,
        "watch.ignore: has 201 values",
        "a list of this kind has at most 200",
    ),
    "watch-ignores-a-comment": Mistake(
        "path: /a\ntype: go\nwatch: {ignore: ['*.tmp', '#*#']}",
        3,
        27,
        "watch.ignore: '#*#' is a comment in a .gitignore",
        "write '\\#*#'",
    ),
    "watch-ignores-nothing": Mistake(
        "path: /a\ntype: go\nwatch: {ignore: '!'}",
        3,
        17,
        "watch.ignore: '!' matches nothing",
        "such as *.tmp, or data/",
    ),
    "watch-ignores-two-lines": Mistake(
        'path: /a\ntype: go\nwatch: {ignore: "a\\nb"}',
        3,
        17,
        "watch.ignore: 'a\nb' has the control character 0x0a in it",
        "remove it",
    ),
    "watch-ignores-a-long-name": Mistake(
        f"path: /a\ntype: go\nwatch: {{ignore: [{_LONG}]}}",
        3,
        18,
        f"watch.ignore: {shown(_LONG)} is longer than 255 characters",
        "name a folder above it",
    ),
    "watch-all-is-live": Mistake(
        "path: /a\ntype: go\nwatch: {live: ./}",
        3,
        15,
        "watch.live: './' is all of the folder",
        "write folders and files in it: public, views",
    ),
    "watch-live-elsewhere": Mistake(
        "path: /a\ntype: go\nwatch: {live: /srv/views}",
        3,
        15,
        "watch.live: '/srv/views' is not below the worker's own folder",
        "write it from there: src",
    ),
    "watch-much-text": Mistake(
        f"path: /a\ntype: go\n{_LISTS}",
        4,
        11,
        "watch.ignore: with the other lists of watch it has 20200 characters",
        "write at most 20000: a folder stands for its files",
    ),
    "watch-debounce-for-ever": Mistake(
        "path: /a\ntype: go\nwatch: {debounce: infinity}",
        3,
        19,
        "watch.debounce: 'infinity' is more than 1min",
        "write at most 1min",
    ),
    "watch-max-wait-long": Mistake(
        "path: /a\ntype: go\nwatch: {max_wait: 11min}",
        3,
        19,
        "watch.max_wait: '11min' is more than 10min",
        "write at most 10min",
    ),
    "watch-waits-less-than-debounce": Mistake(
        "path: /a\ntype: go\nwatch: {max_wait: 50ms}",
        3,
        19,
        "watch.max_wait: 50ms is less than debounce",
        "write 100ms or more",
    ),
    "watch-of-a-word": Mistake(
        "path: /a\ntype: go\nwatch: {enabled: development}",
        3,
        18,
        "watch.enabled: 'development' is neither true nor false",
        None,
    ),
}
