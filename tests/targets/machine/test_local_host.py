import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = "from targets.machine.local_host import loopback_host; print(loopback_host())"
IN_ITS_OWN = ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/hosts && shift && exec "$@"', "sh"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a process another /etc/hosts")
@pytest.mark.parametrize(
    ("hosts", "host"),
    [("127.0.0.1 localhost\n", "localhost"), ("::1 localhost\n127.0.0.1 localhost\n", "localhost"),
     ("::1 localhost\n", "127.0.0.1")],
)  # fmt: skip
def test_localhost_is_used_where_it_is_ipv4(tmp_path: Path, hosts: str, host: str) -> None:
    file = tmp_path / "hosts"
    file.write_text(hosts)
    if subprocess.run([*IN_ITS_OWN, str(file), "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount another /etc/hosts")
    asked = subprocess.run(
        [*IN_ITS_OWN, str(file), sys.executable, "-c", ASK], capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == host
