"""`mlflow-platform connect STACK`."""

import argparse
import shlex
import sys
from pathlib import Path

from . import files, handoff, tunnel, versions
from .handoff import Handoff
from .problem import Problem


def main() -> None:
    """Run the command; what the user can mend is said in one line."""
    try:
        connect(parser().parse_args())
    except Problem as problem:
        sys.exit(f"error: {problem}")
    except KeyboardInterrupt:
        print("\nclosed")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    described = argparse.ArgumentParser(prog="mlflow-platform", description=__doc__)
    commands = described.add_subparsers(dest="command", required=True)
    connect = commands.add_parser(
        "connect", help="write what MLflow's commands need, and open the tunnel"
    )
    connect.add_argument("stack", help="as in: pulumi stack ls")
    connect.add_argument(
        "--outputs", type=Path, metavar="FILE", help="without Pulumi: what somebody saved for you"
    )
    connect.add_argument("--folder", type=Path, default=Path(), help="where to write (default: .)")
    connect.add_argument(
        "--no-tunnel", action="store_true", help="only write, as when one is open already"
    )
    return described


def connect(args: argparse.Namespace) -> None:
    """Write the files, say whether the versions fit, and keep the tunnel open until Ctrl-C."""
    found = handoff.of_file(args.outputs) if args.outputs else handoff.of_stack(args.stack)
    if not args.folder.is_dir():
        raise Problem(f"--folder {args.folder} is no folder. Type: mkdir -p {args.folder}")
    for file in files.write(found, args.folder):
        print(f"wrote      {file}")
    print(f"versions   {versions.verdict(versions.client(), found.server_version)}")
    # Absolute: a shell looks for a bare `.env` on PATH.
    environment = shlex.quote(str((args.folder / files.ENVIRONMENT).resolve()))
    print(f"next       set -a; . {environment}; set +a")
    if args.no_tunnel:
        return
    if tunnel.answers(found.tracking_uri):
        print(f"answers    {found.tracking_uri}")
    else:
        _hold(found)


def _hold(found: Handoff) -> None:
    if found.connect_command is None:
        raise Problem(f"{found.tracking_uri} does not answer. Type: pulumi up")
    with tunnel.opened(found.connect_command, found.tracking_uri) as process:
        print(f"open       {found.tracking_uri}, until Ctrl-C", flush=True)
        process.wait()
    raise Problem("the tunnel has closed. To open it again, type the same command")


if __name__ == "__main__":
    main()
