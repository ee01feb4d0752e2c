"""What Pulumi's server of dynamic providers says of a failure: the exception's words, and not its traceback."""

import subprocess
import sys
import textwrap

import pytest

# Runs the SDK's own server up to where it would serve, and lets it format an exception.
ASK = """
import runpy, sys
import grpc

def serve(*_args, **_options):
    import components.providers.base
    server = sys.modules["__main__"]
    try:
        try:
            raise OSError("refused")
        except OSError as error:
            raise {raised} from error
    except Exception:
        print(vars(server)["traceback"].format_exc())
    sys.exit()

grpc.server = serve
runpy.run_module("pulumi.dynamic.__main__", run_name="__main__", alter_sys=True)
"""


def told(project, raised):
    script = textwrap.dedent(ASK).format(raised=raised)
    done = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("raised", "whole"),
    [
        ("RuntimeError('the new replicas are not ready\\n  scorer ended')", False),
        ("KeyError('a mistake of ours')", True),
        ("OSError()", True),
    ],
)
def test_a_failure_is_its_reason_and_a_mistake_of_ours_its_traceback(request, raised, whole):
    text = told(request.config.rootpath, raised)
    assert ("Traceback" in text) == whole, text
    assert whole or text == "the new replicas are not ready\n  scorer ended\n"
