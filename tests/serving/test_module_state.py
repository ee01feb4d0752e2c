"""Scripts whose text shows that one run() may find values of another in the module's variables, and others."""

from pathlib import Path

import pytest

from serving.script import module_state
from tests.serving.servers import PROJECT

KEPT = {
    "global": "def run(data):\n    global last\n    last = data",
    "global in a function that run() calls": "def note(d):\n    global last\n    last = d\ndef run(data): note(data)",
    "global in a function inside": "def run(data):\n    def note():\n        global last\n        last = data",
    "an item": "cache = {}\ndef run(data): cache[data] = 1",
    "an attribute of what init() made": "def init():\n    global it\n    it = 1\ndef run(data): it.input = data",
    "a part of a part": "found = []\ndef run(data): found[0].last += 1",
    "a loop's variable": "def run(data):\n    global part\n    for part in data: pass",
    "a deletion": "cache = {}\ndef run(data): del cache[data]",
    "a method": "calls = {}\nclass Model:\n    def ask(self): calls['n'] = 1\ndef run(data): Model().ask()",
}
FREE = {
    "nothing": "def run(data): return data",
    "init() alone": "def init():\n    global client\n    client = 1\ndef run(data): return client",
    "what init() calls": "def load():\n    global client\n    client = 1\ndef init(): load()\ndef run(data): pass",
    "a variable of its own": "last = 0\ndef run(data):\n    last = {}\n    last['a'] = data",
    "an argument": "data = {}\ndef run(data): data['a'] = 1",
    "a read": "cache = {}\ndef run(data):\n    global cache\n    return cache[data].name",
    "another module's": "import os\ndef run(data): os.environ['A'] = data",
    "no Python": "def run(",
}


@pytest.mark.parametrize("name", KEPT)
def test_state_is_seen(name: str, tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(KEPT[name])

    assert module_state.is_kept_by(tmp_path / "score.py")


@pytest.mark.parametrize("name", FREE)
def test_what_is_no_state_is_not_taken_for_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(FREE[name])

    assert not module_state.is_kept_by(tmp_path / "score.py")


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "examples" / "scripts").glob("score_*.py")), ids=lambda path: path.stem
)
def test_the_examples_keep_none(path: Path) -> None:
    assert not module_state.is_kept_by(path)
