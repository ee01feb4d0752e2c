"""Files with the names of classes, one a line, as Triton's classification extension reads them.

Triton takes a line as it is, up to the line feed: the carriage return of a file from Windows becomes a part of every
label, a byte order mark a part of the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundle.bundle_types import ANY_SIZE, Tensor

_MARK = b"\xef\xbb\xbf"


def unix_lines(data: bytes) -> bytes:
    """A file's content without a byte order mark and with line feeds alone."""
    return data.removeprefix(_MARK).replace(b"\r\n", b"\n")


def label_notes(data: bytes, tensor: Tensor) -> Iterator[str]:
    """What a reader should know of the labels of an output; each text follows a path."""
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
