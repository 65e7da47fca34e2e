"""What a store has acknowledged, whatever happens to it meanwhile."""

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError


class Ledger:
    """For each key, what may be found there: what was acknowledged last, or was sent since."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self._possible: dict[str, list[str | None]] = defaultdict(lambda: [None])
        self.acknowledged = 0

    def put(self, s3: Any, key: str, size: int) -> None:
        """Write something new; a key must not be written to twice at a time."""
        body = os.urandom(size)
        self._send(
            key, _digest(body), lambda: s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        )

    def put_in_parts(self, s3: Any, key: str, parts: list[int]) -> None:
        """The same by multipart upload."""
        bodies = [os.urandom(size) for size in parts]

        def send() -> None:
            named = {"Bucket": self.bucket, "Key": key}
            upload = s3.create_multipart_upload(**named)["UploadId"]
            known = [
                {
                    "PartNumber": number,
                    "ETag": s3.upload_part(**named, UploadId=upload, PartNumber=number, Body=body)[
                        "ETag"
                    ],
                }
                for number, body in enumerate(bodies, start=1)
            ]
            s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": known})

        self._send(key, _digest(b"".join(bodies)), send)

    def delete(self, s3: Any, key: str) -> None:
        """Delete it."""
        self._send(key, None, lambda: s3.delete_object(Bucket=self.bucket, Key=key))

    def _send(self, key: str, digest: str | None, send: Callable[[], Any]) -> None:
        self._possible[key].append(digest)
        send()
        self._possible[key] = [digest]
        self.acknowledged += 1

    def check(self, s3: Any) -> None:
        """What was acknowledged is there, and nothing else but what was sent whole."""
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        listed = {each["Key"] for page in pages for each in page.get("Contents", [])}
        wrong = {}
        for key in listed | set(self._possible):
            found = None
            if key in listed:
                found = _digest(s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
            if found not in self._possible[key]:
                wrong[key] = (found, self._possible[key])
        assert wrong == {}


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def until_it_is_gone(work: Callable[[int], None]) -> threading.Thread:
    """Do it again and again, with the number of the time, until nobody answers any more."""

    def repeat() -> None:
        number = 0
        while True:
            try:
                work(number)
            except (BotoCoreError, ClientError, HTTPClientError):
                return
            number += 1

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    return thread
