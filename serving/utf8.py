"""Makes text UTF-8 in the processes of Triton's Python models, as it is in every other Python.

Triton's Python backend embeds an interpreter that takes no locale from its environment (`PyConfig_InitIsolatedConfig`):
`open` and `print` know ASCII alone, whatever LC_ALL or PYTHONUTF8 say. Every isolated interpreter of an environment
imports this module at its start, by a line of a `.pth` file. Where the interpreter has a locale, nothing changes.
(Other interpreters leave this module out: they may look for `serving` in the script's folder first.)
"""

import io
import locale
import sys

if locale.setlocale(locale.LC_CTYPE) in ("C", "POSIX") and not sys.flags.utf8_mode:
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:  # a C library without it (glibc before 2.35)
        pass
    else:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
