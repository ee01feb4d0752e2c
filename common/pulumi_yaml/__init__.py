"""YAML as Pulumi's CLI reads and writes it: its scalars follow neither YAML 1.1 nor YAML 1.2."""

from common.pulumi_yaml.loading import dump, load, node
from common.pulumi_yaml.scalars import decimal

__all__ = ["decimal", "dump", "load", "node"]
