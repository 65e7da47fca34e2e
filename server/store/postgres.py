"""The store itself."""

import json
import logging
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from mlflow.entities import (
    Experiment,
    ExperimentTag,
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import sqlalchemy_store as mlflows
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlExperimentTag,
    SqlRun,
    SqlTag,
)
from mlflow.utils import validation
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, _get_run_name_from_tags
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils
from mlflow.utils.uri import append_to_uri_path
from sqlalchemy import Connection, Row, Text, cast, event, func, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from . import statements

_logger = logging.getLogger(__name__)

BIGINT = range(-(2**63), 2**63)

RUN_COLUMNS = (
    SqlRun.run_uuid,
    SqlRun.name,
    SqlRun.user_id,
    SqlRun.status,
    SqlRun.start_time,
    SqlRun.end_time,
    SqlRun.lifecycle_stage,
    SqlRun.artifact_uri,
    SqlRun.experiment_id,
)
"""What `SqlRun.to_mlflow_entity` reads."""

EXPERIMENTS = select(
    SqlExperiment.experiment_id,
    SqlExperiment.name,
    SqlExperiment.artifact_location,
    SqlExperiment.lifecycle_stage,
    SqlExperiment.creation_time,
    SqlExperiment.last_update_time,
    SqlExperiment.workspace,
    select(
        cast(
            func.json_agg(func.json_build_array(SqlExperimentTag.key, SqlExperimentTag.value)),
            Text,
        )
    )
    .where(SqlExperimentTag.experiment_id == SqlExperiment.experiment_id)
    .scalar_subquery()
    .label("tags"),
).select_from(SqlExperiment)
"""What `SqlExperiment.to_mlflow_entity` reads, with the tags that MLflow asks for once more."""

NAME_LENGTH: int = SqlRun.name.type.length
KEY_LENGTH: int = SqlTag.key.type.length
VALUE_LENGTH: int = SqlTag.value.type.length

DEADLOCK = "40P01"
"""Postgres' code for a transaction that it has ended, so that another one can go on."""

TRIES = 5
"""How often a transaction may meet that. MLflow's own store begins anew as well, but then looks up
what is there and writes the rest: where others write the same meanwhile, it fails."""

Statement = Callable[[Connection], bool]
"""Part of a transaction. It answers whether the transaction may go on."""


