"""Make the airline table in Parquet, here or in a bucket, from real flights."""

import mlflow

import airline
import flights
import options
import tracking
from terminal import say, timed


def parser() -> options.Parser:
    """Describe the command line."""
    described = options.Parser(description=__doc__)
    described.add_argument("--source", default=airline.NYCFLIGHTS)
    options.add_fpath(described)
    return described


def main() -> None:
    """Make the table, read it back to check it, and keep what was made in a run."""
    args = parser().parse_args()
    with tracking.run("data", vars(args)):
        with timed("making", f"{args.fpath} from {args.source}"):
            made = airline.make(args.fpath, args.source)
        with timed("checking", "every row"):
            flights.read(args.fpath)
        mlflow.log_metrics({"flights": made.flights, "left_out": made.left_out, "late": made.late})
    say("flights", f"{made.flights:,}, of which {made.late / made.flights:.1%} late")
    say("left out", f"{made.left_out:,} without an arrival or with another field empty")


if __name__ == "__main__":
    tracking.main(main)
