"""`python -m operate outputs|status|logs|check|idle --stack NAME`: what the Makefile's verbs of these names run."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from bundle.problems import LayoutError
from bundle.registry import RegistryError
from environment import BuildError, ResolutionError, SpecError
from machine.service import ServiceError
from node_pool.cluster import ClusterError
from operate import check, docker, idle, logs, node_pool, outputs, status
from settings import SettingsError, read_stack_file
from settings.golden import GoldenError
from settings.schema import Target

PROJECT = Path(__file__).resolve().parents[1]
MISTAKES = (
    BuildError,
    ClusterError,
    FileNotFoundError,
    GoldenError,
    LayoutError,
    RegistryError,
    ResolutionError,
    ServiceError,
    SettingsError,
    SpecError,
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="operate", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, explained in (
        ("outputs", "show the outputs that `pulumi stack output --json` writes to standard input"),
        ("status", "show the service's processes and models"),
        ("logs", "show the ends of the service's logs"),
        ("idle", "fail where services of this project are deployed on this machine"),
        ("check", "serve and probe the stack's models without registering them, then stop"),
    ):
        command = verbs.add_parser(verb, help=explained, description=explained)
        command.add_argument("--stack", required=True, help="the stack, as in stacks/Pulumi.<stack>.yaml")
        if verb == "logs":
            command.add_argument("--follow", action="store_true", help="go on until interrupted")
    args = parser.parse_args(arguments)
    # A table's width is its reader's; where nobody reads along it is wide enough for a command to stay on its line.
    console = Console(highlight=False, soft_wrap=True) if sys.stdout.isatty() else Console(highlight=False, width=200)
    try:
        settings = read_stack_file(PROJECT, args.stack, form_alone=args.verb != "check")
        if args.verb == "outputs":
            return outputs.show(console, settings, PROJECT, args.stack, sys.stdin.read())
        if args.verb == "idle":
            return idle.check(settings, PROJECT)
        if settings.deployment.target is Target.NODE_POOL:
            return node_pool.run(args.verb, console, settings, follow=args.verb == "logs" and args.follow)
        in_containers = settings.deployment.target is Target.DOCKER
        if args.verb == "status":
            return (docker.show_status if in_containers else status.show)(console, settings, PROJECT)
        if args.verb == "logs" and in_containers:
            return docker.show_logs(settings, follow=args.follow)
        if args.verb == "logs":
            return logs.show(settings, PROJECT, follow=args.follow)
        return (docker.run_check if in_containers else check.run)(console, settings, PROJECT)
    except MISTAKES as mistake:
        sys.stderr.write(f"{mistake}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
