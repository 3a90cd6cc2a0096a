"""The API as one ASGI application, with its specification."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from ocelog.app.search.query_slots import QuerySlots
from ocelog.app.status.overview import Overview
from ocelog.console.api import (
    alerts,
    channels,
    events,
    health,
    rejections,
    rule_folders,
    rules,
    saved_searches,
    schemas,
    sources,
    status,
    streams,
    suppressions,
    tables,
    users,
)
from ocelog.console.api.caller import Door, Viewer
from ocelog.console.api.problems import HANDLERS, RESPONSES, FieldProblem, Problem
from ocelog.console.deeds import TrailMiddleware
from ocelog.console.endpoints import Looks
from ocelog.installation.opening import Installation

PREFIX = "/api/"
BASE = "/api/v1"
ROUTERS = (
    sources.router,
    streams.router,
    schemas.router,
    tables.router,
    events.router,
    saved_searches.router,
    rejections.router,
    rules.router,
    rule_folders.router,
    alerts.router,
    suppressions.router,
    channels.router,
    health.router,
    status.router,
    users.router,
)
"""Everything that can be asked."""
_ABOUT = """\
Most of what a person can do in the console and by commands, for programs. Each request shows a token (`Authorization:
Bearer ocelog_...`), which has at most the role of its user. A list is read page by page: `next` of a page is the
`cursor` of the one after it. Instants are in RFC 3339, in UTC. An error is `application/problem+json` whose `code` is
stable.
"""
_meta = APIRouter(tags=["API"])


@_meta.get("/openapi.json", include_in_schema=False)
def specification(request: Request, caller: Viewer) -> Response:  # noqa: ARG001 - nobody reads it without a token
    """Return this specification."""
    return JSONResponse(request.app.openapi())


def application() -> FastAPI:
    """Return the API without an installation: its routes and its specification."""
    app = FastAPI(
        title="Ocelog",
        version="1",
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
    )
    for each in (_meta, *ROUTERS):
        app.include_router(each, prefix=BASE, responses=RESPONSES)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.openapi = _specification(app.openapi)  # type: ignore[method-assign] # as FastAPI's documentation does it
    return app


def _specification(made: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    def whole() -> dict[str, Any]:
        found = made()
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, FieldProblem):
            if model.__name__ not in schemas:
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schema.pop("$defs", None)
                schemas[model.__name__] = schema
        return found

    return whole


def api(installation: Installation, overviews: Looks[Overview], query_slots: QuerySlots) -> ASGIApp:
    """Return the API of an open installation; its queries share the slots of the pages."""
    app = application()
    app.state.installation, app.state.overviews, app.state.query_slots = installation, overviews, query_slots
    return Door(app=TrailMiddleware(app, installation), installation=installation)
