"""Starting: flags, variables, configuration files, exit codes and logs, of both servers where both have them."""

import json
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from environment.venv import BuiltEnvironment
from targets.machine.ports import free_ports
from tests.serving import servers
from tests.serving.conftest import StartServer, start_in
from tests.serving.servers import Server
from tests.waiting import eventually

ECHO = """
import os

def init():
    print("init has been called")

def run(data):
    print("run has been called")
    return {name: os.environ.get(name) for name in ("AZUREML_MODEL_DIR", "AML_APP_ROOT", "MINE", "SERVICE_NAME")}
"""
ACCESS_LINE = re.compile(r"azmlinfsrv - POST /score\?a=1 200 \d+\.\d{3}ms \d+$", re.MULTILINE)


@pytest.fixture(params=["ours", "peer"])
def is_peer(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "peer")


@pytest.fixture
def python(is_peer: bool, script_environment: BuiltEnvironment, peer_python: Path) -> Path:
    return peer_python if is_peer else script_environment.python


def run_to_end(python: Path, arguments: list[str], folder: Path, is_peer: bool) -> subprocess.CompletedProcess[str]:
    module = "azureml_inference_server_http" if is_peer else "serving"
    return subprocess.run(
        [str(python), "-m", module, *arguments],
        cwd=folder,
        env=servers.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


BAD_ARGUMENTS = (["--port", "0"], ["--port", "x"], ["--worker_count", "0"], ["--nonsense"], [])


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS, ids=str)
def test_bad_arguments_exit_with_1(arguments: list[str], python: Path, is_peer: bool, tmp_path: Path) -> None:
    assert run_to_end(python, arguments, tmp_path, is_peer).returncode == 1


def test_an_argument_that_is_no_number_is_named(script_environment: BuiltEnvironment, tmp_path: Path) -> None:
    ended = run_to_end(script_environment.python, ["--port", "x"], tmp_path, is_peer=False)

    assert "argument --port: expected a port from 1 to 65535, received x" in ended.stderr


def test_a_configuration_file_that_is_not_there_is_refused(
    script_environment: BuiltEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "score.py").write_text(ECHO)
    arguments = ["--entry_script", "score.py", "--config_file", "nothere.json"]

    ended = run_to_end(script_environment.python, arguments, tmp_path, is_peer=False)

    assert ended.returncode == 1
    assert f"AZUREML_CONFIG_FILE: there is no file {tmp_path / 'nothere.json'}" in ended.stderr


BAD_SCRIPTS = {
    "import": ("import no_such_module", "No module named 'no_such_module'"),
    "no init": ("def run(data): pass", "no function init()"),
    "no run": ("def init(): pass", "no function run()"),
    "no argument": ("def init(): pass\ndef run(): pass", "run() needs to accept an argument for input data"),
    "any arguments": ("def init(): pass\ndef run(*data): pass", "run() cannot accept positional-only arguments"),
    "syntax": ("def init(:", "SyntaxError"),
    "not_installed": (
        "import something.inner",
        "(no installed package has 'something': add the one that does to environment.pipPackages)",
    ),
    "relative": ("from .helper import x", "(the script belongs to no package: import what lies beside it by its name"),
    "azure_core": ("from azureml.core import Workspace", "(of azureml.core, the server has Model.get_model_path alone"),
}
INIT_RAISES = "def init():\n    raise RuntimeError('no model here')\ndef run(data): pass"


@pytest.mark.parametrize("name", BAD_SCRIPTS)
def test_a_script_that_cannot_be_served_exits_with_3_and_says_why(
    name: str, python: Path, is_peer: bool, tmp_path: Path
) -> None:
    source, expected = BAD_SCRIPTS[name]
    (tmp_path / "score.py").write_text(source)
    arguments = ["--entry_script", "score.py", "--port", str(free_ports(1)[0])]

    ended = run_to_end(python, arguments, tmp_path, is_peer)

    assert ended.returncode == 3
    assert is_peer or expected in ended.stderr


