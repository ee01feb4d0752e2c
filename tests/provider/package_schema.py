"""Write the snapshot of the package's schema anew: `python -m tests.provider.package_schema`."""

from pathlib import Path

from components.construct import COMPONENTS
from provider.package_schema import schema
from provider.server import VERSION

SNAPSHOT = Path(__file__).with_name("schema.json")

if __name__ == "__main__":
    SNAPSHOT.write_text(schema(VERSION, COMPONENTS) + "\n")
