"""The recorder: a sample of the requests to Triton, kept for the replay of a later version."""

from pydantic import Field, PositiveFloat, PositiveInt

from settings.group import Group

__all__ = ["RecordRequests"]


class RecordRequests(Group):
    """A sample of the requests to Triton, HTTP and unary gRPC, that is written to COLLECT_URL."""

    sample: PositiveFloat = Field(default=0.1, le=1, description="the share of the requests that is recorded")
    max_megabytes: PositiveInt = Field(
        default=100,
        ge=16,
        description="of all files together; the oldest go first. A request larger than a sixteenth of it, or than "
        "8 MB, is left out",
    )
