"""How a served tenant can be set up: every option of `wizsim serve`."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wizsim.accounts import DEFAULT_SCOPES
from wizsim.limits import LimiterKind
from wizsim.record_types import RECORD_TYPES

MOST_RECORDS = 10_000_000
YEARS = 10 * 366 * 86_400
"""Ten years, in seconds: further than that no clock or token needs to go."""


class Inclusive(StrEnum):
    """Which edges of a date filter take in the instant itself."""

    NEITHER = "neither"
    AFTER = "after"
    BEFORE = "before"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the options of the command say, each with what it is when not given."""

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 0
    seed: Annotated[int, typer.Option(help="The same seed gives the same tenant.")] = 0
    records: Mapping[str, int]
    """How many there are at the start, by type: an option for each."""
    rate: Annotated[float, typer.Option(min=0, max=10_000, help="Changes per second.")] = 0.0
    late: Annotated[float, typer.Option(min=0, max=YEARS, help="Mean seconds until a change is seen.")] = 20.0
    age: Annotated[
        float, typer.Option(min=0.001, max=10, help="How old the first records are: 0.1 is a tenth of the usual.")
    ] = 1.0
    ties: Annotated[float, typer.Option(min=0, max=0.99, help="Share of records that have the time of another.")] = 0.0
    latency: Annotated[float, typer.Option(min=0, max=600_000, help="Milliseconds before each answer.")] = 0.0
    limit: Annotated[
        float, typer.Option(min=0, max=10_000, help="Requests per second, token requests included; 0: no limit.")
    ] = 0.0
    limiter: Annotated[LimiterKind, typer.Option(help="How the limit counts.")] = LimiterKind.SLIDING
    truth: Annotated[Path | None, typer.Option(help="Write the truth log (NDJSON) to this file.")] = None
    fault: Annotated[list[str] | None, typer.Option(help="NAME[:PROBABILITY][:key=value]...; see `wizsim faults`.")] = (
        None
    )
    fault_seed: Annotated[int | None, typer.Option(help="Seed of the faults; by default the tenant's.")] = None
    inclusive: Annotated[Inclusive, typer.Option(help="Edges of date filters that are inclusive.")] = Inclusive.NEITHER
    tie_break: Annotated[bool, typer.Option("--tie-break", help="Cursors distinguish records of the same time.")] = (
        False
    )
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="Listings without an order begin with the oldest.")
    ] = False
    page_cap: Annotated[int, typer.Option(min=1, max=MOST_RECORDS, help="Maximum issues or findings per page.")] = 500
    audit_page_cap: Annotated[int, typer.Option(min=1, max=MOST_RECORDS, help="Maximum audit entries per page.")] = (
        5_000
    )
    page_cap_refuse: Annotated[
        bool, typer.Option("--page-cap-refuse", help="Refuse larger pages instead of cutting them.")
    ] = False
    max_count: Annotated[int, typer.Option(min=1, max=MOST_RECORDS, help="Where totalCount of findings stops.")] = (
        100_000
    )
    token_lifetime: Annotated[int, typer.Option(min=1, max=YEARS, help="Seconds that a token is valid.")] = 86_400
    scopes: Annotated[str, typer.Option(help="Scopes of the service account, separated by commas.")] = ",".join(
        DEFAULT_SCOPES
    )
    resources_scope: Annotated[
        bool,
        typer.Option(
            "--resources-scope/--no-resources-scope",
            help="Whether the resources of issues and findings also need read:resources.",
        ),
    ] = True
    projects: Annotated[
        str,
        typer.Option(help="Bind the account to projects: their ids, separated by commas, or how many of the busiest."),
    ] = ""
    self_audit: Annotated[bool, typer.Option("--self-audit", help="Collectors show up in the audit log.")] = False
    clock_offset: Annotated[
        float, typer.Option(min=-YEARS, max=YEARS, help="Seconds that the tenant's clock is ahead of ours.")
    ] = 0.0
    stepped: Annotated[bool, typer.Option("--stepped", help="Time only moves by POST /admin/advance.")] = False
    admin_token: Annotated[
        str | None, typer.Option(envvar="WIZSIM_ADMIN_TOKEN", help="Admin token; random by default.")
    ] = None
    json: Annotated[
        bool, typer.Option("--json", help="Print the addresses as one JSON object, the admin token too.")
    ] = False
    bare: Annotated[
        bool,
        typer.Option("--bare", help="Print four bare lines: token URL, API URL, client ID, client secret."),
    ] = False
    until_stdin_closes: Annotated[
        bool,
        typer.Option("--until-stdin-closes", help="End with the program that holds the other end of standard input."),
    ] = False


def options() -> inspect.Signature:
    """Return each field of Settings as an option, and in place of `records` one for each type."""
    found = list[inspect.Parameter]()
    for field in inspect.signature(Settings).parameters.values():
        found += _counts() if field.name == "records" else [field]
    return inspect.Signature(found)


def _counts() -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=type_.served,
            annotation=Annotated[int, typer.Option(min=0, max=MOST_RECORDS, help=f"{type_.title} at the start.")],
        )
        for name, type_ in RECORD_TYPES.items()
    ]
