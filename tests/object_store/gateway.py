"""VersityGW, built from the source that `go.mod` pins: it is in no Python package."""

from pathlib import Path

from tools.go_module import GoModule

MODULE = GoModule(
    name="versitygw",
    folder=Path(__file__).parent,
    title="VersityGW",
    expect="about two minutes on two cores",
)
