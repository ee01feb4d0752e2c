"""The model that the benchmark's scripts serve: its name, its file and its tensors, from the environment."""

import os

MODEL = os.environ["BENCHMARK_MODEL"]
FILE = os.environ["BENCHMARK_FILE"]
INPUT = os.environ["BENCHMARK_INPUT"]
OUTPUT = os.environ["BENCHMARK_OUTPUT"]
SHAPE = [int(size) for size in os.environ["BENCHMARK_SHAPE"].split(",")]
TRITON = f"localhost:{os.environ['TRITON_HTTP_PORT']}"
