"""The command that an entry point of a project stands for."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mlflow.projects.utils import load_project

from .problem import Problem


def command(folder: Path, name: str, parameters: Mapping[str, str]) -> str:
    """Write the shell command of an entry point, or refuse what a Job could not run."""
    if not any(file.name.lower() == "mlproject" for file in folder.iterdir()):
        raise Problem(
            f"{folder} has no file MLproject, so it is no project of MLflow. "
            "Type: mlflow run FOLDER, with the folder that has one"
        )
    entry_point = load_project(str(folder)).get_entry_point(name)
    declared = entry_point.parameters
    missing = [p for p in declared if p not in parameters and declared[p].default is None]
    if missing:
        wanted = " ".join(f"-P {parameter}=VALUE" for parameter in missing)
        raise Problem(
            f"entry point {name} needs {', '.join(missing)}, without a default. Add: {wanted}"
        )
    for parameter, declaration in declared.items():
        value = str(parameters.get(parameter, declaration.default))
        if declaration.type == "path" and not _inside(folder, value):
            raise Problem(
                f"{parameter} is {value}, and MLproject declares it as a path, which MLflow would "
                "fetch to this machine. Give a file of the project, or declare it as a string and "
                "have the program read it"
            )
    # Without a folder for downloads MLflow leaves the values as they are.
    return str(entry_point.compute_command(dict(parameters), None))


def _inside(folder: Path, value: str) -> bool:
    relative = not PurePosixPath(value).is_absolute() and ".." not in PurePosixPath(value).parts
    return relative and (folder / value).exists()
