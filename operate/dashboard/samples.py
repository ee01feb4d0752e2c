"""The metrics of the front door and of Triton, read from Prometheus's text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Sample", "Samples"]

_Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sample:
    """A series of a metric: its labels, and its value or what was added to it."""

    labels: Mapping[str, str]
    value: float

    def label(self, name: str) -> str:
        """Give the value of a label, "" where the series has no such label."""
        return self.labels.get(name, "")


@dataclass(frozen=True)
class Samples:
    """All samples of one moment, or what was added between two.

    Attributes:
        seconds: The moment, by a clock that never goes back; or the time between two.
        series: The series of each metric, by their labels.
    """

    seconds: float
    series: Mapping[str, Mapping[_Key, Sample]] = field(default_factory=dict)

    @classmethod
    def read(cls, seconds: float, *texts: str) -> Samples:
        """Read texts in Prometheus's format.

        Raises:
            ValueError: A text is in no such format.
        """
        series: dict[str, dict[_Key, Sample]] = {}
        for text in texts:
            for family in text_string_to_metric_families(text):
                for found in family.samples:
                    # The parser gives each counter the ending that OpenMetrics asks for; neither server writes it.
                    name = family.name if family.type == "counter" else found.name
                    key = tuple(sorted(found.labels.items()))
                    series.setdefault(name, {})[key] = Sample(found.labels, found.value)
        return cls(seconds, series)

    def of(self, name: str) -> list[Sample]:
        """Give the series of a metric; none where nobody counts it."""
        return list(self.series.get(name, {}).values())

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], list[Sample]]:
        """Give the series of a metric in groups, by the values of some labels, in order."""
        groups: dict[tuple[str, ...], list[Sample]] = {}
        for sample in self.of(name):
            groups.setdefault(tuple(map(sample.label, labels)), []).append(sample)
        return dict(sorted(groups.items()))

    def since(self, before: Samples) -> Samples:
        """Give what was added to each counter and histogram since `before`.

        A series that went back began anew, be it with a server or after Envoy forgot it: all that it has was added.
        """
        return Samples(
            self.seconds - before.seconds,
            {name: _added(series, before.series.get(name, {})) for name, series in self.series.items()},
        )


def _added(series: Mapping[_Key, Sample], old: Mapping[_Key, Sample]) -> dict[_Key, Sample]:
    def before(key: _Key) -> float:
        return old[key].value if key in old else 0

    # The buckets of a histogram begin anew together, and not each of them shows it.
    anew = {_without_bound(key) for key, sample in series.items() if sample.value < before(key)}
    return {
        key: Sample(sample.labels, sample.value - (0 if _without_bound(key) in anew else before(key)))
        for key, sample in series.items()
    }


def _without_bound(key: _Key) -> _Key:
    return tuple(label for label in key if label[0] != "le")
