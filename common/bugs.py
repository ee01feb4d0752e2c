"""Which exceptions are mistakes in code: their traceback tells most, where another exception's words are enough."""

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
