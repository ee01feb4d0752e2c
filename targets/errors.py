"""What goes wrong with a service, in words for people."""

from common.errors import UserError
from common.redaction import redacted

__all__ = ["ServiceError"]


class ServiceError(UserError):
    """A service that could not be changed, measured or removed; its text is meant for people.

    Logs are quoted in it: credentials in their URLs are not.
    """

    def __init__(self, text: str) -> None:
        super().__init__(redacted(text))
