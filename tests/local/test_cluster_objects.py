"""The object store's pod, run as the kubelet would, and used by MLflow's own client."""

import http.client
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3
import psutil
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from pyarrow import fs

from components.object_store import BUCKET, PORT
from tests.object_store import gateway
from tests.object_store.ledger import Ledger, until_it_is_gone
from tests.object_store.store import Store, copied
from tools.go_module import NoGo

MIB = 1 << 20
STRANGE = ("a space.txt", "ünïcödé/模型.pkl", "user@host/C=0.5,penalty=l2.json", "a+b%20c&d#e.bin")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return copied(gateway.MODULE.program(), tmp_path_factory.mktemp("programs"))
    except NoGo as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Store]:
    """One that is running."""
    store = Store(tmp_path_factory.mktemp("pod"), programs)
    running = store.start()
    yield store
    ended = running.process.poll()
    store.end()
    assert ended is None, f"it ended by itself with {ended}:\n{running.log.read_text()}"


@pytest.fixture
def another(tmp_path: Path, programs: Path) -> Iterator[Store]:
    """One that a test starts and ends."""
    store = Store(tmp_path, programs)
    yield store
    store.end()


@pytest.fixture
def s3(store: Store) -> Any:
    return store.client()


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """Where a test has its artifacts."""
    return f"artifacts/{request.function.__name__}"


@pytest.fixture
def artifacts(store: Store, place: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's own client, with the environment of a tracking server."""
    from server import relay

    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return relay.S3(f"s3://{BUCKET}/{place}")


def keys(s3: Any, prefix: str, **more: Any) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix, **more)
    return [each["Key"] for page in pages for each in page.get("Contents", [])]


def test_mlflow_writes_reads_lists_and_deletes_artifacts_small_and_large(artifacts, tmp_path):
    (tmp_path / "note.txt").write_text("took off")
    (tmp_path / "empty").touch()
    (tmp_path / "model.bin").write_bytes(b"m" * (20 * MIB))
    artifacts.log_artifacts(str(tmp_path), "model")

    assert {f.path: f.file_size for f in artifacts.list_artifacts("model")} == {
        "model/note.txt": 8,
        "model/empty": 0,
        "model/model.bin": 20 * MIB,
    }
    copy = Path(artifacts.download_artifacts("model", str(tmp_path)))
    assert (copy / "note.txt").read_text() == "took off"
    assert (copy / "empty").read_bytes() == b""
    assert (copy / "model.bin").read_bytes() == b"m" * (20 * MIB)
    artifacts.delete_artifacts("model")
    assert artifacts.list_artifacts("model") == []
    assert artifacts.list_artifacts() == []


def test_mlflow_writes_over_what_is_there(artifacts, tmp_path):
    for text in ("first", "then"):
        (tmp_path / "note.txt").write_text(text)
        artifacts.log_artifact(str(tmp_path / "note.txt"))

    (tmp_path / "note.txt").unlink()
    assert Path(artifacts.download_artifacts("note.txt", str(tmp_path))).read_text() == "then"


@pytest.mark.parametrize("name", STRANGE)
def test_names_are_kept_as_they_are(artifacts, tmp_path, name):
    file = tmp_path / "in" / name
    file.parent.mkdir(parents=True)
    file.write_text(name)
    artifacts.log_artifacts(str(tmp_path / "in"), "named")
    (tmp_path / "out").mkdir()
    copy = Path(artifacts.download_artifacts("named", str(tmp_path / "out")))

    assert (copy / name).read_text() == name


def test_a_folder_of_many_files_is_listed_whole_and_deleted_whole(s3, store, artifacts, place):
    names = [f"{place}/{number:04}.txt" for number in range(1005)]
    # To sign and send each would take seconds: most are there as after a restore.
    for number, name in enumerate(names):
        if number % 50:
            (store.bucket / name).write_bytes(b"x")
        else:
            s3.put_object(Bucket=BUCKET, Key=name, Body=b"x")

    assert keys(s3, f"{place}/", PaginationConfig={"PageSize": 100}) == names
    assert len(artifacts.list_artifacts()) == len(names)
    artifacts.delete_artifacts()
    assert keys(s3, place) == []


