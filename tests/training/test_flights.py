import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import airline
import flights

# What is known of a flight only once it has left the gate.
AFTER_DEPARTURE = {
    "DepTime": 1.0, "DepDelay": 1.0, "ArrTime": 1.0, "ArrDelay": 1.0, "ActualElapsedTime": 1.0,
    "AirTime": 1.0, "TaxiIn": 1.0, "TaxiOut": 1.0, "WheelsOff": 1.0, "WheelsOn": 1.0,
    "Cancelled": 0.0, "Diverted": 0.0, "CarrierDelay": 1.0, "WeatherDelay": 1.0, "NASDelay": 1.0,
}  # fmt: skip


@pytest.fixture
def frame(few):
    return pd.read_parquet(few)


@pytest.fixture
def refuse(tmp_path):
    """Read a frame that must not be accepted; return what is said."""

    def refused(frame):
        fpath = tmp_path / "flights.parquet"
        frame.to_parquet(fpath)
        with pytest.raises(flights.DataError) as caught:
            flights.read(str(fpath))
        return str(caught.value)

    return refused


def test_the_features_are_exactly_what_is_known_when_the_ticket_is_sold():
    assert set(flights.FEATURES) == {
        "Year", "Month", "DayofMonth", "DayofWeek", "CRSDepTime", "CRSArrTime", "UniqueCarrier",
        "FlightNum", "Origin", "Dest", "Distance",
    }  # fmt: skip


def test_a_column_known_only_after_departure_is_not_even_read(frame, tmp_path):
    fpath = tmp_path / "leaky.parquet"
    frame.assign(**AFTER_DEPARTURE).to_parquet(fpath)
    content = bytearray(fpath.read_bytes())
    columns = pq.ParquetFile(fpath).metadata.row_group(0)
    for column in map(columns.column, range(columns.num_columns)):
        if column.path_in_schema in AFTER_DEPARTURE:
            start = column.dictionary_page_offset
            content[start : start + 8] = bytes(8)  # whoever touches it, fails
    fpath.write_bytes(content)
    with pytest.raises(OSError, match="."):
        pd.read_parquet(fpath)
    assert set(flights.read(str(fpath)).columns) == {*flights.FEATURES, flights.TARGET}


def test_a_missing_column_is_named(frame, refuse):
    said = refuse(frame.drop(columns=["Origin", "Distance"]))
    assert "lacks the columns Distance, Origin;" in said
    assert "mlflow run training -e data -P source=PATH" in said


def test_a_column_of_another_kind_is_named(frame, refuse):
    assert "Month is" in refuse(frame.assign(Month="January"))
    assert "Origin is bool" in refuse(frame.assign(Origin=True))


def test_a_column_with_empty_values_is_named(frame, refuse):
    assert "Dest is empty" in refuse(frame.assign(Dest=frame["Dest"].where(frame.index > 5)))


def test_a_number_that_cannot_be_is_named(frame, refuse):
    assert "Distance has a value" in refuse(frame.assign(Distance=1_000_000))
    assert "Distance has a value" in refuse(frame.assign(Distance=99.5))


def test_a_target_that_is_not_yes_or_no_is_refused(frame, refuse):
    assert "ArrDelayBinary must be 0" in refuse(frame.assign(ArrDelayBinary=2))


def test_a_table_without_flights_is_refused(frame, refuse):
    assert "holds no flights" in refuse(frame.head(0))


def test_a_missing_file_comes_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(flights.DataError, match="mlflow run training -e data -P fpath="):
        flights.read(str(tmp_path / "none.parquet"))


def test_an_unknown_kind_of_address_is_refused():
    with pytest.raises(flights.DataError, match="use a local path, gs://BUCKET/PATH or s3://"):
        flights.read("ftp://host/flights.parquet")


def test_a_table_of_numeric_codes_is_read_like_the_one_that_rapids_ships(frame, tmp_path):
    coded = frame.copy()
    for name in flights.NAMES:
        coded[name] = coded[name].astype("category").cat.codes
    coded.astype("float32").to_parquet(tmp_path / "coded.parquet")
    read = flights.read(str(tmp_path / "coded.parquet"))
    assert (read[list(flights.NUMBERS)] == frame[list(flights.NUMBERS)]).all(axis=None)


def test_a_folder_of_files_is_one_table(frame, tmp_path):
    frame.head(1_000).to_parquet(tmp_path / "a.parquet")
    frame.tail(2_000).to_parquet(tmp_path / "b.parquet")
    assert len(flights.read(str(tmp_path))) == 3_000


def test_a_random_part_of_a_large_table_is_drawn_by_the_seed(table):
    part = flights.read(str(table), rows=5_000, seed=1)
    assert len(part) == 5_000
    assert part.equals(flights.read(str(table), rows=5_000, seed=1))
    assert not part.equals(flights.read(str(table), rows=5_000, seed=2))
    assert set(part["Month"]) == set(range(1, 13))