class PostgresStore(mlflows.SqlAlchemyStore):
    """MLflow's store, which still does whatever is not here or is not a plain success."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        event.listen(self.engine, "reset", _together)

    def log_metric(self, run_id: str, metric: Metric) -> None:
        """Log one value."""
        if not self._logged(run_id, metrics=[metric]):
            super().log_metric(run_id, metric)

    def log_param(self, run_id: str, param: Param) -> None:
        """Log one parameter."""
        if not self._logged(run_id, params=[param]):
            super().log_param(run_id, param)

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """Set one tag."""
        if not self._logged(run_id, tags=[tag]):
            super().set_tag(run_id, tag)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric],
        params: Sequence[Param],
        tags: Sequence[RunTag],
    ) -> None:
        """Log many at once."""
        if not self._logged(run_id, metrics, params, tags):
            super().log_batch(run_id, metrics, params, tags)

    def _logged(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
    ) -> bool:
        """Whether all of it has been written. If not, nothing has."""
        plain = (*map(_plain_metric, metrics), *map(_plain_pair, params), *map(_plain_pair, tags))
        if type(run_id) is not str or not all(plain):
            return False
        try:
            validation._validate_run_id(run_id)
            _, params, tags = validation._validate_batch_log_data(metrics, params, tags)
            validation._validate_batch_log_limits(metrics, params, tags)
            validation._validate_param_keys_unique(params)
        except MlflowException:
            return False
        # In MLflow's order, so that whoever waits for another waits as there.
        todo: list[Statement] = []
        if params:
            todo.append(partial(_log_params, run_id, params))
        if metrics:
            todo.append(partial(self._log_new_metrics, run_id, metrics))
        if tags:
            todo.append(partial(_set_tags, run_id, tags))
        alone = len(todo) == 1 and len(params) <= 1
        return bool(todo) and self._committed(todo, alone=alone)

    def _committed(self, todo: Sequence[Statement], *, alone: bool) -> bool:
        """Whether a transaction has been written whole. If not, nothing of it has."""
        for _ in range(TRIES):
            with self.ManagedSessionMaker(read_only=False) as session:
                connection = _alone(session) if alone else session.connection()
                try:
                    if all(statement(connection) for statement in todo):
                        session.commit()
                        return True
                    session.rollback()
                    break
                except (DBAPIError, ValueError) as error:
                    session.rollback()
                    cause = getattr(error, "orig", error)
                    if getattr(cause, "pgcode", None) != DEADLOCK:
                        # MLflow tries again, or finds the same error and words it.
                        _logger.info("Left to MLflow's own store: %s", cause)
                        break
        return False

    def _log_new_metrics(
        self, run_id: str, metrics: Sequence[Metric], connection: Connection
    ) -> bool:
        rows = []
        for metric in metrics:
            is_nan, value = self.sanitize_metric_value(metric.value)
            rows.append(
                {
                    "key": metric.key,
                    # MLflow's -0.0 reaches Postgres as an exact number, which has no sign at zero.
                    "value": value + 0.0,
                    "timestamp": metric.timestamp,
                    "step": metric.step,
                    "is_nan": is_nan,
                }
            )
        parameters = {"run": run_id, "rows": json.dumps(rows)}
        return _first(connection, statements.LOG_METRICS, parameters) is not None

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: Sequence[RunTag],
        run_name: str,
    ) -> Run:
        """Begin a run."""
        run = self._created(experiment_id, user_id, start_time, tags or [], run_name)
        return run or super().create_run(experiment_id, user_id, start_time, tags, run_name)

    def _created(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: Sequence[RunTag],
        run_name: str,
    ) -> Run | None:
        """The run, unless it is anything but the usual one."""
        tag_name = _get_run_name_from_tags(tags)
        if (
            type(experiment_id) is not str
            or not experiment_id.isdecimal()
            or str(int(experiment_id)) != experiment_id
            or type(user_id) is not str
            or type(start_time) is not int
            or not all(map(_fits, tags))
            or len(run_name or tag_name or "") > NAME_LENGTH
            or len({tag.key for tag in tags}) < len(tags)
            or (run_name and tag_name and run_name != tag_name)
            or tag_name == ""  # MLflow adds the name once more, and is refused by Postgres
        ):
            return None
        with self.ManagedSessionMaker(read_only=False) as session:
            connection = _alone(session)
            experiment = {"experiment": experiment_id}
            try:
                found = _first(connection, statements.EXPERIMENT, experiment)
                if found is None:
                    return None
                run_id = uuid.uuid4().hex
                name = run_name or tag_name or _generate_random_name()
                given = {tag.key: tag.value for tag in tags}
                named = given if tag_name else {**given, MLFLOW_RUN_NAME: name}
                artifacts = append_to_uri_path(found[0], run_id, self.ARTIFACTS_FOLDER_NAME)
                connection.exec_driver_sql(
                    statements.CREATE_RUN,
                    {
                        **experiment,
                        "run": run_id,
                        "name": name,
                        "user": user_id,
                        "start": start_time,
                        "artifacts": artifacts,
                        "rows": _pairs(named),
                    },
                )
            except (DataError, IntegrityError, ValueError):
                return None
        info = RunInfo(
            run_id=run_id,
            experiment_id=experiment_id,
            user_id=user_id,
            status=RunStatus.to_string(RunStatus.RUNNING),
            start_time=start_time,
            end_time=None,
            lifecycle_stage=LifecycleStage.ACTIVE,
            artifact_uri=artifacts,
            run_name=name,
        )
        data = RunData(tags=[RunTag(*each) for each in named.items()])
        return Run(info, data, RunInputs(dataset_inputs=[]))

    def get_run(self, run_id: str) -> Run:
        """Return a run, with what it has logged last."""
        if type(run_id) is str:
            with self.ManagedSessionMaker() as session:
                connection = _alone(session)
                row = _first(connection, statements.GET_RUN, {"run": run_id})
                if row is not None:
                    return self._whole(session, row)
        run: Run = super().get_run(run_id)
        return run

    def _whole(self, session: Session, row: Row[Any]) -> Run:
        """A run with all that MLflow's `get_run` finds of it."""
        data = _data(row)
        info = _info(row, data)
        if not row.linked:
            return Run(info, data, RunInputs([], []), RunOutputs([]))
        (datasets,) = self._get_run_inputs(session, [info.run_id])
        models = self._get_model_inputs(info.run_id, session)
        outputs = self._get_model_outputs(info.run_id, session)
        return Run(info, data, RunInputs(datasets, models), RunOutputs(outputs))

    def _search_runs(
        self,
        experiment_ids: list[str | int],
        filter_string: str | None,
        run_view_type: int,
        max_results: Any,
        order_by: Sequence[str] | None,
        page_token: str | None,
    ) -> tuple[list[Run], str | None]:
        """As MLflow's, with rows in place of mapped objects.

        The steps have MLflow's order, so that of several errors the same one comes first.
        """
        self._validate_max_results_param(max_results, allow_null=True)
        stages = set(LifecycleStage.view_type_to_stages(run_view_type))
        with self.ManagedSessionMaker() as session:
            _alone(session)
            filters = SearchUtils.parse_search_filter(filter_string)
            sorted_columns, order, sorting = mlflows._get_orderby_clauses(order_by, session)
            of_run, joined, of_dataset = mlflows._get_sqlalchemy_filter_clauses(
                filters, session, self._get_dialect()
            )
            statement = select(*RUN_COLUMNS, *sorted_columns).select_from(SqlRun)
            for each in joined:
                statement = statement.join(each)
            for each in of_dataset:
                statement = statement.join(each, SqlRun.run_uuid == each.c.destination_id)
            for each in sorting:
                statement = statement.outerjoin(each)
            offset = SearchUtils.parse_start_offset_from_page_token(page_token)
            experiments = validation._parse_experiment_ids(experiment_ids)
            statement = (
                statement.distinct()
                .filter(
                    SqlRun.experiment_id.in_(experiments),
                    SqlRun.lifecycle_stage.in_(stages),
                    *of_run,
                )
                .order_by(*order)
                .offset(offset)
                .limit(None if max_results is None else max_results + 1)
            )
            try:
                rows = session.execute(statement).all()
            except DBAPIError:
                session.rollback()  # what is lost cannot be committed, and MLflow would say 400
                rows = None
            if rows is not None:
                more = max_results is not None and len(rows) > max_results
                token = SearchUtils.create_page_token(offset + max_results) if more else None
                return self._found(session, rows[:max_results]), token
        return super()._search_runs(
            experiment_ids, filter_string, run_view_type, max_results, order_by, page_token
        )

    def _found(self, session: Session, rows: Sequence[Row[Any]]) -> list[Run]:
        """Runs with all that MLflow's `_search_runs` finds of them."""
        ids = [row.run_uuid for row in rows]
        parameters = {"runs": ids}
        of_runs = session.connection().exec_driver_sql(statements.BELONGINGS, parameters)
        belongings = {each.run_uuid: each for each in of_runs}
        linked = [each for each in ids if belongings[each].linked]
        datasets = dict(zip(linked, self._get_run_inputs(session, linked), strict=True))
        outputs = self._get_model_outputs_bulk(linked, session)
        runs = []
        for row in rows:
            data = _data(belongings[row.run_uuid])
            inputs = RunInputs(dataset_inputs=datasets.get(row.run_uuid, []))
            made = RunOutputs(outputs.get(row.run_uuid, []))
            runs.append(Run(_info(row, data), data, inputs, made))
        return runs

    def _search_experiments(
        self,
        view_type: int,
        max_results: int,
        filter_string: str | None,
        order_by: Sequence[str] | None,
        page_token: str | None,
    ) -> tuple[list[Experiment], str | None]:
        """As MLflow's, in one statement. The steps have MLflow's order here too."""
        rows = None
        # How long traces are kept, if that is configured, is MLflow's to work out.
        if self._get_effective_experiment_trace_archival_retention_context() is None:
            self._validate_max_results_param(max_results)
            with self.ManagedSessionMaker() as session:
                _alone(session)
                filters = SearchExperimentsUtils.parse_search_filter(filter_string)
                of_experiment, joined = mlflows._get_search_experiments_filter_clauses(
                    filters, self._get_dialect()
                )
                order = _order_of_experiments(tuple(order_by or ()))
                offset = SearchUtils.parse_start_offset_from_page_token(page_token)
                stages = set(LifecycleStage.view_type_to_stages(view_type))
                statement = EXPERIMENTS
                for each in joined:
                    statement = statement.join(each)
                statement = (
                    statement.filter(*of_experiment, SqlExperiment.lifecycle_stage.in_(stages))
                    .order_by(*order)
                    .offset(offset)
                    .limit(max_results + 1)
                )
                try:
                    rows = session.execute(statement).all()
                except DBAPIError:
                    session.rollback()  # what is lost cannot be committed
        if rows is None:
            found: tuple[list[Experiment], str | None] = super()._search_experiments(
                view_type, max_results, filter_string, order_by, page_token
            )
            return found
        more = len(rows) > max_results
        token = SearchExperimentsUtils.create_page_token(offset + max_results) if more else None
        return [_experiment(row) for row in rows[:max_results]], token