def test_a_part_of_an_object_and_what_it_is_without_reading_it(s3):
    s3.put_object(Bucket=BUCKET, Key="artifacts/digits", Body=b"0123456789", ContentType="text/x")
    where = {"Bucket": BUCKET, "Key": "artifacts/digits"}

    assert s3.get_object(**where, Range="bytes=3-5")["Body"].read() == b"345"
    assert s3.get_object(**where, Range="bytes=-2")["Body"].read() == b"89"
    head = s3.head_object(**where)
    assert (head["ContentLength"], head["ContentType"]) == (10, "text/x")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=BUCKET, Key="artifacts/nothing")


def test_an_address_that_was_signed_for_somebody_serves_without_a_key(s3):
    s3.put_object(Bucket=BUCKET, Key="artifacts/signed", Body=b"for you")
    where = {"Bucket": BUCKET, "Key": "artifacts/signed"}
    address = s3.generate_presigned_url("get_object", Params=where)

    with urlopen(address) as answer:  # noqa: S310
        assert answer.read() == b"for you"
    with pytest.raises(OSError, match="403"):
        urlopen(address.replace("artifacts/signed", "artifacts/other"))  # noqa: S310


def test_an_upload_in_parts_that_is_given_up_leaves_nothing(s3, store):
    where = {"Bucket": BUCKET, "Key": "artifacts/given-up"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"p" * (5 * MIB))
    s3.abort_multipart_upload(**where, UploadId=upload)

    assert keys(s3, "artifacts/given-up") == []
    parts = (store.bucket / ".sgwtmp").rglob("*")
    assert [file for file in parts if file.is_file()] == []


def test_an_object_below_an_object_is_refused_and_harms_neither(s3):
    s3.put_object(Bucket=BUCKET, Key="artifacts/file", Body=b"whole")

    with pytest.raises(ClientError, match="ObjectParentIsFile"):
        s3.put_object(Bucket=BUCKET, Key="artifacts/file/below", Body=b"x")
    assert s3.get_object(Bucket=BUCKET, Key="artifacts/file")["Body"].read() == b"whole"


def test_a_file_that_was_written_under_another_name_is_renamed(s3, store):
    """As `training/airline.py` has it, so that a reader sees the whole table or none."""
    system = fs.S3FileSystem(
        endpoint_override=f"http://127.0.0.1:{store.port}",
        access_key=store.user["access"],
        secret_key=store.user["secret"],
        region="us-east-1",
    )
    with system.open_output_stream(f"{BUCKET}/data/table.partial") as table:
        table.write(b"t" * (20 * MIB))
    system.move(f"{BUCKET}/data/table.partial", f"{BUCKET}/data/table")

    assert s3.get_object(Bucket=BUCKET, Key="data/table")["Body"].read() == b"t" * (20 * MIB)
    assert "data/table.partial" not in keys(s3, "data/")


def test_an_object_is_a_file_and_a_file_that_somebody_puts_there_is_an_object(
    store, artifacts, place, tmp_path
):
    folder = store.bucket / place
    (tmp_path / "note.txt").write_text("took off")
    artifacts.log_artifact(str(tmp_path / "note.txt"))
    assert (folder / "note.txt").read_text() == "took off"

    (folder / "restored.bin").write_bytes(b"r" * (20 * MIB))  # it has no attributes
    copy = artifacts.download_artifacts("restored.bin", str(tmp_path))
    assert Path(copy).read_bytes() == b"r" * (20 * MIB)


RIGHTS_IT_LACKS = {
    "make a bucket": lambda s3: s3.create_bucket(Bucket="third"),
    "delete its bucket": lambda s3: s3.delete_bucket(Bucket=BUCKET),
    "write elsewhere": lambda s3: s3.put_object(Bucket="another", Key="x", Body=b""),
    "read elsewhere": lambda s3: s3.list_objects_v2(Bucket="another"),
    "read its policy": lambda s3: s3.get_bucket_policy(Bucket=BUCKET),
    "change its policy": lambda s3: s3.put_bucket_policy(Bucket=BUCKET, Policy="{}"),
    "delete its policy": lambda s3: s3.delete_bucket_policy(Bucket=BUCKET),
    "open its bucket": lambda s3: s3.put_bucket_acl(Bucket=BUCKET, ACL="public-read"),
    "open an object": lambda s3: s3.put_object_acl(Bucket=BUCKET, Key="x", ACL="public-read"),
}


