"""What becomes of Triton when a model's process dies: it ends, and whoever keeps it running starts it again.

ONNX Runtime in C++ is a part of Triton's process and takes it along when it crashes. The process of a Python-based
backend dies alone, of a fault in an operator or for want of memory: Triton calls the model ready ever after, and
answers each request to it with "Stub process ... is not healthy".
"""

import os
import subprocess

__all__ = ["Watch"]

# It waits for the end of its input. Triton may finish what other models have; one that is busy too long is killed.
_WATCH = 'read -r told || { kill -TERM "$1"; sleep 5; kill -KILL "$1"; } 2>/dev/null'


class Watch:
    """A shell that ends Triton, this process's parent, when this process ends without a word."""

    def __init__(self) -> None:
        command = ["/bin/sh", "-c", _WATCH, "watch", str(os.getppid())]
        self._shell = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def end(self) -> None:
        """Let Triton be: this process ends as it should."""
        self._shell.communicate(b"\n")
