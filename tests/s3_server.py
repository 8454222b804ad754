"""An S3 that speaks real HTTP on this machine: moto's server, with a bucket, and who may enter."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


class S3:
    """The running server; ``address`` is what AWS_ENDPOINT_URL takes."""

    def __init__(self, address: str) -> None:
        import boto3
        from botocore.config import Config

        self.address = address
        self.client: Any = boto3.client(
            "s3", endpoint_url=address, region_name=REGION, config=Config(retries={"max_attempts": 1}),
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip

    def make(self, bucket: str) -> str:
        """Make a bucket."""
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def put(self, bucket: str, key: str, content: bytes) -> str:
        """Put an object; its address."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content)
        return f"s3://{bucket}/{key}"

    def keys(self, bucket: str) -> set[str]:
        """Names of all objects in a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {each["Key"] for page in pages for each in page.get("Contents", [])}

    @contextmanager
    def asking_for_credentials(self) -> Iterator[None]:
        """As Amazon does: within this, whom it does not know is turned away. (moto knows nobody.)"""
        import requests

        requests.post(f"{self.address}/moto-api/reset-auth", data="0", timeout=10)
        try:
            yield
        finally:
            requests.post(f"{self.address}/moto-api/reset-auth", data="inf", timeout=10)


@contextmanager
def running() -> Iterator[S3]:
    """Start a server, with credentials and its address in the environment; at the end all is as before."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    with tempfile.NamedTemporaryFile() as empty:
        # No question goes to a machine's metadata service, and a developer's own profile is left alone.
        around = {
            "AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": empty.name, "AWS_SHARED_CREDENTIALS_FILE": empty.name, "AWS_MAX_ATTEMPTS": "1",
        }  # fmt: skip
        try:
            with patch.dict(os.environ, {**around, **CREDENTIALS}):
                os.environ.pop("AWS_PROFILE", None)
                yield S3(address)
        finally:
            server.stop()
