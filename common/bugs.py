"""The exceptions that a bug in the code raises: people need their traceback; of any other exception the words suffice.

A `UserError` is never a bug. Errors of the machine (`OSError`) and of libraries (docker, httpx, fsspec) are neither.
"""

__all__ = ["BUGS"]

BUGS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    SyntaxError,
    TypeError,
    UnicodeError,
)
