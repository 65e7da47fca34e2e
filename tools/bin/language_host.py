"""The Python language host for a Pulumi CLI that was built from its Go module.

The official archive of the CLI brings `pulumi-language-python`; the Go module does not. The
engine accepts any program of that name which prints a port and serves `LanguageRuntime` there,
and the SDK's automation API has such a server, which this file completes.
"""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import grpc
from pulumi import RunError
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

INTERRUPTED = 128 + signal.SIGINT


class LanguageHost(LanguageServer):
    """Runs the program in a fresh interpreter each time: `up` runs it twice, preview and update."""

    def __init__(self) -> None:
        super().__init__(program=lambda: None)
        self.engine_address = ""

    def Handshake(self, request: Any, context: Any) -> Any:
        """Learn where the engine listens; `Run` hands it on."""
        self.engine_address = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Say that this host has no version of its own."""
        return plugin_pb2.PluginInfo(version="0.0.0")

    def InstallDependencies(self, request: Any, context: Any) -> Any:
        """Do nothing: whoever started the CLI has made the environment."""
        return iter(())

    def Run(self, request: Any, context: Any) -> Any:
        """Execute the program once."""
        if not request.args:
            request.args.append(self.engine_address)
        with tempfile.TemporaryDirectory() as folder:
            asked, answered = Path(folder, "request"), Path(folder, "response")
            asked.write_bytes(request.SerializeToString())
            command = [sys.executable, "-u", __file__, "run", str(asked), str(answered)]
            code = subprocess.run(command, check=False).returncode
            if answered.exists():
                return language_pb2.RunResponse.FromString(answered.read_bytes())
            if code == INTERRUPTED:
                return language_pb2.RunResponse(bail=True)
            return language_pb2.RunResponse(error=f"the program's process ended with {code}")


def run(asked: Path, answered: Path) -> None:
    """Execute one program as the engine's request describes it, and write down how it ended."""
    # The engine interrupts us when a resource has failed; its own message is the one that counts.
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    request = language_pb2.RunRequest.FromString(asked.read_bytes())
    program = Path(request.info.program_directory or request.pwd or ".", request.info.entry_point)
    if program.is_dir():
        program /= "__main__.py"
    os.chdir(program.parent)
    sys.path.insert(0, str(program.parent))

    def execute() -> None:
        try:
            runpy.run_path(str(program), run_name="__main__")
        except RunError:
            raise
        except Exception as error:
            trace = error.__traceback__
            while trace and trace.tb_frame.f_code.co_filename != str(program):
                trace = trace.tb_next  # this file and runpy are no news to the program's author
            lines = traceback.format_exception(type(error), error, trace)
            message = "Program failed with an unhandled exception:\n" + "".join(lines)
            raise RunError(message) from None

    server: Any = LanguageServer(execute)
    response = server.Run(request, None)
    # The server has logged the error; `bail` keeps the engine from printing it again.
    response = language_pb2.RunResponse(bail=bool(response.error))
    answered.write_bytes(response.SerializeToString())


def serve() -> None:
    """Print the port, as the engine's plugin protocol asks, and serve until the engine ends us."""
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    engine, pause = os.getppid(), Event()
    try:
        while os.getppid() == engine:  # a killed engine cannot end us
            pause.wait(5)
    except KeyboardInterrupt:
        server.stop(grace=None)


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        serve()
