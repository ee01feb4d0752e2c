"""Writing rendered files where Envoy reads them: each atomically, in an order that is safe at every step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from common.files import write_whole
from common.waiting import Cancelled
from gateway.admin import Admin, AdminError
from gateway.config import BOOTSTRAP_FILE, SECRET_FILES, version

# What a file refers to comes before it: keys and certificate before the listener that uses them, endpoints before
# clusters, clusters before routes.
_ORDER = ("keys.json", "tls.json", "endpoints.", "clusters.json", "routes.json", "listeners.json", BOOTSTRAP_FILE)


def replace(directory: Path, files: Mapping[str, str], admin: Admin | None = None) -> list[str]:
    """Write some of the rendered files, each atomically, and leave the others alone.

    Args:
        directory: The folder that Envoy reads; made (owner only) where it is missing.
        files: File name to text, as rendered.
        admin: The Envoy that reads the folder, if it runs: each file that it reads already is in use before the next
            one is written. Files that it does not know yet are there when a later one refers to them.

    Returns:
        Names of the files whose content changed, in the order of writing. A changed bootstrap asks for a restart.

    Raises:
        admin.AdminError: Envoy refused a file, or did not take it in time. The file of before is back in its place, so
            that an Envoy that starts again serves as this one does.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    changed = []
    for name in sorted(files, key=_rank):
        path = directory / name
        before = path.read_text() if path.exists() else None
        if before == files[name]:
            continue
        # A file that was not there is not read yet, though Envoy may still count one of that name of long ago.
        read = admin.rejections() if admin is not None and before is not None else {}
        _move_into_place(path, files[name])
        if admin is not None and before is not None and name in read:
            try:
                admin.await_taken(name, version(files[name]), read[name])
            except (AdminError, Cancelled):
                _move_into_place(path, before)
                raise
        changed.append(name)
    return changed


def install(directory: Path, files: Mapping[str, str], admin: Admin | None = None) -> list[str]:
    """Write the whole set of rendered files, and delete those of an earlier set that it no longer has.

    Where clusters go away, they stay until the new routes are in use, so that Envoy never sees a route to a cluster
    that is not there. Arguments and result as in `replace`.
    """
    clusters = directory / "clusters.json"
    steps = dict(files)
    if clusters.exists():
        steps["clusters.json"] = _with_clusters_of(clusters.read_text(), files["clusters.json"])
    changed = replace(directory, steps, admin)
    changed += replace(directory, {"clusters.json": files["clusters.json"]}, admin)
    for path in directory.glob("*.json"):
        if _rank(path.name)[0] < len(_ORDER) and path.name not in files:
            path.unlink()
            changed.append(path.name)
    return list(dict.fromkeys(changed))


def _rank(name: str) -> tuple[int, str]:
    return next((rank for rank, prefix in enumerate(_ORDER) if name.startswith(prefix)), len(_ORDER)), name


def _with_clusters_of(old_text: str, new_text: str) -> str:
    """The new clusters, and those of the old ones that the new ones lack."""
    old, new = json.loads(old_text), json.loads(new_text)
    names = {cluster["name"] for cluster in new["resources"]}
    kept = [cluster for cluster in old["resources"] if cluster["name"] not in names]
    if not kept:
        return new_text
    new["resources"] += kept
    new["version_info"] += "+" + old["version_info"]
    return json.dumps(new, indent=2) + "\n"


def _move_into_place(path: Path, text: str) -> None:
    write_whole(path, text, mode=0o600 if path.name in SECRET_FILES else 0o644)
