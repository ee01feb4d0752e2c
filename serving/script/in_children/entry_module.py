"""The entry script in a process that it starts: pickle looks up its functions and classes by this module's name.

The folder of this file is on `sys.path` for that, and for nothing else.
"""

import os

from serving.azure import module_names

module_names.install()
__file__ = os.path.join(os.environ["AML_APP_ROOT"], os.environ.get("AZUREML_ENTRY_SCRIPT") or "main.py")  # noqa: PTH118
with open(__file__, "rb") as _script:  # noqa: PTH123
    exec(compile(_script.read(), __file__, "exec"))
