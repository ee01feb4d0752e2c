import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
WRITES_ON = """
import pathlib, subprocess, sys
from common.standard_streams import keep_open
keep_open()
sys.stdin.readline()
for _ in range(3):
    print("x" * 100_000)
sys.stdout.flush()
subprocess.run(["echo", "from a child"], check=True)
pathlib.Path(sys.argv[1]).write_text("done")
"""


def test_a_command_goes_on_when_its_reader_has_gone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_ON, str(tmp_path / "file")],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        command.stdout.close()
        command.stdout = None
        _, said = command.communicate("go\n", timeout=60)
    assert (command.returncode, said) == (0, "")
    assert (tmp_path / "file").read_text() == "done"


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    shell = 'exec "$@" <&- >&- 2>&-'
    file = tmp_path / "file"
    ended = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-c", WRITES_ON, str(file)], cwd=PROJECT, check=False
    )
    assert ended.returncode == 0
    assert file.read_text() == "done"
