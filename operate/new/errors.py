"""The error of `make new`."""

from common.errors import UserError

__all__ = ["NewStackError"]


class NewStackError(UserError):
    """No stack can be written for a model, or something is in its place; nothing was written."""
