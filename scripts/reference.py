"""What each command, setting, table, column and fault is: the pages of docs/reference, written from the code."""

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer
from fastapi.routing import APIRoute

import wizsim.cli
from ocelog import errors
from ocelog.app.metrics import METRICS
from ocelog.app.search.tables import columns, meanings
from ocelog.channels.kind import Setting
from ocelog.channels.registry import CHANNELS
from ocelog.cli.app import build
from ocelog.console.api.application import BASE, ROUTERS, application
from ocelog.console.api.problems import CODES
from ocelog.detect.checkout import read_checkout
from ocelog.detect.conditions import CONDITIONS, SHORT, Condition, Operand
from ocelog.detect.rule import CorrelationRule, Rule
from ocelog.installation import config
from ocelog.lake.read.current import CURRENT, current_sql
from ocelog.lake.read.sql import sql_type
from ocelog.model import ALL_LOGS
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.sources.wiz.streams import ROOTS
from wizsim.faults import MEANINGS

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "reference"
BEGIN, END = "<!-- current:begin -->\n", "<!-- current:end -->"
CODES_BEGIN, CODES_END = "<!-- codes:begin -->\n", "<!-- codes:end -->"
SCOPES_BEGIN, SCOPES_END = "<!-- scopes:begin -->\n", "<!-- scopes:end -->"
CONDITIONS_BEGIN, CONDITIONS_END = "<!-- conditions:begin -->\n", "<!-- conditions:end -->"
_DEFAULT_PACK = "Ocelog.Wiz.Default"
NOTE = "<!-- Written by `make docs` from the code: change it there. -->"


def commands() -> Iterator[str]:
    """Every command of `ocelog` with its arguments and options."""
    yield "# Commands"
    yield (
        "Each command says the same with `--help`. Exit codes: 0: all is well. 1: something needs attention (from "
        "`status`), or an unexpected error. 2: action required, also if you answer no, or press Ctrl-C at a question. "
        "3: try again later. 130: stopped by Ctrl-C."
    )
    yield from _command(typer.main.get_command(build(None, whole=True)), typer.Context, "ocelog", None)


def simulator() -> Iterator[str]:
    """Every command of `wizsim`, and every fault that it can have."""
    yield "# The simulator"
    yield (
        "`wizsim` serves a simulated Wiz tenant, to Ocelog or to any other client of Wiz's API. The same seed gives "
        "the same tenant. It changes as fast as you say, and has the faults that you ask for."
    )
    yield from _command(typer.main.get_command(wizsim.cli.app), typer.Context, "wizsim", None)
    yield "## Faults"
    yield (
        "Each fault also takes: `type` (only requests about audit, issues, findings or token), `times` (how often it "
        "happens), `after` and `for` (when it begins and how long it lasts, in seconds of the tenant's time since the "
        "first request). An outage of ten minutes: `server-error:for=600`. A clock that is wrong for three days: "
        "`date-jump:for=259200`. A refusal that is fixed an hour later: `forbidden:for=3600`."
    )
    yield _rows(("name", "what a client meets"), MEANINGS.items())


def _command(command: Any, context: Callable[..., Any], name: str, parent: Any) -> Iterator[str]:
    here = context(command, info_name=name, parent=parent)
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    if parent is not None:
        yield f"## {here.command_path}"
        yield _paragraphs(command.help)
    if not inner:
        usage = command.get_usage(here).removeprefix("Usage: ")
        yield f"```\n{' '.join(usage.split())}\n```"
    options = [record for each in command.params if (record := each.get_help_record(here)) is not None]
    shown = [(f"`{names}`", text) for names, text in options]
    if shown:
        yield _rows(("option", "meaning"), shown)
    for each, child in inner.items():
        yield from _command(child, context, each, here)


