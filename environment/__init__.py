"""Environments, in which entry scripts and Triton's Python backends run.

curated.yaml ─► Environment.get("AzureML-Triton").clone("My-Triton").add_pip_package("nltk")
                     │
                     ├─► venv.build                                a virtual environment of this machine
                     └─► build_context.environment_context         the context of an image
"""
