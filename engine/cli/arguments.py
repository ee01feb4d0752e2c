"""The command line: the CLI's verbs and flags, as far as this engine has them."""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import NoReturn

from engine.errors import CLI_HINT, EngineError, UsageError

_PROGRAM = "python -m engine "
_PARALLEL = 4 * (os.cpu_count() or 1)


class _Parser(ArgumentParser):
    """Refuses what it does not know with one line that says where to find it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. If it is not a slip: {CLI_HINT[0].lower()}{CLI_HINT[1:]}")


class _ConfigParser(_Parser):
    """Takes a verb's words wherever they stand among its flags, as the CLI does.

    What is not understood is not repeated: it may be the secret that was to be set, and errors are kept in logs.
    """

    optional = False
    """Whether a value may follow the key."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        # argparse ends an optional word where the first flag stands: so it gets the flags alone.
        given = list(args or ())
        end = given.index("--") if "--" in given else len(given)
        found, rest = super().parse_known_args(given[:end], namespace)
        if any(word.startswith("-") and word != "-" for word in rest):
            self._refuse("a flag is not known; what begins with '-' and is no flag goes behind '--'")
        words = rest + given[end + 1 :]
        if not 1 <= len(words) <= 1 + self.optional:
            expected = "a key and at most one value" if self.optional else "one key"
            self._refuse(f"expected {expected}, found {len(words)} words")
        found.key, found.value = (*words, None)[:2]
        return found, []

    def error(self, message: str) -> NoReturn:
        self._refuse(f"{message.partition(': ')[0]} is not as expected")

    def _refuse(self, what: str) -> NoReturn:
        super().error(f"{self.prog.removeprefix(_PROGRAM)}: {what}")


def _lazily(module: str, function: str) -> Callable[[Namespace], None]:
    """Return the verb's function, imported when it is called: most verbs need neither gRPC nor encryption."""

    def call(args: Namespace) -> None:
        import importlib

        getattr(importlib.import_module(module), function)(args)

    return call


def _common() -> ArgumentParser:
    """Return the flags that every verb takes, before or after it."""
    common = _Parser(add_help=False, argument_default=SUPPRESS, allow_abbrev=False)
    common.add_argument("-C", "--cwd", metavar="DIR", help="work in this folder")
    common.add_argument("--non-interactive", action="store_true", help="ask nothing")
    common.add_argument(
        "--color", choices=("always", "never", "raw", "auto"), help="accepted; colours are for terminals"
    )
    common.add_argument("--disable-integrity-checking", action="store_true", help=SUPPRESS)
    return common


def _stack_flag(parser: ArgumentParser) -> None:
    parser.add_argument("-s", "--stack", metavar="NAME", help="the stack; the selected one if this is left out")


def parser() -> ArgumentParser:
    """Return the parser of the whole command line."""
    common = _common()
    root = _Parser(prog=_PROGRAM.strip(), description=__doc__, parents=[common], allow_abbrev=False)
    root.set_defaults(run=lambda args: root.print_help())
    verbs = root.add_subparsers(title="verbs", metavar="VERB", parser_class=_Parser)

    def verb(name: str, run: Callable[[Namespace], None], text: str, *, within: object = verbs) -> ArgumentParser:
        made: ArgumentParser = within.add_parser(  # type: ignore[attr-defined]
            name, help=text, description=text, parents=[common], allow_abbrev=False
        )
        made.set_defaults(run=run)
        return made

    for name, text in (
        ("preview", "Show what an update would change."),
        ("up", "Create, update and delete resources until they are what the program says."),
        ("refresh", "Make the state what the providers find."),
        ("destroy", "Delete every resource of the stack."),
    ):
        _operation_flags(verb(name, _lazily("engine.cli.update_verbs", name), text), name)

    stack = verb("stack", _lazily("engine.cli.stack_verbs", "show"), "Show or manage stacks.")
    _stack_flag(stack)
    stack.add_argument("--show-secrets", action="store_true")
    stack_verbs = stack.add_subparsers(title="verbs", metavar="VERB", parser_class=_Parser)
    _stack_verbs(lambda name, run, text: verb(name, run, text, within=stack_verbs))

    config = verb("config", _lazily("engine.cli.config_verbs", "show"), "Show or change the stack's configuration.")
    _stack_flag(config)
    config.add_argument("--show-secrets", action="store_true")
    config.add_argument("-j", "--json", action="store_true")
    config_verbs = config.add_subparsers(title="verbs", metavar="VERB", parser_class=_ConfigParser)
    _config_verbs(lambda name, run, text: verb(name, run, text, within=config_verbs))

    cancel = verb(
        "cancel", _lazily("engine.cli.stack_verbs", "cancel"), "Take away the locks of a run that was killed."
    )
    cancel.add_argument("name", nargs="?", metavar="STACK")
    cancel.add_argument("-y", "--yes", action="store_true")
    _stack_flag(cancel)
    verb("version", _version, "Show the engine's version.")
    return root


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ArgumentTypeError(f"'{text}' is neither true nor false")
    return text == "true"


