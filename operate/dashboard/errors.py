"""What is wrong with a request of the form."""

from targets.errors import ServiceError

__all__ = ["FormError"]


class FormError(ServiceError):
    """The form asks for what nobody can send: the page's server answers 400, and the front door is not asked."""
