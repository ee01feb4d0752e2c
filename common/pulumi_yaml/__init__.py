"""YAML as Pulumi's CLI reads it: the form of its files, whose scalars are neither YAML 1.1's nor 1.2's."""

from common.pulumi_yaml.loading import dump, load, node
from common.pulumi_yaml.scalars import decimal

__all__ = ["decimal", "dump", "load", "node"]
