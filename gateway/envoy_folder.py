"""Write rendered files to the folder that Envoy reads: each atomically, in an order that is safe at every step."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from common.atomic_files import write_whole
from common.waiting import Cancelled
from gateway.admin import Admin, AdminError
from gateway.envoy_files import BOOTSTRAP_FILE, SECRET_FILES, version

# A file comes after everything that it refers to: the listener after keys and certificate, clusters after endpoints,
# routes after clusters. A client's key opens the door once the routes know what the client may ask for. The keys come
# first where they are the first ones, without which no door opens, and where they shut clients out.
_KEYS = "keys.json"
_ORDER = ("tls.json", "endpoints.", "clusters.json", "routes.json", _KEYS, "listeners.json", BOOTSTRAP_FILE)


def replace(directory: Path, files: Mapping[str, str], admin: Admin | None = None) -> list[str]:
    """Write some of the rendered files, each atomically, and leave the others alone.

    Args:
        directory: The folder that Envoy reads. A missing one is made, for the owner only.
        files: The rendered texts by file name.
        admin: The Envoy that reads the folder, if it runs. Each file that Envoy reads already must be in use before the
            next one is written. A file that is new to Envoy is in place before a later one refers to it.

    Returns:
        The names of the files whose content changed, in the order of writing. A changed bootstrap needs a restart.

    Raises:
        AdminError: Envoy refused a file, or did not take it in time. The previous file is back in its place, so that
            a restarted Envoy serves as this one does.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    changed = []
    known = _names_in(directory / _KEYS)
    order = _ORDER if known and not known > _names(files.get(_KEYS, "")) else (_KEYS, *_ORDER)
    for name in sorted(files, key=lambda name: _rank(name, order)):
        path = directory / name
        before = path.read_text() if path.exists() else None
        if before == files[name]:
            continue
        # Envoy does not read a new file yet, but its counters may still know an old file of that name.
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


def exchange(directory: Path, files: Mapping[str, str], admin: Admin | None = None) -> list[str]:
    """Write rendered files, clusters.json among them, and leave the others alone.

    A cluster that goes away stays until the new routes are in use, so that Envoy never has a route to a missing
    cluster. Arguments, result and errors are those of `replace`.
    """
    clusters = directory / "clusters.json"
    steps = dict(files)
    if clusters.exists():
        steps["clusters.json"] = _with_clusters_of(clusters.read_text(), files["clusters.json"])
    changed = replace(directory, steps, admin)
    return changed + replace(directory, {"clusters.json": files["clusters.json"]}, admin)


def install(directory: Path, files: Mapping[str, str], admin: Admin | None = None) -> list[str]:
    """Write the whole set of rendered files as `exchange` does, and delete files of an earlier set that it lacks."""
    changed = exchange(directory, files, admin)
    for path in directory.glob("*.json"):
        if _rank(path.name)[0] < len(_ORDER) and path.name not in files:
            path.unlink()
            changed.append(path.name)
    return list(dict.fromkeys(changed))


def has_clusters_of(directory: Path, files: Mapping[str, str]) -> bool:
    """Tell whether the folder's clusters have the names that those of rendered files have."""
    path = directory / "clusters.json"
    return path.exists() and _cluster_names(path.read_text()) == _cluster_names(files["clusters.json"])


def _cluster_names(clusters: str) -> set[str]:
    return {cluster["name"] for cluster in json.loads(clusters)["resources"]}


def _rank(name: str, order: tuple[str, ...] = _ORDER) -> tuple[int, str]:
    return next((rank for rank, prefix in enumerate(order) if name.startswith(prefix)), len(order)), name


def _names_in(keys: Path) -> set[str]:
    return _names(keys.read_text()) if keys.exists() else set()


def _names(keys: str) -> set[str]:
    """Find the clients that a file of keys knows."""
    return set(re.findall(r'"action": \{"name": "([^"]*)"', keys))


def _with_clusters_of(old_text: str, new_text: str) -> str:
    """Return the new clusters together with the old ones that the new ones lack; the old text where that is all."""
    old, new = json.loads(old_text), json.loads(new_text)
    names = _cluster_names(new_text)
    kept = [cluster for cluster in old["resources"] if cluster["name"] not in names]
    if not kept:
        return new_text
    if all(cluster in old["resources"] for cluster in new["resources"]):
        return old_text
    new["resources"] += kept
    new["version_info"] += "+" + old["version_info"]
    return json.dumps(new, indent=2) + "\n"


def _move_into_place(path: Path, text: str) -> None:
    write_whole(path, text, mode=0o600 if path.name in SECRET_FILES else 0o644)