@pytest.mark.parametrize("act", RIGHTS_IT_LACKS.values(), ids=RIGHTS_IT_LACKS)
def test_the_server_may_do_no_more_than_it_needs(s3, store, act):
    (store.bucket.parent / "another").mkdir(exist_ok=True)

    with pytest.raises(ClientError, match="AccessDenied"):
        act(s3)


@pytest.mark.parametrize(
    "who",
    [
        {"aws_access_key_id": "stranger", "aws_secret_access_key": "guess"},
        {"aws_access_key_id": "server", "aws_secret_access_key": "guess"},
        {"config": Config(signature_version=UNSIGNED)},
    ],
    ids=["a stranger", "with another password", "nobody"],
)
def test_nobody_else_may_do_anything(store, who):
    stranger = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{store.port}", **who)

    with pytest.raises(ClientError, match="InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied"):
        stranger.list_objects_v2(Bucket=BUCKET)


def test_only_s3_listens_to_others(store):
    connections = psutil.Process(store.started[-1].process.pid).net_connections()
    listening = {c.laddr for c in connections if c.status == psutil.CONN_LISTEN}

    assert {a.port for a in listening if a.ip != "127.0.0.1"} == {store.port}
    assert [p["containerPort"] for p in store.container["ports"]] == [PORT]


def test_no_key_is_among_the_arguments_or_in_the_log(store, s3):
    s3.list_objects_v2(Bucket=BUCKET)
    running = store.started[-1]
    environment = psutil.Process(running.process.pid).environ()
    secrets = [store.user["secret"], environment["ROOT_ACCESS_KEY"], environment["ROOT_SECRET_KEY"]]
    shown = " ".join(running.process.args + psutil.Process(running.process.pid).cmdline())

    assert [key for key in secrets if len(key) < 30 or key in shown + running.log.read_text()] == []


def test_six_large_uploads_at_once_take_a_part_of_the_memory_that_it_asks_for(store, s3):
    process = psutil.Process(store.started[-1].process.pid)
    body = os.urandom(32 * MIB)
    at_work = [
        threading.Thread(
            target=s3.put_object, kwargs={"Bucket": BUCKET, "Key": f"artifacts/{n}", "Body": body}
        )
        for n in range(6)
    ]
    peak = 0
    for thread in at_work:
        thread.start()
    while any(thread.is_alive() for thread in at_work):
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.01)

    asked = store.container["resources"]["requests"]["memory"]
    assert peak < int(asked.removesuffix("Mi")) * MIB
    assert {
        s3.head_object(Bucket=BUCKET, Key=f"artifacts/{n}")["ContentLength"] for n in range(6)
    } == {32 * MIB}


def test_what_was_acknowledged_outlives_the_store_and_nothing_else_shows(another):
    ledger = Ledger(BUCKET)
    for life in range(10):
        running = another.start()
        s3 = another.client(retries={"total_max_attempts": 1}, read_timeout=20)
        ledger.check(s3)
        before = ledger.acknowledged
        clients = [until_it_is_gone(work) for work in kinds_of_work(ledger, s3, life)]
        time.sleep(0.3 + 0.05 * life)
        running.stop(signal.SIGKILL)
        for client in clients:
            client.join(timeout=60)
        assert not any(client.is_alive() for client in clients)
        assert ledger.acknowledged > before

    another.start()
    ledger.check(another.client())


def kinds_of_work(ledger: Ledger, s3: Any, life: int) -> list[Callable[[int], None]]:
    """Each is done again and again, with the number of the time."""

    def come_and_go(n: int) -> None:
        ledger.put(s3, "artifacts/gone", 9)
        ledger.delete(s3, "artifacts/gone")

    return [
        lambda n: ledger.put(s3, f"artifacts/{life}/{n}", 1000),
        lambda n: ledger.put(s3, f"artifacts/again/{n % 3}", n * 10000),
        lambda n: ledger.put_in_parts(s3, f"artifacts/large/{n % 2}", [5 * MIB, n]),
        come_and_go,
    ]


