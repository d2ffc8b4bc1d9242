"""A bucket that containers work in, as this machine sees it: inputs go in, and a run's history and weights come out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3

from tests.support.servers.processes import Endpoint


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the run in it that a test is about, below ``runs/``."""

    client: Any
    name: str
    run: str

    @property
    def inputs(self) -> dict[str, str]:
        """Where model and training data lie, and where the run is to be kept, by setting without prefix."""
        places = {"MODEL__URI": "inputs/model", "DATA__TRAIN_URI": "inputs/train.csv", "OUTPUT__URI": "runs"}
        return {name: f"s3://{self.name}/{place}" for name, place in places.items()}

    def of(self, run: str) -> Bucket:
        """The same bucket, and another run in it."""
        return replace(self, run=run)

    def put_inputs(self, folder: Path) -> None:
        for path in filter(Path.is_file, folder.rglob("*")):
            self.client.upload_file(str(path), self.name, f"inputs/{path.relative_to(folder)}")

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def content(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def entries(self) -> list[dict[str, Any]]:
        """The run's history."""
        return [json.loads(self.content(key)) for key in sorted(self.keys(f"runs/{self.run}/log/"))]

    def committed(self) -> list[int]:
        """The steps that were committed, in the order of the log."""
        return [entry["fields"]["step"] for entry in self.entries() if entry["kind"] == "committed"]

    def weights(self) -> bytes:
        """The published model's."""
        entry = next(entry for entry in self.entries() if entry["kind"] == "published")
        return self.content(f"runs/{entry['fields']['manifest'].rpartition('/')[0]}/model.safetensors")


@contextlib.contextmanager
def bucket(server: Endpoint, name: str, run: str) -> Iterator[Bucket]:
    """A new bucket, for as long as somebody looks into it; its objects go with the server."""
    options = {"aws_access_key_id": server.key, "aws_secret_access_key": server.secret, "region_name": "us-east-1"}
    client = boto3.Session().client("s3", endpoint_url=server.url, **options)
    client.create_bucket(Bucket=name)
    yield Bucket(client, name, run)
    client.close()
