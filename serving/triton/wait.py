"""The wait for Triton before init(), so that both may start at the same time, in any order."""

from __future__ import annotations

import logging

from serving.front.operations import triton_spec
from serving.probing import probe
from serving.settings import Settings

logger = logging.getLogger("azmlinfsrv")


def wait(settings: Settings) -> None:
    """Wait until Triton and the models named by TRITON_MODELS are ready, for TRITON_WAIT_SECONDS at most.

    Afterwards the log names the models that are missing, and init() runs all the same: it knows best what it needs.
    """
    spec = triton_spec(settings)
    if spec is None:
        return
    logger.info("Waiting for Triton at %s, for %s s at most", settings.triton_url, settings.triton_wait)
    for problem in probe.wait(spec, settings.triton_wait):
        logger.warning("Triton is not ready: %s", problem)
