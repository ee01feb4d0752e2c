"""The stack's settings: one typed tree, read from the stack's file and checked whole before anything is declared."""

from settings.errors import SettingsError
from settings.load import load, read_stack_file
from settings.schema import Settings

__all__ = ["Settings", "SettingsError", "load", "read_stack_file"]