def _operation_flags(parser: ArgumentParser, verb: str) -> None:
    parser.set_defaults(yes=False, preview_only=False, refresh=False, clear_pending_creates=False, run_program=False)
    _stack_flag(parser)
    flag = parser.add_argument
    flag("--diff", action="store_true", help="show the properties that change")
    flag("--expect-no-changes", action="store_true", help="fail when there is something to change")
    flag("-p", "--parallel", type=int, default=_PARALLEL, metavar="N", help="at most N resources at once")
    flag("--show-sames", action="store_true", help="show unchanged resources too")
    flag("--suppress-outputs", action="store_true", help="leave the stack's outputs out")
    flag("--suppress-permalink", nargs="?", const="true", help=SUPPRESS)
    flag("--suppress-progress", action="store_true", help=SUPPRESS)
    flag("-m", "--message", help="a message for the stack's history")
    if verb == "preview":
        flag("-j", "--json", action="store_true", help="print one JSON document")
    else:
        flag("-y", "--yes", action="store_true", help="ask nothing, go on")
        flag("-f", "--skip-preview", action="store_true", help="go on without a preview")
    if verb in ("refresh", "destroy"):
        flag("--preview-only", action="store_true", help="stop after the preview")
    if verb != "refresh":
        flag("-r", "--refresh", nargs="?", const=True, type=_boolean, metavar="true|false", help="refresh first")
    if verb == "refresh":
        flag("--clear-pending-creates", action="store_true", help="forget creations that a killed run left open")
        flag("--run-program", action="store_true", help="run the program too, so that outputs follow what was read")
    if verb == "destroy":
        flag("--remove", action="store_true", help="remove the stack and its settings file too")
        flag("--preserve-config", action="store_true", help="with --remove: keep the settings file")


def _stack_verbs(verb: Callable[[str, Callable[[Namespace], None], str], ArgumentParser]) -> None:
    made = verb("ls", _lazily("engine.cli.stack_verbs", "ls"), "List the project's stacks.")
    made.add_argument("-j", "--json", action="store_true")
    for name, text in (("init", "Make a stack."), ("select", "Choose the stack that verbs work on.")):
        made = verb(name, _lazily("engine.cli.stack_verbs", name), text)
        made.add_argument("name", nargs="?", metavar="STACK")
        _stack_flag(made)
        if name == "init":
            made.add_argument("--no-select", action="store_true")
        else:
            made.add_argument("-c", "--create", action="store_true", help="make it where it is missing")
    made = verb("rm", _lazily("engine.cli.stack_verbs", "rm"), "Remove a stack and its settings file.")
    made.add_argument("name", nargs="?", metavar="STACK")
    made.add_argument("-y", "--yes", action="store_true")
    made.add_argument("-f", "--force", action="store_true", help="even with resources in it")
    made.add_argument("--preserve-config", action="store_true", help="keep the settings file")
    _stack_flag(made)
    made = verb("output", _lazily("engine.cli.stack_verbs", "output"), "Show the stack's outputs.")
    made.add_argument("name", nargs="?", metavar="OUTPUT")
    made.add_argument("-j", "--json", action="store_true")
    made.add_argument("--show-secrets", action="store_true")
    _stack_flag(made)
    made = verb("export", _lazily("engine.cli.stack_verbs", "export"), "Print the stack's state.")
    made.add_argument("--file", metavar="PATH")
    made.add_argument("--show-secrets", action="store_true")
    _stack_flag(made)
    made = verb("import", _lazily("engine.cli.stack_verbs", "import_"), "Replace the stack's state by an exported one.")
    made.add_argument("--file", metavar="PATH")
    made.add_argument("-f", "--force", action="store_true", help="even with resources of another stack")
    _stack_flag(made)


def _config_verbs(verb: Callable[[str, Callable[[Namespace], None], str], ArgumentParser]) -> None:
    for name, text in (("get", "Show one value."), ("set", "Set one value."), ("rm", "Remove one value.")):
        made = verb(name, _lazily("engine.cli.config_verbs", name if name != "set" else "set_"), text)
        assert isinstance(made, _ConfigParser)
        made.usage = f"%(prog)s KEY{' [VALUE]' if name == 'set' else ''} [flags]"
        made.add_argument("--path", action="store_true", help="the key is a path into an object, such as ports[0].name")
        _stack_flag(made)
        if name == "get":
            made.add_argument("-j", "--json", action="store_true")
        if name == "set":
            made.optional = True
            made.description = "Set one value, read from standard input where it is left out."
            made.add_argument("--secret", action="store_true", help="encrypt it")
            made.add_argument("--plaintext", action="store_true", help="do not encrypt it")


def _version(args: Namespace) -> None:
    from engine.state.checkpoint import VERSION

    print(f"{VERSION} (embedded engine)")


def main(argv: list[str]) -> int:
    """Carry out one command line.

    Args:
        argv: The arguments, without the program's name.

    Returns:
        The exit status, as Pulumi's CLI has it.
    """
    try:
        # Not by set_defaults(): the verbs share the flags' actions; a default would cover what stood before the verb.
        args = parser().parse_args(argv, Namespace(cwd=".", non_interactive=False))
        args.run(args)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"error: '{error.filename}': {error.strerror}" if error.filename else f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: canceled", file=sys.stderr)
        return 130
    return 0
