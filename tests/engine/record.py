"""Records what Pulumi's CLI makes of the goals: `python -m tests.engine.record`, with `pulumi` on PATH.

It writes `data/checkpoint-<n>.json`, and `data/preview-<n>.json` for some, without the times of a preview and without
what names folders of the machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine.state.crypto import Crypter
from tests.engine.conftest import PASSPHRASE, Stack
from tests.engine.goals import CLI_ENVIRONMENT, DATA, GOALS, PREVIEWS, declare, make_other

LEFT_OUT = {"sourcePosition", "stackTrace", "duration"}


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(item) for key, item in value.items() if key not in LEFT_OUT}
    return [_without_places(item) for item in value] if isinstance(value, list) else value


def _write(name: str, document: Any) -> None:
    text = json.dumps(_without_places(document), indent=1, ensure_ascii=False)
    (DATA / name).write_text(f"{text}\n")


def main() -> int:
    if (cli := shutil.which("pulumi")) is None:
        sys.exit("pulumi is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "things", Crypter(PASSPHRASE))
        stack.initialize()
        stack.environment |= CLI_ENVIRONMENT

        def pulumi(*command: str, fails: bool = False) -> str:
            full = [cli, *command, "--non-interactive"]
            done = subprocess.run(full, cwd=stack.folder, env=stack.environment, stdout=subprocess.PIPE, text=True)
            assert (done.returncode != 0) == fails, done
            return done.stdout

        make_other(stack)
        for number, goal in enumerate(GOALS, 1):
            declare(stack, goal)
            if number in PREVIEWS:
                document = json.loads(pulumi("preview", "--json"))
                document.pop("diagnostics", None)  # which plugins it found on PATH
                _write(f"preview-{number}.json", document)
            pulumi("up", "--yes", "--skip-preview", fails=goal.get("fails", False))
            _write(f"checkpoint-{number}.json", json.loads(stack.checkpoint.read_text()))
        print(f"recorded {len(GOALS)} goals with {pulumi('version').strip()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