def _alone(session: Session) -> Connection:
    """Each statement is a transaction of its own, which saves two messages to the database.

    SQLAlchemy's option for it sends a third when the connection goes back to the pool. If the
    database is lost in that moment, the connection's place in the pool never becomes free again.
    """
    connection = session.connection()
    driver: Any = connection.connection.dbapi_connection
    driver.autocommit = True
    return connection


def _together(driver: Any, *_: Any) -> None:
    """As the pool had it. The pool replaces a connection for which this fails."""
    if driver.autocommit:
        driver.autocommit = False


def _first(connection: Connection, statement: str, parameters: dict[str, Any]) -> Row[Any] | None:
    return connection.exec_driver_sql(statement, parameters).first()


def _log_params(run_id: str, params: Sequence[Param], connection: Connection) -> bool:
    parameters = {"run": run_id, "rows": _pairs({each.key: each.value for each in params})}
    row = _first(connection, statements.LOG_PARAMS, parameters)
    return row is not None and row[0] == len(params)


def _set_tags(run_id: str, tags: Sequence[RunTag], connection: Connection) -> bool:
    parameters = {"run": run_id, "rows": _pairs({each.key: each.value for each in tags})}
    return _first(connection, statements.SET_TAGS, parameters) is not None


def _pairs(values: dict[str, str]) -> str:
    return json.dumps([{"key": key, "value": value} for key, value in values.items()])


