"""How dlt pulls the findings into DuckDB: the job that bench/pull.py sets beside ours, written as dlt's guide shows."""

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers import requests
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

ROOT = "data.vulnerabilityFindings"


def token(url: str, client_id: str, secret: str) -> str:
    form = {"grant_type": "client_credentials", "audience": "wiz-api", "client_id": client_id, "client_secret": secret}
    return str(requests.post(url, data=form).json()["access_token"])


def main() -> None:
    environment = os.environ
    bearer = token(environment["TOKEN_URL"], environment["CLIENT_ID"], environment["CLIENT_SECRET"])
    client = RESTClient(
        base_url=environment["API_URL"].removesuffix("/graphql"),
        auth=BearerTokenAuth(token=bearer),
        paginator=JSONResponseCursorPaginator(
            cursor_path=f"{ROOT}.pageInfo.endCursor",
            cursor_body_path="variables.after",
            has_more_path=f"{ROOT}.pageInfo.hasNextPage",
        ),
        data_selector=f"{ROOT}.nodes",
    )
    query = (resources.files("ocelog.sources.wiz") / "findings.graphql").read_text()
    statuses = ["OPEN", "IN_PROGRESS", "RESOLVED", "REJECTED"]
    question = {"query": query, "variables": {"first": 500, "after": None, "filterBy": {"status": statuses}}}

    def pages() -> Iterator[Any]:
        yield from client.paginate("/graphql", method="POST", json=question)

    findings = dlt.resource(pages, name="findings", primary_key="id", write_disposition="append")
    folder = Path(environment["FOLDER"])
    destination = dlt.destinations.duckdb(str(folder / "findings.duckdb"))
    pipeline = dlt.pipeline(
        "findings", destination=destination, dataset_name="wiz", pipelines_dir=str(folder / "pipelines")
    )
    # Not dlt's default for DuckDB, but many times as fast: a reader of its guide on performance would choose it.
    how: Any = {"loader_file_format": "parquet"} if environment["LOADER"] == "parquet" else {}
    pipeline.run(findings, **how)


if __name__ == "__main__":
    main()
