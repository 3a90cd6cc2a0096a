"""The API holds to its specification, whatever it is sent: no fault of the server, no answer of another shape."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ocelog.access import Role, Scope
from ocelog.console.api.application import application
from ocelog.console.api.caller import Door, Rates
from ocelog.console.site import Site
from visiting import ADDRESS, Console, Program, console_of, program
from visiting.everything import SECRET, fill, nothing_is_asked

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(json.loads(json.dumps(application().openapi())))
GOES = {"source": "spare", "channel": "spare"}
"""What a DELETE may name, so that the rest stays for other operations."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A program, and what a path may name."""

    program: Program
    app: Any
    there: dict[str, str]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with (
        pytest.MonkeyPatch.context() as patch,
        console_of(tmp_path_factory.mktemp("console") / "home") as console,
    ):
        nothing_is_asked(patch)
        there = fill(console)
        found = program(console, Role.ADMIN, Scope.ADMIN)
        # As often as it likes.
        _door(console).rates = Rates(per_second=1e9, at_once=10**9)
        yield Asked(found, _function(console.site), dict(there))


def _door(console: Console) -> Door:
    door: Any = console.site.api
    while not isinstance(door, Door):
        door = door._app
    return door


def _function(site: Site) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await site(scope, receive, send)

    return app


@pytest.mark.slow
@SCHEMA.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_answers_as_the_specification_says(case: Any, asked: Asked) -> None:
    there = asked.there | (GOES if case.method == "DELETE" else {})
    for name, value in case.path_parameters.items():
        # Half of them name what is there.
        if name in there and sum(map(ord, str(value))) % 2:
            case.path_parameters[name] = there[name]
    headers = {"authorization": f"Bearer {asked.program.token}"}
    answer = case.call_and_validate(app=asked.app, base_url=ADDRESS, headers=headers, checks=CHECKS)
    assert SECRET not in answer.text
