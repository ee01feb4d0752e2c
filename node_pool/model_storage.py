"""Object stores as Triton names them: it reads model repositories from S3, Google Cloud Storage and Azure itself."""

import re

__all__ = ["triton_url"]

# What fsspec reads for Azure Data Lake; Triton wants the account first.
_AZURE = re.compile(r"abfss?://(?P<container>[^@/]+)@(?P<account>[^./]+)\.dfs\.core\.windows\.net(?P<path>(/.*)?)")


def triton_url(url: str) -> str | None:
    """A registry's URL in Triton's form (`s3://`, `gs://`, `as://<account>/<container>/...`); None without one."""
    if re.match(r"(s3|gs)://[^/]+", url):
        return url
    if azure := _AZURE.fullmatch(url):
        return f"as://{azure['account']}/{azure['container']}{azure['path']}"
    return None
