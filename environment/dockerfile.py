"""Images as Dockerfiles: the environment's, and the service's on top of it. Pure: the same input gives the same text.

Nothing here asks for more than a classic builder can do, so engines with and without buildx build the same image. Where
packages come from is said by build arguments (`BUILD_ARGUMENTS`) in a stage of its own, so that no index and no
credential is left in the image or its history, and neither is what installed the packages. The same locks give the same
files, byte code included: it is compiled in one go, with hashes in place of times, and no import before leaves any.
(Packages may bring files that this Python cannot compile, such as tests of its syntax; pip minds them no more.)
"""

import json
from collections.abc import Mapping, Sequence

from environment.curated_clone import Environment
from environment.image_layout import ENVIRONMENT, MODELS, SERVICE, SERVING, SOURCE, USER
from environment.script_variables import model_directory, script_variables, service_version
from environment.venv import UTF8

__all__ = [
    "BUILD_ARGUMENTS",
    "CURATED_LOCK",
    "FULL_LOCK",
    "LABELS",
    "environment_dockerfile",
    "held",
    "service_dockerfile",
]

# pip's own names for where packages come from; pip takes them from a build's environment.
BUILD_ARGUMENTS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")

# The locks in the environment's build context. The curated packages are installed first: they change with a release of
# this project, the user's with a line in the settings.
CURATED_LOCK = "curated.txt"
FULL_LOCK = "packages.txt"

LABELS = "triton-serving"
_OCI = "org.opencontainers.image"


def environment_dockerfile(environment: Environment, *, base_image: str, digest: str) -> str:
    """Write the Dockerfile of an environment on a base image that has `python3`, pip and, where Triton serves, Triton.

    Its context holds `CURATED_LOCK`, `FULL_LOCK` and the folder `serving`; `digest` is theirs and the base image's.
    The virtual environment sees the base image's own packages, which Triton's Python models may need. The image
    has the curated environment's variables; those of the stack's settings may hold secrets and reach a container when
    it starts.
    """
    labels = {
        f"{_OCI}.title": environment.name,
        f"{_OCI}.version": digest[:12],
        f"{_OCI}.base.name": base_image,
        f"{LABELS}.environment": environment.name,
        f"{LABELS}.environment-digest": digest,
    }
    python = f"{ENVIRONMENT}/bin/python"
    packages = f"$({python} -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')"
    variables = {"PYTHONUNBUFFERED": "1", **environment.curated.variables}
    arguments = "\n".join(f"ARG {name}" for name in BUILD_ARGUMENTS)
    return f"""\
FROM {base_image} AS packages
USER root
RUN python3 -m venv --system-site-packages --without-pip {ENVIRONMENT} \\
 && printf '%s\\n' {SERVING} '{UTF8}' > "{packages}/serving.pth"
{arguments}
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
COPY {CURATED_LOCK} /tmp/
RUN python3 -m pip --python {python} install --quiet --no-compile --require-hashes -r /tmp/{CURATED_LOCK}
COPY {FULL_LOCK} /tmp/
RUN python3 -m pip --python {python} install --quiet --no-compile --require-hashes -r /tmp/{FULL_LOCK} \\
 && {{ {python} -m compileall -q --invalidation-mode unchecked-hash {ENVIRONMENT}/lib || true; }}

FROM {base_image}
USER root
RUN getent passwd {USER} > /dev/null || useradd --uid {USER} --create-home --shell /usr/sbin/nologin service
COPY --from=packages {ENVIRONMENT} {ENVIRONMENT}
COPY serving {SERVING}/serving
ENV PATH={ENVIRONMENT}/bin:${{PATH}}
{_variables(variables)}
{_labels(labels)}
USER {USER}:{USER}
"""


def held(name: str, version: int, digest: str) -> str:
    """How a service image's label `LABELS.models` names a registered bundle that the image holds."""
    return f"{name}:{version}@{digest}"


def service_dockerfile(
    bundles: Sequence[tuple[str, int, str]],
    *,
    environment_image: str,
    frameworks: Sequence[str],
    digest: str,
    entry_script: str | None = None,
    holds_models: bool = True,
) -> str:
    """Write the Dockerfile of a service: an environment's image, the registered bundles, the script's folder.

    `bundles` are names, versions and contents' digests.

    Its context holds `models/<name>/<version>/...`, `probe/...` and, with an entry script, `source/...`; `digest` is
    the context's. The models come before the script, which changes more often. Without `holds_models` they are
    elsewhere: Triton reads them from an object store.
    """
    labels = {
        f"{_OCI}.title": " ".join(f"{name}:{version}" for name, version, _ in bundles),
        f"{_OCI}.version": digest[:12],
        f"{LABELS}.models": ",".join(held(*bundle) for bundle in bundles),
        f"{LABELS}.model-framework": ",".join(sorted(set(frameworks))),
        f"{LABELS}.service-digest": digest,
    }
    served = [bundle[:2] for bundle in bundles]
    variables = {"AZUREML_MODEL_DIR": model_directory(MODELS, served)} if holds_models else {}
    script = ""
    if entry_script is not None:
        script = f"COPY source {SOURCE}\n"
        variables |= {**script_variables(SOURCE, entry_script), **service_version(served)}
    models = f"COPY models {MODELS}\n" if holds_models else ""
    return f"""\
FROM {environment_image}
{models}COPY probe {SERVICE}/probe
{script}{_variables(variables)}
WORKDIR {SOURCE if entry_script else SERVICE}
{_labels(labels)}
"""


def _variables(variables: Mapping[str, str]) -> str:
    return "ENV " + " ".join(f"{name}={_quoted(value)}" for name, value in variables.items()) if variables else ""


def _labels(labels: Mapping[str, str]) -> str:
    return "LABEL " + " \\\n      ".join(f"{name}={_quoted(value)}" for name, value in labels.items())


def _quoted(value: str) -> str:
    r"""Quote a value: between double quotes a Dockerfile knows variables and no `\u` escapes."""
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")
