"""Images' names, as Docker reads them."""

__all__ = ["server_of"]


def server_of(image: str) -> str:
    """The registry that an image's name belongs to: Docker Hub where its first part is no host."""
    first = image.split("/")[0]
    return first if "." in first or ":" in first or first == "localhost" else "docker.io"