def settings() -> Iterator[str]:
    """Every setting."""
    yield "# Settings"
    yield (
        f"Set a setting by its variable (`OCELOG_<NAME>`), or in `{config.FILE_NAME}` in the home, one per line: "
        "`threads: 8`. The variable goes first. `ocelog config` shows each value and where it comes from."
    )
    yield _rows(("name", "variable", "in the file", "default", "meaning"), map(_setting, config.SETTINGS))
    yield (
        "`OCELOG_KEY` may hold the key that encrypts secrets, instead of a file. `OCELOG_URL` names an Ocelog "
        "elsewhere for commands to ask, and `OCELOG_TOKEN` holds its token: "
        "[how](../how-to/use-a-remote-ocelog.md). For proxies and certificates, the usual variables count: "
        "`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`."
    )


def _setting(name: str) -> tuple[str, ...]:
    known = config.SETTINGS[name]
    written = config.as_written(name, known.default)
    default = "" if written is None else f"`{written}`"
    return (f"`{name}`", f"`OCELOG_{name.upper()}`", "no" if known.only_environment else "yes", default, known.doc)


def tables() -> Iterator[str]:
    """Every table and view with its columns."""
    yield "# Tables"
    yield "Columns that begin with `p_` are added by Ocelog; the others have the names that Wiz gives them."
    yield _rows(("table", "holds"), ((f"`{name}`", meaning) for name, meaning in meanings().items()))
    for name in meanings():
        if not name.endswith(CURRENT):
            yield f"## {name}"
            if name != ALL_LOGS:
                yield f"`{name}{CURRENT}` has the same columns." if name + CURRENT in meanings() else ""
            yield _rows(("column", "type", "meaning"), map(_column, columns(name)))


def _column(column: Any) -> tuple[str, ...]:
    meaning = (column.metadata or {}).get(b"doc", b"").decode()
    return (f"`{column.name}`", sql_type(column.type), meaning)


def schemas() -> Iterator[str]:
    """Every log type with the version of its schema."""
    yield "# Log types"
    yield "The schemas are YAML files inside the package; `ocelog schema show T` prints one."
    found = packaged_schemas().values()
    yield _rows(("log type", "describes"), ((each.log_type, each.description or "") for each in found))


def channels() -> Iterator[str]:
    """Every kind of channel, and what is set for one."""
    yield "# Channels"
    yield (
        "A channel is where alerts are sent. Each try is bounded: 10 seconds to connect, 30 in all. TLS is verified, "
        "and redirects are not followed. An address must be public, unless `allow_private` is set; an address from "
        "which a cloud gives credentials to its machines is never connected to. `HTTPS_PROXY` and `NO_PROXY` are "
        "honoured, though nothing that goes to this machine passes a proxy."
    )
    yield (
        "If the far end says no for good (such as 401, 404 or a redirect), the message is not sent again before you "
        "change something. If it is rate-limiting or down (408, 425, 429, 5xx, no answer), it is sent again later, not "
        "before the time that Retry-After asks for, and after an hour at most."
    )
    yield (
        "Secrets are kept encrypted, and are never shown. What rules and records write is sent as text: "
        "[how](../channels.md)."
    )
    for kind in CHANNELS.values():
        yield f"## {kind.name}"
        yield f"{kind.title}."
        rows = [(f"`{each.name}`", _needs(each), each.help, f"`{each.example}`") for each in kind.settings]
        if rows:
            yield _rows(("setting", "", "meaning", "example"), rows)


def _needs(setting: Setting) -> str:
    words = ["required"] * setting.required + ["secret"] * setting.secret
    return ", ".join(words if setting.default is None else [*words, f"default {setting.default}"])