def test_it_ends_at_once_when_nobody_uploads(another):
    running = another.start()
    another.client().put_object(Bucket=BUCKET, Key="artifacts/x", Body=b"x")
    began = time.monotonic()

    assert running.stop() == 0
    assert time.monotonic() - began < 5


def test_an_upload_that_is_under_way_at_its_end_is_whole_or_refused(another):
    running = another.start()
    where = {"Bucket": BUCKET, "Key": "artifacts/slow"}
    address = urlsplit(another.client().generate_presigned_url("put_object", Params=where))
    upload = http.client.HTTPConnection("127.0.0.1", another.port, timeout=30)
    upload.putrequest("PUT", f"{address.path}?{address.query}")
    upload.putheader("Content-Length", str(4 * MIB))
    upload.endheaders(b"s" * MIB)
    time.sleep(0.5)
    running.process.send_signal(signal.SIGTERM)
    for _ in range(3):
        time.sleep(0.3)
        upload.send(b"s" * MIB)
    status = upload.getresponse().status
    began = time.monotonic()

    assert running.process.wait(timeout=60) == 0
    assert time.monotonic() - began < another.pod.spec["terminationGracePeriodSeconds"]
    another.start()
    there = keys(another.client(), "artifacts/slow")
    assert (status, there) in [(200, ["artifacts/slow"]), (500, []), (503, [])]


def test_each_start_makes_what_is_missing(another):
    another.start().stop()
    another.bucket.rmdir()
    policy = another.volume / "attributes" / BUCKET / "meta" / "policy"
    policy.write_text("{}")
    another.start()

    another.client().put_object(Bucket=BUCKET, Key="artifacts/x", Body=b"x")


def test_a_start_clears_away_the_parts_of_uploads_that_were_left_a_week_ago(another):
    another.start().stop()
    parts = another.bucket / ".sgwtmp" / "multipart" / "some-key"
    for upload, days in {"old": 8, "new": 6}.items():
        (parts / upload).mkdir(parents=True)
        (parts / upload / "1").touch()
        for path in (parts / upload / "1", parts / upload):
            path.chmod(0o777)
            os.utime(path, (0, time.time() - days * 24 * 3600))
    parts.chmod(0o777)
    another.start()

    assert {str(path.relative_to(parts)) for path in parts.rglob("*")} == {"new", "new/1"}


def test_a_volume_that_it_may_not_write_to_is_named_in_one_sentence(another):
    another.volume.chmod(0o555)
    running = another.launch()

    assert running.process.wait(timeout=30) == 1
    assert (
        "The store cannot write to its volume as user" in running.log.read_text().splitlines()[-1]
    )


@pytest.fixture
def full(another: Store) -> Iterator[Store]:
    """One whose volume holds 40 MiB and is full."""
    if os.geteuid() != 0 or os.uname().sysname != "Linux":
        pytest.skip("a volume of a certain size takes root on Linux")
    size = ["-t", "tmpfs", "-o", "size=40m,mode=0777", "tmpfs"]
    subprocess.run(["mount", *size, str(another.volume)], check=True)
    try:
        another.start()
        s3 = another.client()
        with pytest.raises(ClientError, match="InsufficientStorage.*No space left"):
            fill(s3)
        with pytest.raises(OSError, match="No space left"):
            (another.volume / "rest").write_bytes(b"r" * MIB)
        yield another
    finally:
        another.end()
        subprocess.run(["umount", str(another.volume)], check=True)


def fill(s3: Any) -> None:
    for number in range(100):
        s3.put_object(Bucket=BUCKET, Key=f"artifacts/{number}", Body=b"f" * MIB)


def test_a_full_volume_refuses_uploads_and_can_be_read_and_emptied(full):
    for _ in range(2):  # as it is, and after a start
        s3 = full.client()
        there = keys(s3, "artifacts/")
        with pytest.raises(ClientError, match="InsufficientStorage"):
            s3.put_object(Bucket=BUCKET, Key="artifacts/more", Body=b"f" * (8 * MIB))
        assert keys(s3, "artifacts/") == there
        assert s3.get_object(Bucket=BUCKET, Key=there[0])["Body"].read() == b"f" * MIB
        full.started[-1].stop()
        full.start()

    s3.delete_object(Bucket=BUCKET, Key=there[0])
    s3.put_object(Bucket=BUCKET, Key=there[0], Body=b"again")