def _plain_metric(metric: Metric) -> bool:
    """Whether Postgres has a column for it, and no model has a part in it."""
    return (
        type(metric.key) is str
        and type(metric.value) is float
        and type(metric.timestamp) is int
        and type(metric.step) is int
        and metric.timestamp in BIGINT
        and metric.step in BIGINT
        and metric.model_id is None
    )


def _plain_pair(pair: Param | RunTag) -> bool:
    """Whether it is two texts, and not the run's name, which is in two tables."""
    return type(pair.key) is str and type(pair.value) is str and pair.key != MLFLOW_RUN_NAME


def _fits(tag: RunTag) -> bool:
    """Whether Postgres has room for a tag, which MLflow does not ask of those of a new run."""
    return (
        type(tag.key) is str
        and type(tag.value) is str
        and len(tag.key) <= KEY_LENGTH
        and len(tag.value) <= VALUE_LENGTH
    )


def _data(row: Row[Any]) -> RunData:
    """As the second half of `SqlRun.to_mlflow_entity`."""
    return RunData(
        metrics=[
            Metric(key, float("nan") if is_nan else float(value), timestamp, step)
            for key, value, timestamp, step, is_nan in _list(row.metrics)
        ],
        params=[Param(key, value) for key, value in _list(row.params)],
        tags=[RunTag(key, value) for key, value in _list(row.tags)],
    )


def _list(text: str | None) -> list[Any]:
    """`json_agg` of nothing is null."""
    return json.loads(text) if text else []


def _info(row: Row[Any], data: RunData) -> RunInfo:
    """As the first half of `SqlRun.to_mlflow_entity`."""
    return RunInfo(
        run_id=row.run_uuid,
        run_name=row.name or data.tags.get(MLFLOW_RUN_NAME) or row.name,
        experiment_id=str(row.experiment_id),
        user_id=row.user_id,
        status=row.status,
        start_time=row.start_time,
        end_time=row.end_time,
        lifecycle_stage=row.lifecycle_stage,
        artifact_uri=row.artifact_uri,
    )


@lru_cache(maxsize=100)
def _order_of_experiments(order_by: tuple[str, ...]) -> list[Any]:
    """Read once: pages ask for the same few, and MLflow reads them with a parser of SQL."""
    clauses: list[Any] = mlflows._get_search_experiments_order_by_clauses(order_by)
    return clauses


def _experiment(row: Row[Any]) -> Experiment:
    """As `SqlExperiment.to_mlflow_entity`."""
    return Experiment(
        experiment_id=str(row.experiment_id),
        name=row.name,
        artifact_location=row.artifact_location,
        lifecycle_stage=row.lifecycle_stage,
        tags=[ExperimentTag(key, value) for key, value in _list(row.tags)],
        creation_time=row.creation_time,
        last_update_time=row.last_update_time,
        workspace=row.workspace,
    )
