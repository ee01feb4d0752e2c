"""Names of images, as Docker reads them."""

__all__ = ["server_of"]


def server_of(image: str) -> str:
    """Return the registry of an image's name: Docker Hub where the name's first part is no host."""
    first = image.split("/")[0]
    return first if "." in first or ":" in first or first == "localhost" else "docker.io"