def rules() -> Iterator[str]:
    """Every rule of our pack, by theme."""
    checkout = read_checkout(Path(str(files("ocelog.content") / "rules" / "wiz")))
    every: dict[str, Rule | CorrelationRule] = {**checkout.rules, **checkout.correlations}
    on = sum(rule.about.enabled for rule in every.values())
    yield "# Rules for Wiz"
    yield (
        f"Ocelog brings {len(every)} rules for Wiz; {on} of them, those that are quiet in most tenants, are on by "
        f"default (the pack `{_DEFAULT_PACK}`). Each theme is a pack of its own. The rules are files in the folder "
        "`content/rules/wiz` of the package, in the format of panther-analysis; each has tests, and a runbook. Copy "
        "one under a name of your own to change it."
    )
    yield (
        "*Told* says how: *per record* is one alert for each issue or finding, which is resolved and opened again with "
        "it; *signal* tells nobody, and is there for other rules; *by query* looks every some hours at what was read; "
        "*correlation* looks at the matches of other rules."
    )
    for pack in checkout.packs.values():
        if pack.id != _DEFAULT_PACK:
            yield f"## {pack.display_name}"
            yield f"Pack `{pack.id}`. {' '.join(pack.description.split())}"
            shown = (every[one] for one in sorted(pack.ids) if one in every)
            yield _rows(("rule", "tells", "severity", "told", "on"), map(_rule, shown))


def _rule(rule: Rule | CorrelationRule) -> tuple[str, ...]:
    about = rule.about
    if isinstance(rule, CorrelationRule):
        told = "correlation"
    elif rule.scheduled_queries:
        told = "by query"
    elif about.lives_with_record:
        told = "per record"
    elif not about.create_alert:
        told = "signal"
    else:
        told = f"{about.threshold} in {about.dedup_minutes} min" if about.threshold > 1 else "per actor or record"
    name = about.id.rpartition(".")[2]
    return (f"`{name}`", about.description, about.severity.capitalize(), told, "yes" if about.enabled else "")


def metrics() -> Iterator[str]:
    """Every metric with its labels."""
    yield "# Metrics"
    yield (
        "`ocelog run --listen 9464` serves these at `/metrics` in the format of Prometheus. They show what "
        "`ocelog status --json` and the SQL table `streams` show. A counter has `_total` behind its name. A value that "
        "is not known is left out."
    )
    yield _rows(
        ("metric", "type", "labels", "meaning"),
        ((f"`{each.name}`", each.kind, ", ".join(each.labels), each.doc) for each in METRICS.values()),
    )


