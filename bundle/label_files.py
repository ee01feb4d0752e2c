"""Files with the names of classes, one a line, as Triton's classification extension reads them.

Triton takes everything up to the line feed: the carriage returns of a file from Windows become part of the labels, and
a byte order mark becomes part of the first label.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundle.bundle_types import ANY_SIZE, Tensor

_MARK = b"\xef\xbb\xbf"


def unix_lines(data: bytes) -> bytes:
    """Return a file's content without byte order mark and carriage returns."""
    return data.removeprefix(_MARK).replace(b"\r\n", b"\n")


def label_notes(data: bytes, tensor: Tensor) -> Iterator[str]:
    """Yield notes on the labels of an output; the caller puts the file's path before each."""
    if unix_lines(data) != data:
        yield "registered with Unix line ends and no byte order mark: Triton would take these for parts of labels"
    try:
        labels = unix_lines(data).decode().splitlines()
    except UnicodeDecodeError as error:
        yield f"is no UTF-8 text (byte {error.start}), and no client can read such labels in JSON; save it as UTF-8"
        return
    classes = tensor.shape[-1] if tensor.shape else ANY_SIZE
    if 1 < classes != len(labels):
        yield f"has {len(labels)} labels for the {classes} classes of '{tensor.name}'"