def test_an_init_that_raises_exits_with_3(python: Path, is_peer: bool, tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(INIT_RAISES)
    arguments = ["--entry_script", "score.py", "--port", str(free_ports(1)[0])]

    ended = run_to_end(python, arguments, tmp_path, is_peer)

    assert ended.returncode == 3
    assert "no model here" in ended.stdout + ended.stderr


def test_an_asynchronous_run_that_the_text_does_not_show_is_refused(
    script_environment: BuiltEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "other.py").write_text("async def run(data): return 1")
    (tmp_path / "score.py").write_text("from other import run\ndef init(): pass")

    ended = run_to_end(script_environment.python, ["--entry_script", "score.py"], tmp_path, is_peer=False)

    assert ended.returncode == 3
    assert "score.py: run() is asynchronous, which its text does not show" in ended.stderr
    assert "Write `async def run(data)` in it" in ended.stderr


@pytest.mark.parametrize("preload", ["yes", "0"])
def test_an_asynchronous_init_of_a_synchronous_script_is_awaited(preload: str, start: StartServer) -> None:
    source = """
    import asyncio

    async def init():
        global model
        await asyncio.sleep(0.01)
        model = "loaded"

    def run(data):
        return model
    """
    variables = {"WORKER_PRELOAD": preload, "AZUREML_LOG_LEVEL": "WARN", "SERVER_VERSION_LOG_RESPONSE_ENABLED": "0"}
    server = start(source, variables=variables)

    answer = server.score()

    assert answer.json() == "loaded"
    assert "x-ms-server-version" not in answer.headers
    assert server.stdout.endswith("/score\n\n")  # the settings, as they are at the start, and no line of a request


def test_the_traceback_of_init_is_the_scripts_own(script_environment: BuiltEnvironment, tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(INIT_RAISES)

    ended = run_to_end(script_environment.python, ["--entry_script", "score.py"], tmp_path, is_peer=False)

    script = tmp_path / "score.py"
    assert "User's init function failed:\nTraceback (most recent call last):\n" in ended.stderr
    assert f'File "{script}", line 2, in init' in ended.stderr
    assert "serving/script/boot.py" not in ended.stderr


def test_the_files_of_the_model_folder_are_shown_when_init_fails(
    script_environment: BuiltEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "score.py").write_text("def init():\n    open('model')\ndef run(data): pass")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "other.onnx").touch()

    ended = run_to_end(
        script_environment.python, ["--entry_script", "score.py", "--model_dir", "models"], tmp_path, is_peer=False
    )

    assert "other.onnx" in ended.stdout


def test_flags_and_variables_reach_the_script(python: Path, is_peer: bool, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = start_in(
            stack,
            python,
            tmp_path,
            ECHO,
            peer=is_peer,
            flags=["--model_dir", "models", "--worker_count", "2", "--access_control_allow_origins", "a.example"],
            variables={"MINE": "1"},
        )

        assert server.score().json() == {
            "AZUREML_MODEL_DIR": "models",
            "AML_APP_ROOT": str(server.folder),
            "MINE": "1",
            "SERVICE_NAME": None,
        }


def test_a_request_writes_an_access_line_and_print_a_log_line(python: Path, is_peer: bool, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = start_in(stack, python, tmp_path, ECHO, peer=is_peer)
        servers.HTTP.post(server.url + "/score?a=1", content="{}")
        eventually(lambda: ACCESS_LINE.search(server.stdout), "the access line")

        assert "azmlinfsrv.print - init has been called" in server.stdout
        assert "azmlinfsrv.print - run has been called" in server.stdout


def test_a_logging_json_beside_the_script_replaces_the_logs(python: Path, is_peer: bool, tmp_path: Path) -> None:
    configuration = {
        "version": 1,
        "formatters": {"mine": {"format": "MINE %(name)s %(message)s"}},
        "handlers": {"mine": {"class": "logging.StreamHandler", "formatter": "mine", "stream": "ext://sys.stdout"}},
        "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["mine"], "propagate": False}},
    }
    with ExitStack() as stack:
        files = {"logging.json": json.dumps(configuration)}
        server = start_in(stack, python, tmp_path, ECHO, peer=is_peer, files=files)
        server.score()

        eventually(lambda: "MINE azmlinfsrv POST /score 200" in server.stdout, "the access line")


def test_azures_own_logging_json_works(start: StartServer, peer_python: Path) -> None:
    (path,) = peer_python.parents[1].glob("lib/python*/site-packages/azureml_inference_server_http/logging.json")
    server = start(ECHO, files={"logging.json": path.read_text()})
    server.score()

    eventually(lambda: "azmlinfsrv - POST /score 200" in server.stdout, "the access line")


def test_a_source_directory_is_on_the_path(python: Path, is_peer: bool, tmp_path: Path) -> None:
    folder = tmp_path / ("peer" if is_peer else "ours")
    (folder / "library").mkdir(parents=True)
    (folder / "library" / "beside.py").write_text("NAME = 'beside'")
    source = "import beside\ndef init(): pass\ndef run(data): return beside.NAME"
    variables = {"AZUREML_SOURCE_DIRECTORY": "library", "AML_APP_ROOT": str(folder)}
    with ExitStack() as stack:
        assert start_in(stack, python, tmp_path, source, peer=is_peer, variables=variables).score().json() == "beside"


def test_a_generated_driver_calls_the_scripts_own_run(python: Path, is_peer: bool, tmp_path: Path) -> None:
    driver = """
    import users as driver_module

    def init():
        driver_module.init()

    def run(raw, request_headers):
        raise RuntimeError("the driver's own run() is not called")
    """
    users = "def init(): pass\ndef run(data): return {'users': data}"
    with ExitStack() as stack:
        server = start_in(stack, python, tmp_path, driver, peer=is_peer, files={"users.py": users})

        assert server.score("1").json() == {"users": "1"}


def test_a_config_json_beside_the_script_is_read(python: Path, is_peer: bool, tmp_path: Path) -> None:
    with ExitStack() as stack:
        files = {"config.json": '{"SERVICE_NAME": "from config.json"}'}
        server = start_in(stack, python, tmp_path, ECHO, peer=is_peer, files=files)

        assert server.get("/swagger.json").json()["info"]["title"] == "from config.json"


def test_a_configuration_file_gives_what_the_environment_does_not(python: Path, is_peer: bool, tmp_path: Path) -> None:
    title = '{"SERVICE_NAME": "from the file", "SERVICE_VERSION": "9"}'
    with ExitStack() as stack:
        server = start_in(
            stack,
            python,
            tmp_path,
            ECHO,
            peer=is_peer,
            flags=["--config_file", "settings.json"],
            files={"settings.json": title},
            variables={"SERVICE_VERSION": "2"},
        )

        information = server.get("/swagger.json").json()["info"]
        assert (information["title"], information["version"]) == ("from the file", "2")


def test_a_users_own_description_is_served(python: Path, is_peer: bool, tmp_path: Path) -> None:
    with ExitStack() as stack:
        files = {"swagger2.json": '{"mine": 2}', "swagger3.json": '{"mine": 3}'}
        server = start_in(stack, python, tmp_path, ECHO, peer=is_peer, files=files)

        for version in (2, 3):
            assert server.get(f"/swagger.json?version={version}").json() == {"mine": version}


ORIGINS = [
    ("POST", "https://a.example"),
    ("OPTIONS", "https://a.example"),
    ("POST", "https://b.example"),
    ("GET", "https://A.EXAMPLE"),
]


def test_cross_origin_requests_are_answered_alike(
    script_environment: BuiltEnvironment, peer_python: Path, tmp_path: Path
) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-b, x-a"}
    found = []
    for peer, interpreter in ((False, script_environment.python), (True, peer_python)):
        with ExitStack() as stack:
            variables = {"AML_CORS_ORIGINS": "https://a.example, https://c.example"}
            server = start_in(stack, interpreter, tmp_path, ECHO, peer=peer, variables=variables)
            answers = [
                servers.HTTP.request(method, server.url + "/score", headers={**asked, "Origin": origin})
                for method, origin in ORIGINS
            ]
            found.append(
                [
                    {name: value for name, value in answer.headers.items() if name.startswith(("access-", "vary"))}
                    for answer in answers
                ]
            )

    ours, peers = found
    assert ours == peers
    assert ours[1]["access-control-allow-methods"] == "GET, POST"


def test_settings_are_refused_all_at_once(script_environment: BuiltEnvironment, tmp_path: Path) -> None:
    (tmp_path / "score.py").touch()

    ended = subprocess.run(
        [str(script_environment.python), "-m", "serving", "--entry_script", "score.py"],
        cwd=tmp_path,
        env=servers.environment({"WORKER_COUNT": "many", "SCORING_TIMEOUT_MS": "-1", "AZUREML_LOG_LEVEL": "verbose"}),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 1
    assert "WORKER_COUNT: expected a whole number above zero, received 'many'" in ended.stderr
    assert "AZUREML_LOG_LEVEL: expected one of DEBUG, INFO" in ended.stderr
    assert "SCORING_TIMEOUT_MS: expected a number of milliseconds above zero, received '-1'" in ended.stderr


def test_a_port_in_use_is_refused(start: StartServer, script_environment: BuiltEnvironment, tmp_path: Path) -> None:
    server: Server = start(ECHO)

    ended = run_to_end(
        script_environment.python,
        ["--entry_script", str(server.folder / "score.py"), "--port", str(server.port)],
        tmp_path,
        is_peer=False,
    )

    assert ended.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{server.port}: Address already in use." in ended.stderr


def test_the_start_shows_the_settings_as_azures_server_does_and_no_secret(
    script_environment: BuiltEnvironment, peer_python: Path, tmp_path: Path
) -> None:
    variables = {"WORKER_TIMEOUT": "20", "AML_CORS_ORIGINS": "https://a", "AML_APP_INSIGHTS_KEY": "hidden"}
    secret = {"COLLECT_URL": "memory://user:hidden@host/folder?token=hidden", "TRITON_HTTP_URL": "http://u:hidden@h:1"}
    with ExitStack() as stack:
        peer = start_in(stack, peer_python, tmp_path, ECHO, peer=True, variables=variables)
        ours = start_in(stack, script_environment.python, tmp_path, ECHO, variables=variables | secret, wait=False)
        eventually(lambda: "/score\n" in ours.stdout, "the settings")  # there is no such Triton, for which it waits

    wanted, found = settings_in(peer.stdout), settings_in(ours.stdout)

    assert found.keys() >= wanted.keys() - {"Application Insights Key"}
    for name in ("Model Directory", "Worker Count", "Worker Timeout (seconds)", "Application Insights Enabled"):
        assert found[name] == wanted[name]
    assert (found["Server Port"], found["Entry Script Name"]) == (str(ours.port), str(ours.folder / "score.py"))
    assert (found["Data Collection"], found["Triton"]) == ("memory://host/folder", "http://h:1")
    assert f"Score:          POST  127.0.0.1:{ours.port}/score" in ours.stdout
    assert "hidden" not in ours.stdout


@pytest.mark.parametrize("content", ["[]", '[["swagger", "2.0"]]', '"text"', "5", "null", "{", "[" * 100_000])
def test_a_description_that_is_no_object_is_refused(
    content: str, script_environment: BuiltEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "score.py").write_text(ECHO)
    (tmp_path / "swagger2.json").write_text(content)
    port = free_ports(1)[0]
    arguments = ["--entry_script", "score.py", "--port", str(port)]
    ended = run_to_end(script_environment.python, arguments, tmp_path, is_peer=False)

    assert ended.returncode == 3
    assert f"{tmp_path}/swagger2.json: expected a description of the service as a JSON object" in ended.stderr
    assert "Traceback" not in ended.stderr


def settings_in(log: str) -> dict[str, str]:
    """Read the settings that a server shows when it starts."""
    block = log.partition("Server Settings\n---------------\n")[2].partition("\n\n")[0]
    return dict(line.split(": ", 1) for line in block.splitlines())
