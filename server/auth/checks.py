"""MLflow's own checks, without what they do again and again for one user.

Whether a request may pass is for MLflow's code to say. Before it refuses one, it is asked once
more with nothing remembered: what another worker has allowed a moment ago is allowed here too.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from flask import Response, g, request
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.server import auth, handlers
from mlflow.server.auth.permissions import VALID_RESOURCE_TYPES, get_permission
from mlflow.server.auth.requirements import Requirement
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from werkzeug.datastructures import Authorization

from .store import RememberingStore

NativeValidator = Callable[[str, Any], Awaitable[bool]]

FORBIDDEN = 403

PATHS = 1000
"""How many are remembered. Those of runs and traces, which are without number, are not needed."""

LOGIN = "server.auth.login"
"""Where a request keeps who asks, beside what WSGI says of it. No client can write there."""

WITHHOLDING = {
    auth.filter_search_experiments,
    auth.redact_get_run_model_links,
    auth.redact_search_runs_model_links,
    auth.redact_metric_history_model_ids,
}
"""What takes out of an answer what its reader may not see, for which it reads all of it again."""


class NotLoggedIn(Exception):
    """Nobody is known by what a request says. Its argument is the answer."""


class Checks:
    """What MLflow's app asks in place of functions of the same names."""

    def __init__(self, store: RememberingStore) -> None:
        self._store = store
        self._before: Any = auth._before_request
        self._after: Any = auth._after_request
        self._authenticate: Any = auth.authenticate_request
        self._native: Any = auth._find_fastapi_validator
        self._run: Any = auth._run_requirement
        self._authorize: Any = auth.authorize

    def install(self) -> None:
        """Reach MLflow's app, which has yet to be made."""
        vars(auth).update(
            store=self._store,
            _before_request=self.before_request,
            _after_request=handlers.catch_mlflow_exception(self.after_request),
            authenticate_request=self.authenticate_request,
            _find_fastapi_validator=self.find_native_validator,
            _run_requirement=self.run_requirement,
            authorize=self.authorize,
        )

    def before_request(self) -> Response | None:
        """What refuses a request to Flask."""
        refusal: Response | None = self._before()
        if refusal is not None and refusal.status_code == FORBIDDEN:
            self._store.memory.forget()
            request.environ.pop(LOGIN, None)
            refusal = self._before()
        return refusal

    def authenticate_request(self) -> Authorization | Response:
        """Who asks, or the answer to nobody. Each part of a check asks it anew."""
        known: Authorization | None = request.environ.get(LOGIN)
        if known is None:
            header = request.environ.get("HTTP_AUTHORIZATION", "")
            try:
                known = self._store.memory.recall(("login", self._store.sealed(header)), self._name)
            except NotLoggedIn as refusal:
                answer: Response = refusal.args[0]
                return answer
            request.environ[LOGIN] = known
        return known

    def _name(self) -> Authorization:
        """Who asks, as MLflow finds it. The password is not kept: nobody needs it any more."""
        found = self._authenticate()
        if not isinstance(found, Authorization):
            raise NotLoggedIn(found)
        return Authorization(found.type, {"username": found.username})

    def find_native_validator(self, path: str, method: str) -> NativeValidator | None:
        """What says whether a request to FastAPI may pass."""
        validator: NativeValidator | None = self._native(path, method)
        if validator is None:
            return None

        async def ask(username: str, asked: Any) -> bool:
            if await validator(username, asked):
                return True
            self._store.memory.forget()
            return await validator(username, asked)

        return ask

    def run_requirement(self, run_id: str, action: str) -> Any:
        """What rights it takes to do something with a run. To know its experiment MLflow reads it.

        A run stays in its experiment.
        """
        if MLFLOW_ENABLE_WORKSPACES.get() or not isinstance(run_id, str):
            return self._run(run_id, action)
        found = self._store.memory.recall(
            ("run", run_id, action), lambda: self._run(run_id, action)
        )
        if found is None:
            return None
        experiment, requirements = found
        return experiment, [*requirements]  # the caller adds to it

    def authorize(
        self, username: str, anchor: tuple[str, str], requirements: Sequence[Requirement]
    ) -> bool:
        """Whether somebody may do what takes these rights.

        Remembered by its text: to Python the experiments 1 and 1.0 of some JSON are the same.
        """
        decide: Callable[[], bool] = partial(self._authorize, username, anchor, requirements)
        if MLFLOW_ENABLE_WORKSPACES.get():  # there it also depends on the request's
            return decide()
        key = "may", username, f"{anchor} {requirements}"
        return self._store.memory.recall(key, decide)

    def after_request(self, answer: Response) -> Response:
        """What withholds parts of an answer, where there are any to withhold."""
        if answer.status_code < 400:
            handler = after_handler(request.path, request.method)
            if handler is None or (handler in WITHHOLDING and self._sees_everything()):
                return answer
        checked: Response = self._after(answer)
        return checked

    def _sees_everything(self) -> bool:
        """Whether there is nothing that a user may not read."""
        user = self._store.get_user(g.mlflow_authenticated_user)
        if user.is_admin:
            return True
        if MLFLOW_ENABLE_WORKSPACES.get():
            return False
        grants = self._store.list_grants(user.id, DEFAULT_WORKSPACE_NAME, VALID_RESOURCE_TYPES)
        granted = {auth.auth_config.default_permission, *(each.permission for each in grants)}
        return all(get_permission(name).can_read for name in granted)


@lru_cache(maxsize=PATHS)
def after_handler(path: str, method: str) -> Any:
    """What MLflow does with an answer, found as MLflow finds it."""
    if handler := auth.AFTER_REQUEST_HANDLERS.get((path, method)):
        return handler
    patterns = auth.PARAMETERIZED_AFTER_REQUEST_HANDLERS.items()
    matching = (
        found for (pattern, m), found in patterns if m == method and pattern.fullmatch(path)
    )
    return next(matching, None)