def api() -> Iterator[str]:
    """Every operation of the REST API, from its specification."""
    found = application().openapi()
    roles = {
        (method, BASE + route.path): next(
            role for each in route.dependant.dependencies if (role := getattr(each.call, "role", None)) is not None
        )
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    yield "# REST API"
    yield found["info"]["description"]
    yield (
        f"The specification itself (OpenAPI {found['openapi'][:3]}) is at `{BASE}/openapi.json`, for whoever has a "
        "token. How to make one, and how to ask: [Use the REST API](../how-to/use-the-api.md)."
    )
    by_tag = dict[str, list[tuple[str, str, dict[str, Any]]]]()
    for path, each in found["paths"].items():
        for method, operation in each.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    for tag, operations in by_tag.items():
        yield f"## {tag}"
        yield _rows(
            ("operation", "does", "role"),
            (
                (f"`{method} {path}`", operation["description"], roles[method, path].value)
                for method, path, operation in operations
            ),
        )
        for method, path, operation in operations:
            rows = list(_inputs(found, operation))
            if rows:
                yield f"`{method} {path}` takes:"
                yield _rows(("name", "in", "type", "meaning"), rows)
    yield "## Codes of errors"
    yield "Beside [those of errors everywhere](errors.md):"
    yield _rows(("code", "meaning"), ((f"`{code}`", meaning) for code, meaning in CODES.items()))


def _inputs(found: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for each in operation.get("parameters", ()):
        if each["in"] != "path":
            yield (f"`{each['name']}`", each["in"], _type(each["schema"]), each.get("description", ""))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        model = found["components"]["schemas"][body["$ref"].rpartition("/")[2]]
        required = model.get("required", [])
        for name, schema in model["properties"].items():
            where = "body, required" if name in required else "body"
            yield (f"`{name}`", where, _type(schema), schema.get("description", ""))


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"] if each.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "any"))


PAGES: Mapping[str, Callable[[], Iterator[str]]] = {
    "commands.md": commands,
    "settings.md": settings,
    "tables.md": tables,
    "log-types.md": schemas,
    "rules-wiz.md": rules,
    "metrics.md": metrics,
    "simulator.md": simulator,
    "channels.md": channels,
    "api.md": api,
}


def written(page: Callable[[], Iterator[str]]) -> str:
    """Return the text of `page`."""
    first, *rest = (part for part in page() if part)
    return "\n\n".join([first, NOTE, *rest]) + "\n"


def _rows(titles: tuple[str, ...], rows: Any) -> str:
    cells = [titles, tuple("---" for _ in titles), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in cells)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _paragraphs(text: str | None) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def with_current(text: str) -> str:
    """Return `text` (of lake.md) with the present SQL of a `_current` view between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}```sql\n{current_sql('wiz_issues')}\n```\n{END}{after}"


def with_codes(text: str) -> str:
    """Return `text` (of errors.md) with the present table of codes between its marks."""
    kinds: dict[type[errors.OcelogError], str] = {
        errors.OperatorError: "2",
        errors.TransientError: "3",
        errors.HaltError: "2",
    }
    rows = [
        (f"`{each.code}`", code, f"[{each.__name__}](#{each.__name__.lower()})", _first_line(each))
        for kind, code in kinds.items()
        for each in kind.__subclasses__()
    ]
    rows.append((f"`{errors.OperatorError.code}`", "2", "any other", _first_line(errors.OperatorError)))
    rows += [(f"`{cause}`", "", "the cause of one of these", meaning) for cause, meaning in errors.CAUSES.items()]
    before, rest = text.split(CODES_BEGIN)
    _, after = rest.split(CODES_END)
    return f"{before}{CODES_BEGIN}{_rows(('code', 'exit code', 'error', 'means'), rows)}\n{CODES_END}{after}"


def with_scopes(text: str) -> str:
    """Return `text` (of set-up-wiz.md) with the present table of what each log type needs between its marks."""
    rows = [(root.kind.log_type, f"`--log-type {root.kind.short}`", f"`{root.scope}`") for root in ROOTS.values()]
    before, rest = text.split(SCOPES_BEGIN)
    _, after = rest.split(SCOPES_END)
    return f"{before}{SCOPES_BEGIN}{_rows(('log type', 'option', 'scope'), rows)}\n{SCOPES_END}{after}"


def with_conditions(text: str) -> str:
    """Return `text` (of rules.md) with the present table of conditions between its marks."""
    spelled = {name: [f"`{short}`" for short, meant in SHORT.items() if meant == name] for name in CONDITIONS}
    rows = [
        (f"`{each.name}`", _OPERANDS[each.operand], ", ".join(spelled[each.name]), "yes" if _of_null(each) else "")
        for each in CONDITIONS.values()
    ]
    before, rest = text.split(CONDITIONS_BEGIN)
    _, after = rest.split(CONDITIONS_END)
    table = _rows(("condition", "compared with", "also written", "true of null"), rows)
    return f"{before}{CONDITIONS_BEGIN}{table}\n{CONDITIONS_END}{after}"


_OPERANDS = {
    Operand.NOTHING: "nothing",
    Operand.VALUE: "`Value`",
    Operand.VALUES: "`Values`",
    Operand.EITHER: "`Value` or `Values`",
}


def _of_null(condition: Condition) -> bool:
    return condition.asks(None, None) if condition.of_null else condition.negative


def _first_line(documented: type) -> str:
    return (documented.__doc__ or "").split("\n")[0]


def expected() -> dict[Path, str]:
    """Return each page that is written from the code, whole or in part, with the text that it should have."""
    lake = DOCS / "lake.md"
    codes = FOLDER / "errors.md"
    scopes = DOCS / "how-to" / "set-up-wiz.md"
    kinds_of_rules = FOLDER / "rules.md"
    parts = {
        lake: with_current(lake.read_text()),
        codes: with_codes(codes.read_text()),
        scopes: with_scopes(scopes.read_text()),
        kinds_of_rules: with_conditions(kinds_of_rules.read_text()),
    }
    return {FOLDER / name: written(page) for name, page in PAGES.items()} | parts


def main() -> int:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in expected().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
