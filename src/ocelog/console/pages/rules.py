"""Detections: the rules and packs, one rule with its source and its tests, and turning them on and off."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from ocelog.app import rule_folders, rules, users
from ocelog.app.rule_folders import ListedRule
from ocelog.console.capacity import slowly
from ocelog.console.rendering import page
from ocelog.console.visitor import Admin, Analyst, Viewer, Visitor, installation_of
from ocelog.errors import ConfigError, OcelogError

router = APIRouter()


def _list(request: Request, visitor: Visitor, refused: OcelogError | None = None) -> Response:
    text, status = (request.query_params.get(name, "").strip() for name in ("text", "status"))
    folders = rule_folders.listed(installation_of(request))
    every = [rule for folder in folders for rule in folder.rules]
    found = [each for each in every if _is_like(each, text.casefold()) and status in ("", each.status)]
    packs = dict[str, list[bool]]()
    for rule in every:
        for name in rule.packs:
            packs.setdefault(name, []).append(rule.decision.runs)
    return page(
        request,
        "rules.html",
        visitor=visitor,
        status=200 if refused is None else 422,
        rules=found,
        packs={name: (sum(runs), len(runs)) for name, runs in sorted(packs.items())},
        problems=[f"{folder.folder.name}: {each}" for folder in folders for each in folder.problems],
        states=sorted({each.status for each in every}),
        text=text,
        chosen=status,
        refused=refused,
    )


def _is_like(rule: ListedRule, text: str) -> bool:
    return not text or any(text in part.casefold() for part in (rule.id, _title(rule), *rule.packs))


def _title(rule: ListedRule) -> str:
    return str(getattr(rule.item, "name", "") or rule.id)


@router.get("/rules")
def show(request: Request, visitor: Viewer) -> Response:
    """List the rules and packs."""
    return _list(request, visitor)


@router.post("/rules")
def turn(
    request: Request,
    visitor: Admin,
    names: Annotated[Sequence[str], Form(max_length=1_000)] = (),
    on: Annotated[bool, Form()] = False,  # noqa: FBT002 - a field of a form
) -> Response:
    """Turn rules or packs on or off."""
    installation = installation_of(request)
    if not names:
        return _list(request, visitor, ConfigError("Choose at least one rule."))
    try:
        turned = rule_folders.turn(installation, names, on=on)
    except OcelogError as error:
        return _list(request, visitor, error)
    what = "rule.enabled" if on else "rule.disabled"
    for name in (*turned.packs, *turned.rules[: len(names)]):
        users.note(installation, visitor.user, what, name, visitor.origin)
    return RedirectResponse("/rules", status_code=303)


@router.get("/rules/{rule_id}")
def details(request: Request, visitor: Viewer, rule_id: str) -> Response:
    """Show one rule with its file."""
    return _details(request, visitor, rule_id)


@router.post("/rules/{rule_id}/tests")
@slowly
def run_tests(request: Request, visitor: Analyst, rule_id: str) -> Response:
    """Run the tests of a rule, and show how they end."""
    return _details(request, visitor, rule_id, tested=True)


def _details(request: Request, visitor: Visitor, rule_id: str, *, tested: bool = False) -> Response:
    installation = installation_of(request)
    try:
        rule = rule_folders.find_rule(installation, rule_id)
        report = rules.run_tests(rule.root / rule.item.place.file, told=lambda _done, _all: None) if tested else None
    except OcelogError as error:
        return page(request, "trouble.html", visitor=visitor, status=404, kind="known", needed="", error=error)
    texts = rule_folders.texts(rule)
    return page(request, "rule.html", visitor=visitor, rule=rule, title=_title(rule), texts=texts, report=report)