def test_the_whole_table_takes_little_memory(table):
    assert flights.read(str(table)).memory_usage(deep=True).sum() / 327_346 < 30


@pytest.mark.parametrize("batch", [1_000_000, 1000])
def test_one_other_value_or_row_makes_another_digest(frame, monkeypatch, batch):
    known = flights.digest(frame)
    monkeypatch.setattr(flights, "BATCH", batch)
    changed = frame.copy()
    changed.loc[changed.index[-1], "Distance"] += 1
    assert flights.digest(frame.copy()) == known
    assert known not in (flights.digest(changed), flights.digest(frame.iloc[:-1]))


def test_a_stratified_split_keeps_the_share_of_late_flights_and_follows_the_seed(frame):
    train, test = flights.split(frame, "stratified", seed=1)
    assert sorted([*train.index, *test.index]) == list(frame.index)
    assert len(test) == pytest.approx(600, abs=2)
    assert train[flights.TARGET].mean() == pytest.approx(test[flights.TARGET].mean(), abs=0.001)
    assert test.equals(flights.split(frame, "stratified", seed=1)[1])
    assert not test.equals(flights.split(frame, "stratified", seed=2)[1])


def test_a_split_by_time_tests_on_days_later_than_any_it_trains_on(frame):
    train, test = flights.split(frame.sample(frac=1, random_state=0), "time")
    train, test = (part["Month"].astype(int) * 100 + part["DayofMonth"] for part in (train, test))
    assert train.max() < test.min()
    assert len(test) == pytest.approx(600, abs=20)


def test_a_split_that_leaves_nothing_to_learn_is_refused(frame):
    with pytest.raises(flights.DataError, match="split=time leaves 0 flights to train on"):
        flights.split(frame.assign(Month=1, DayofMonth=1), "time")
    with pytest.raises(flights.DataError, match="use stratified or time"):
        flights.split(frame, "random")


def test_the_majority_class_is_what_a_model_has_to_beat():
    assert flights.majority_accuracy(np.array([1, 0, 0, 0])) == 0.75
    assert flights.majority_accuracy(np.array([1, 1, 1, 0])) == 0.75


def test_every_real_flight_is_in_the_table_or_counted_as_left_out(table, tmp_path):
    made = airline.make(str(tmp_path / "again.parquet"))
    assert made.flights + made.left_out == 336_776
    assert made.flights == len(flights.read(str(table))) == 327_346
    first = flights.read(str(table)).iloc[0]
    # United 1545 on Tuesday, 1 January 2013, eleven minutes late.
    assert first.to_dict() == {
        "Year": 2013, "Month": 1, "DayofMonth": 1, "DayofWeek": 2, "CRSDepTime": 515,
        "CRSArrTime": 819, "FlightNum": 1545, "Distance": 1400, "UniqueCarrier": "UA",
        "Origin": "EWR", "Dest": "IAH", "ArrDelayBinary": 1,
    }  # fmt: skip


OWN = """\
FL_DATE,YEAR,MONTH,DAY_OF_MONTH,DAY_OF_WEEK,OP_UNIQUE_CARRIER,OP_CARRIER_FL_NUM,ORIGIN,DEST,\
CRS_DEP_TIME,CRS_ARR_TIME,ARR_DELAY,DISTANCE
2019-07-04,2019,7,4,4,AA,0021,JFK,LAX,0700,1025,-3.00,2475.00
2019-07-04,2019,7,4,4,DL,456,ATL,BOS,0905,1140,17.00,946.00
2019-07-04,2019,7,4,4,DL,457,ATL,BOS,1205,1440,,946.00
"""


def test_a_file_of_the_bureau_of_transportation_statistics_becomes_the_table(tmp_path):
    (tmp_path / "own.csv").write_text(OWN)
    made = airline.make(str(tmp_path / "own.parquet"), str(tmp_path / "own.csv"))
    assert (made.flights, made.left_out, made.late) == (2, 1, 1)
    read = flights.read(str(tmp_path / "own.parquet"))
    assert read["FlightNum"].tolist() == [21, 456]
    assert read["CRSDepTime"].tolist() == [700, 905]
    assert read["ArrDelayBinary"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("ORIGIN", "START"), "lacks Origin; it has FL_DATE"),
        (("ARR_DELAY", "DELAY"), r"lacks ArrDelay \(minutes\) or ArrDelayBinary"),
        (("0905", "nine"), "nine"),
        (("946.00", "946.50"), "Distance"),
    ],
)
def test_a_file_that_cannot_become_the_table_is_refused_and_leaves_nothing(tmp_path, change, said):
    (tmp_path / "own.csv").write_text(OWN.replace(*change))
    with pytest.raises(flights.DataError, match=said):
        airline.make(str(tmp_path / "own.parquet"), str(tmp_path / "own.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["own.csv"]
