"""A script that computes for as many seconds as it is told, and gives the processor no rest."""

import json
import time


def init():
    pass


def run(data):
    until = time.monotonic() + json.loads(data)
    while time.monotonic() < until:
        sum(range(1000))
