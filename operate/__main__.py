"""`python -m operate VERB --stack NAME`: what the Makefile's verbs run that are not Pulumi's.

What a verb needs is imported when it runs: the outputs need none of the targets' libraries.
"""

import argparse
import importlib
import sys
from pathlib import Path

from rich.console import Console

from common.errors import UserError
from common.redaction import redacted
from common.standard_streams import keep_open
from operate.signals import end_in_order
from settings.load import read_stack_file
from settings.schema import Settings, Target
from targets.contract import LOG_LINES, Stack, verbs_of

_NEW = "write a stack's file, a bundle, golden inferences and an entry script for a model"
PROJECT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; gives an exit code, 1 for a mistake that people can mend."""
    parser = argparse.ArgumentParser(prog="operate", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, explained in (
        ("outputs", "show the outputs that `pulumi stack output --json` writes to standard input"),
        ("key", "print one key of the front door"),
        ("status", "show the service's processes and models"),
        ("logs", "show the ends of the service's logs"),
        ("dashboard", "serve a page of this machine that shows the service live and sends it requests"),
        ("report", "open the report of the service's newest rollout"),
        ("idle", "fail where services of this project are deployed on this machine"),
        ("keep", "start the service's supervisor whenever it does not run, until interrupted"),
        ("service-unit", "write the systemd unit of this user that runs `keep`"),
        ("versions", "list the versions of the service; standard input has the stack's outputs, as JSON"),
        ("rollback", "print the number of a former version of the service; standard input as for versions"),
        ("check", "serve and probe the stack's models without registering them, then stop"),
        ("policy", "check the resources that `pulumi preview --json --show-sames` writes to standard input"),
    ):
        command = verbs.add_parser(verb, help=explained, description=explained)
        command.add_argument("--stack", required=True, help="the stack, as in stacks/Pulumi.<stack>.yaml")
        if verb == "outputs":
            command.add_argument("--after-up", action="store_true", help="say nothing where an update gave no outputs")
        if verb in ("status", "logs"):
            command.add_argument("--cluster", default="", help="the stack's output of that name, as JSON")
        if verb == "key":
            command.add_argument("--which", default="primary", help="primary or secondary")
            command.add_argument("--client", default="", help="whose key; by default the service's own")
        if verb in ("key", "status", "logs", "dashboard"):
            command.add_argument("--engine", default="pulumi", help="the command that reads other stacks' outputs")
        if verb == "dashboard":
            command.add_argument("--port", default="", help="the port of this machine to serve at")
        if verb == "logs":
            command.add_argument("--lines", default="", help=f"of each log, at most; {LOG_LINES} by default")
            command.add_argument("--follow", action="store_true", help="go on until interrupted")
            command.add_argument("--json", action="store_true", help="the lines of the access log alone, as they are")
        if verb == "rollback":
            command.add_argument(
                "--version", default="", help="its number; by default the one before the one that serves"
            )
        if verb == "report":
            command.add_argument("--list", action="store_true", help="list the reports that are kept")
            command.add_argument(
                "--since", type=int, help="print the summaries, in Markdown, of what began then or later (`date +%%s`)"
            )
        if verb == "idle":
            command.add_argument("--besides", action="store_true", help="whatever this stack has deployed")
        if verb == "policy":
            command.add_argument(
                "--configuration", default="", help="the file that Pulumi's --policy-pack-config names"
            )
    command = verbs.add_parser("new", help=_NEW, description=_NEW)
    command.add_argument("--name", default="", help="the new stack's name")
    command.add_argument("--model", default="", help="a bundle, a model's folder or a model's file")
    command.add_argument("--target", default="", help="process (the default), docker or node-pool")
    command.add_argument("--script", default="", help="1, or the name of the model that an entry script asks")
    args = parser.parse_args(arguments)
    # A table's width is its reader's; where nobody reads along it is wide enough for a command to stay on its line.
    console = Console(highlight=False, soft_wrap=True) if sys.stdout.isatty() else Console(highlight=False, width=200)
    given = ""
    if args.verb in ("outputs", "versions", "rollback"):
        if args.verb == "outputs":
            importlib.import_module("operate.outputs")  # before the wait: `make up` starts this along with the update
        given = sys.stdin.read()
        if args.verb == "outputs" and args.after_up and not given:
            return 1
    try:
        if args.verb == "policy":  # the preview has read the settings
            from operate import policy

            return policy.show(console, args.stack, sys.stdin.read(), args.configuration)
        if args.verb == "new":
            return _new(args, console)
        if args.verb == "key":
            from operate import key

            return key.show(args.engine, args.stack, args.which, args.client)
        settings = read_stack_file(
            PROJECT, args.stack, form_alone=args.verb != "check", with_version=args.verb in ("check", "outputs")
        )
        return _run(args, console, settings, given)
    except UserError as mistake:
        sys.stderr.write(f"{redacted(str(mistake))}\n")
        return 1


def _new(args: argparse.Namespace, console: Console) -> int:
    from operate.new.asked import Asked
    from operate.new.writing import new

    target = args.target or Target.PROCESS.value
    return new(Asked(project=PROJECT, name=args.name, model=args.model, target=target, script=args.script), console)


def _lines(given: str, stack: str) -> int:
    if given and not given.isdecimal():
        raise UserError(f"LINES is '{given}': expected a number of lines, as in: make logs STACK={stack} LINES=1000")
    return int(given or LOG_LINES)


def _run(args: argparse.Namespace, console: Console, settings: Settings, given: str) -> int:
    if args.verb == "outputs":
        from operate import outputs

        return outputs.show(console, settings, args.stack, given)
    if args.verb in ("versions", "rollback"):
        from operate import versions

        history = versions.History.of(settings, PROJECT, args.stack, given)
        if args.verb == "versions":
            return versions.show(console, history)
        return versions.choose(history, args.version)
    if args.verb == "idle":
        from operate import idle

        return idle.check(settings, besides=args.stack if args.besides else "")
    verbs = verbs_of(settings.deployment.target)
    kubeconfig = ""
    if args.verb in ("status", "logs") and settings.node_pool.cluster_stack is not None:
        from operate import cluster_stack

        kubeconfig = cluster_stack.kubeconfig(settings.node_pool, args.engine)
    stack = Stack(settings=settings, cluster=getattr(args, "cluster", ""), kubeconfig=kubeconfig)
    if args.verb == "status":
        return verbs.status(stack, console)
    if args.verb == "logs":
        return verbs.logs(stack, follow=args.follow, as_json=args.json, lines=_lines(args.lines, args.stack))
    if args.verb == "check":
        return verbs.check(stack, console)
    if args.verb == "report":
        from operate import report

        folder, service = verbs.reports(stack), settings.service_name
        if args.since is not None:
            return report.show_summaries(folder, args.since)
        return (report.show_list if args.list else report.show)(folder, service, console)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    def read() -> Settings:
        return read_stack_file(PROJECT, args.stack, form_alone=True, with_version=False)

    if args.verb == "dashboard":
        from operate.dashboard import verb

        return verb.show(stack, read, args.stack, args.engine, args.port, say)
    if args.verb == "service-unit":
        return verbs.write_unit(PROJECT, args.stack, say)
    assert args.verb == "keep"
    return verbs.keep(lambda: Stack(settings=read()), say)


if __name__ == "__main__":
    keep_open()
    end_in_order()
    sys.exit(main())
