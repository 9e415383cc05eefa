"""A strict reader of OpenMetrics 1.0 text, written from the specification's grammar.

https://prometheus.io/docs/specs/om/open_metrics_spec/. Timestamps and exemplars, which we never
write, are errors here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import inf

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_DESCRIPTOR = re.compile(rf"# (TYPE|UNIT|HELP) ({_NAME}) ([^\n]+)")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? ([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)", re.DOTALL)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[n"\\])*)"(,(?=.)|$)', re.DOTALL)
_ESCAPE = re.compile(r'\\([n"\\])')
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    kind: str
    unit: str = ""
    help: str = ""
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)  # (suffix, labels) -> value, in order

    def value(self, suffix: str = "", **labels: str) -> float:
        return self.samples[suffix, frozenset(labels.items())]


def read(text: bytes) -> dict[str, Family]:
    """The families of an exposition. Raises AssertionError for text that the specification does not
    allow."""
    assert not text.startswith(b"\xef\xbb\xbf"), "a byte order mark"
    lines = text.decode("utf-8").split("\n")
    assert lines[-2:] == ["# EOF", ""], "no end"
    families: dict[str, Family] = {}
    name = ""
    for line in lines[:-2]:
        if line.startswith("#"):
            name = _describe(families, name, line)
        else:
            _add(families[name], name, line)
    for name, family in families.items():
        assert not family.unit or name.endswith("_" + family.unit), f"{name}: the unit is not the end of the name"
        if family.kind == "histogram":
            _check_histogram(name, family)
    _check_clashes(families)
    return families


def _describe(families: dict[str, Family], current: str, line: str) -> str:
    match = _DESCRIPTOR.fullmatch(line)
    assert match, f"no descriptor: {line!r}"
    word, name, value = match.groups()
    if word == "TYPE":
        assert name not in families, f"{name} comes twice"
        assert value in _SUFFIXES, f"an unknown type: {value}"
        families[name] = Family(value)
        return name
    family = families[name]
    assert name == current, f"{name} is interleaved with {current}"
    assert not family.samples, f"{name} is described after its samples"
    if word == "UNIT":
        assert not family.unit and not family.help, f"{name}: the order is TYPE, UNIT, HELP, once each"
        family.unit = value
    else:
        assert not family.help, f"{name} is explained twice"
        family.help = value
    return name


def _add(family: Family, name: str, line: str) -> None:
    match = _SAMPLE.fullmatch(line)
    assert match, f"no sample: {line!r}"
    metric, labels, number = match.groups()
    assert metric.startswith(name), f"{metric} stands among the samples of {name}"
    suffix = metric.removeprefix(name)
    assert suffix in _SUFFIXES[family.kind], f"{metric}: not a sample of a {family.kind}"
    assert suffix == "_sum" or number.isdigit(), f"{metric}: a count is an integer, not {number}"
    key = suffix, read_labels(labels or "")
    assert key not in family.samples, f"twice the same labels: {line!r}"
    family.samples[key] = float(number)


def read_labels(text: str) -> Labels:
    """The labels between the braces, unescaped."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        assert match, f"no label: {text[at:]!r}"
        name, value, _ = match.groups()
        assert name not in found, f"{name} is there twice"
        assert not name.startswith("__"), f"{name} is reserved"
        found[name] = _ESCAPE.sub(lambda escape: {"n": "\n"}.get(escape[1], escape[1]), value)
        at = match.end()
    return frozenset(found.items())


def _check_histogram(name: str, family: Family) -> None:
    """Buckets rise, are cumulative and end with +Inf, which equals the count; metrics are not
    interleaved."""
    metrics: dict[Labels, list[tuple[float, float]]] = {}
    last: Labels | None = None
    for (suffix, labels), value in family.samples.items():
        own = frozenset(label for label in labels if label[0] != "le")
        assert own == last or own not in metrics, f"{name}: metrics are interleaved"
        last = own
        if suffix == "_bucket":
            bound = dict(labels)["le"]
            assert bound == "+Inf" or re.fullmatch(r"[0-9]+\.[0-9]+|[0-9](\.[0-9]+)?e[+-][0-9]{2}", bound), bound
            metrics.setdefault(own, []).append((inf if bound == "+Inf" else float(bound), value))
        else:
            assert "le" not in dict(labels)
    for own, buckets in metrics.items():
        bounds, counts = [b for b, _ in buckets], [c for _, c in buckets]
        assert bounds == sorted(set(bounds)) and bounds[-1] == inf, f"{name}: bounds {bounds}"
        assert counts == sorted(counts), f"{name}: not cumulative: {counts}"
        assert family.samples["_count", own] == counts[-1]
        assert ("_sum", own) in family.samples


def _check_clashes(families: dict[str, Family]) -> None:
    """No family may have a name that a sample of another family could have."""
    may_add = {"counter": ("_total", "_created"), "gauge": (), "histogram": ("_bucket", "_count", "_sum", "_created")}
    for name, family in families.items():
        for suffix in may_add[family.kind]:
            assert name + suffix not in families, f"{name}{suffix} is ambiguous"
