"""URLs of object stores in Triton's form: Triton itself reads repositories from S3, Google Cloud Storage and Azure."""

import re

__all__ = ["repository_url", "triton_url"]

# fsspec's URL of Azure Data Lake; Triton wants the account first.
_AZURE = re.compile(r"abfss?://(?P<container>[^@/]+)@(?P<account>[^./]+)\.dfs\.core\.windows\.net(?P<path>(/.*)?)")


def triton_url(url: str) -> str | None:
    """Write a registry's URL in Triton's form; None where Triton cannot read the store.

    The forms are `s3://...`, `gs://...` and `as://<account>/<container>/...`.
    """
    if re.match(r"(s3|gs)://[^/]+", url):
        return url
    if azure := _AZURE.fullmatch(url):
        return f"as://{azure['account']}/{azure['container']}{azure['path']}"
    return None


def repository_url(registry: str, name: str, content: str) -> str:
    """Return the URL of a registered bundle's model repository.

    Args:
        registry: The registry's URL in the settings: the URL that a filesystem gives back lacks Azure's account.
        name: The bundle's name.
        content: The `content` of its manifest.

    Raises:
        ValueError: Triton cannot read such a store.
    """
    url = triton_url(registry)
    if url is None:
        raise ValueError(
            f"registry {registry}: Triton reads s3://, gs:// and abfs:// with an account, and no other store"
        )
    return f"{url.rstrip('/')}/{name}/{content}/triton"
