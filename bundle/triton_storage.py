"""Object stores as Triton names them: it reads model repositories from S3, Google Cloud Storage and Azure itself."""

import re

__all__ = ["repository_url", "triton_url"]

# What fsspec reads for Azure Data Lake; Triton wants the account first.
_AZURE = re.compile(r"abfss?://(?P<container>[^@/]+)@(?P<account>[^./]+)\.dfs\.core\.windows\.net(?P<path>(/.*)?)")


def triton_url(url: str) -> str | None:
    """A registry's URL in Triton's form (`s3://`, `gs://`, `as://<account>/<container>/...`); None without one."""
    if re.match(r"(s3|gs)://[^/]+", url):
        return url
    if azure := _AZURE.fullmatch(url):
        return f"as://{azure['account']}/{azure['container']}{azure['path']}"
    return None


def repository_url(registry: str, name: str, content: str) -> str:
    """Triton's model repository of a registered bundle; `content` is its manifest's.

    From the registry's URL as the settings have it: the one that a filesystem gives back has lost Azure's account.

    Raises `ValueError` where Triton cannot read such a store.
    """
    url = triton_url(registry)
    if url is None:
        raise ValueError(
            f"registry {registry}: Triton reads s3://, gs:// and abfs:// with an account, and no other store"
        )
    return f"{url.rstrip('/')}/{name}/{content}/triton"
