"""`mlflow-platform connect STACK`; `mlflow-platform status`, `logs` and `cancel` of a run."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import files, handoff, login, settings, tunnel, versions
from .handoff import Handoff
from .problem import Problem

if TYPE_CHECKING:
    from .submitted import SubmittedJob


def main() -> None:
    """Run the command; what the user can mend is said in one line."""
    try:
        args = parser().parse_args()
        args.does(args)
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
        "--project",
        type=Path,
        default=Path("training"),
        metavar="FOLDER",
        help="what MLflow's own Kubernetes backend is to run, if it is there (default: training)",
    )
    connect.add_argument(
        "--no-tunnel", action="store_true", help="only write, as when one is open already"
    )
    connect.set_defaults(does=write_and_open)
    for name, does, help in (
        ("status", status, "how a run in the cluster is doing, and why"),
        ("logs", logs, "what it prints, until it ends"),
        ("cancel", cancel, "end it, and its Job"),
    ):
        command = commands.add_parser(name, help=help)
        command.add_argument("run_id", metavar="RUN_ID", help="as `mlflow run` has printed it")
        command.add_argument(
            "--backend-config",
            type=Path,
            default=Path(settings.FILE),
            metavar="FILE",
            help=f"as for `mlflow run` (default: {settings.FILE})",
        )
        command.set_defaults(does=does)
    return described


def status(args: argparse.Namespace) -> None:
    """Say how a run is doing; one whose Job has ended is ended too."""
    from . import reasons

    submitted = _submitted(args)
    view = submitted.settle()
    run = submitted.run
    print(f"run        {args.run_id} {run.info.status}")
    for tag in ("failure", "stopped", "interrupted"):
        if tag in run.data.tags:
            print(f"{tag:<10} {run.data.tags[tag]}")
    if view.job is None:
        print(
            f"job        none in namespace {submitted.namespace}. If it was deleted, "
            f"end the run too: mlflow-platform cancel {args.run_id}"
            if run.info.status == "RUNNING"
            else "job        gone, as the run is over"
        )
        return
    doing = view.ended or ("Running" if view.running else f"Waiting: {reasons.waiting(view)}")
    print(f"job        {view.job['metadata']['name']} {doing}")


def logs(args: argparse.Namespace) -> None:
    """Print what a run prints."""
    submitted = _submitted(args)
    if submitted.settle().job is None:
        raise Problem(
            f"run {args.run_id} has no Job in namespace {submitted.namespace}, and no log; "
            "Google Cloud keeps those of its clusters in Cloud Logging"
        )
    if not submitted.follow():
        sys.exit(1)


def cancel(args: argparse.Namespace) -> None:
    """End a run."""
    _submitted(args).cancel()


def _submitted(args: argparse.Namespace) -> "SubmittedJob":
    # MLflow and the client of Kubernetes take seconds to import, which `connect` does not need.
    import mlflow

    from .backend import check_server
    from .cluster import Cluster
    from .submitted import SubmittedJob

    try:
        config = json.loads(args.backend_config.read_text())
    except (OSError, ValueError) as error:
        raise Problem(
            f"--backend-config {args.backend_config} cannot be read: {error}. "
            "Name the file that the run was submitted with"
        ) from error
    check_server(mlflow.get_tracking_uri())
    return SubmittedJob(Cluster(settings.read(config)), mlflow.MlflowClient(), args.run_id)


def write_and_open(args: argparse.Namespace) -> None:
    """Write the files, say whether the versions fit, and keep the tunnel open until Ctrl-C."""
    found = handoff.of_file(args.outputs) if args.outputs else handoff.of_stack(args.stack)
    if not args.folder.is_dir():
        raise Problem(f"--folder {args.folder} is no folder. Type: mkdir -p {args.folder}")
    for file in files.write(found, args.folder, args.project):
        print(f"wrote      {file}")
    print(f"versions   {versions.verdict(versions.client(), found.server_version)}")
    # Absolute: a shell looks for a bare `.env` on PATH.
    environment = shlex.quote(str((args.folder / files.ENVIRONMENT).resolve()))
    print(f"next       set -a; . {environment}; set +a")
    if args.no_tunnel:
        return
    if tunnel.answers(found.tracking_uri):
        print(f"answers    {found.tracking_uri}")
        _tell_login(found)
    else:
        _hold(found)


def _hold(found: Handoff) -> None:
    if found.connect_command is None:
        raise Problem(f"{found.tracking_uri} does not answer. Type: pulumi up")
    with tunnel.opened(found.connect_command, found.tracking_uri) as process:
        print(f"open       {found.tracking_uri}, until Ctrl-C", flush=True)
        _tell_login(found)
        process.wait()
    raise Problem("the tunnel has closed. To open it again, type the same command")


def _tell_login(found: Handoff) -> None:
    """Say who the server takes this shell for; a wrong login is no reason to close a tunnel."""
    try:
        taken = login.accepted(found.tracking_uri, found.admin_user, found.admin_password)
    except Problem as problem:
        print(f"login      {problem}", flush=True)
    else:
        if taken:
            print(f"login      {taken[login.USER]}", flush=True)


if __name__ == "__main__":
    main()
