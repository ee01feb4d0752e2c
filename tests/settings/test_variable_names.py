"""A folder among the variables starts where every path does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from settings.schema import Settings
from settings.variable_names import served_variables


@pytest.mark.parametrize(
    ("url", "served"),
    [
        ("collected", "PROJECT/collected"),
        ("../collected", "PARENT/collected"),
        ("/abs/collected", "/abs/collected"),
        ("file://collected", "PROJECT/collected"),
        ("~/collected", "HOME/collected"),
        ("s3://bucket/collected", "s3://bucket/collected"),
    ],
)
def test_collected_data_go_where_a_path_of_the_settings_would(
    settings_of: Callable[..., Settings], project: Path, url: str, served: str
) -> None:
    for word, place in (("PROJECT", project), ("PARENT", project.parent), ("HOME", Path.home())):
        served = served.replace(word, str(place))
    settings = settings_of({"environment": {"variables": {"COLLECT_URL": url, "A": "b"}}})
    assert served_variables(settings) == {"COLLECT_URL": served, "A": "b"}
