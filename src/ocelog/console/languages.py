"""In which language a page speaks: as its user chose, else as the browser asks, else English."""

import ast
import re
from importlib import resources
from pathlib import Path

import yaml
from babel import Locale, negotiate_locale
from starlette.requests import Request

from ocelog.access import Role, Scope
from ocelog.alert.changes import CloseReason
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app import log_types
from ocelog.app.alerts.channels import channel_kinds
from ocelog.app.search import tables
from ocelog.app.search.search import Operator
from ocelog.app.sources import sources
from ocelog.detect.rule import Kind
from ocelog.health.stream import AlarmState, State
from ocelog.languages.phrases import LANGUAGES, translatable
from ocelog.model import table_name
from ocelog.product import Question
from ocelog.pull.ports import HealthState

COOKIE = "ocelog-language"
_LONGEST_HEADER = 500
_TEXTS = ("DisplayName", "AlertTitle", "Description", "Runbook")
"""Which values of a rule's file people read."""
_HEAD = re.compile("(?!Wiz:)([^{}]+): {")
"""What an alert's title says before it names what the alert is about."""
_PLACES = "abcdef"
"""What stands in the place of the values in a title that names them elsewhere."""


def spoken() -> list[str]:
    """Return the texts that pages translate and no template holds: what values, products and kinds call themselves."""
    products = list(sources.products().values())
    steps = [step for product in products for step in product.steps]
    questions = [each for step in steps for each in step.questions if isinstance(each, Question)]
    settings = [text for kind in channel_kinds().values() for each in kind.settings for text in (each.label, each.help)]
    options = [each for product in products for each in product.options if each.label]
    words = [
        *(
            each.value
            for kind in (
                Role,
                Scope,
                State,
                AlarmState,
                AlertStatus,
                AlertType,
                CloseReason,
                Operator,
                HealthState,
                Kind,
            )
            for each in kind
        ),
        # States of streams that are counted, and are none of their health.
        *("new", "retrying"),
        *(kind.title for product in products for kind in product.log_types.values()),
        *(text for step in steps for text in (step.title, step.text)),
        *(
            text
            for each in questions
            for text in (each.prompt, each.short, each.before.strip(), each.unset, *each.choices.values())
        ),
        *settings,
        *_packs(),
        *_rules(),
        *(tables.meanings()[each] for each in _log_tables()),
        *of_columns(),
        *(translatable("IN_PROGRESS"), translatable("RESOLVED"), translatable("REJECTED")),
        *(text for each in options for text in (each.label, each.help)),
    ]
    return [each for each in dict.fromkeys(words) if each]


def _packs() -> list[str]:
    """Return what the packs that come along call themselves, and say of what they watch."""
    files = (resources.files("ocelog") / "content" / "rules" / "wiz" / "packs").iterdir()
    packs = [yaml.safe_load(each.read_text()) for each in sorted(files, key=lambda each: each.name)]
    return [text.strip() for each in packs for text in (each["DisplayName"], each["Description"])]


def _rules() -> list[str]:
    """Return what the rules that come along say: their titles, descriptions and runbooks, and titles of their alerts.

    Those of alerts only if the file of the rule says them.
    """
    files = sorted(Path(str(resources.files("ocelog") / "content" / "rules" / "wiz")).rglob("*.yml"))
    found = [yaml.safe_load(each.read_text()) for each in files]
    rules = [each for each in found if "RuleID" in each]
    said = [each for path in files for each in _titles(path)]
    return [*(str(each[name]).strip() for name in _TEXTS for each in rules if name in each), *said]


def _titles(path: Path) -> list[str]:
    """Return what the Python of the rule whose file this is says in titles of alerts, with places for their values."""
    beside = path.with_suffix(".py")
    tree = ast.parse(beside.read_text() if beside.exists() else "")
    made = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "title"]
    told = [each.value for each in ast.walk(ast.Module(body=[*made], type_ignores=[])) if isinstance(each, ast.Return)]
    found = [_template(each) for each in told if isinstance(each, ast.JoinedStr)]
    return [head[1] if (head := _HEAD.match(each)) else each for each in found]


def _template(title: ast.JoinedStr) -> str:
    places = iter(_PLACES)
    parts = [str(each.value) if isinstance(each, ast.Constant) else f"{{{next(places)}}}" for each in title.values]
    return "".join(parts)


def of_columns() -> list[str]:
    """Return what the columns of log types hold: a language may lack some, which are shown in English."""
    return [tables.column_doc(column) for each in _log_tables() for column in tables.columns(each)]


def _log_tables() -> list[str]:
    return [table_name(each) for each in log_types.kinds()]


def language_of(request: Request, chosen: str | None) -> str:
    """Return in which language a page speaks to whoever asks, who has `chosen` one or not."""
    for wanted in (chosen, request.cookies.get(COOKIE)):
        if wanted in LANGUAGES:
            return str(wanted)
    header = request.headers.get("accept-language", "")[:_LONGEST_HEADER]
    asked = [each.partition(";")[0].strip().replace("-", "_") for each in header.split(",")]
    found = negotiate_locale(asked, list(LANGUAGES), sep="_")
    return Locale.parse(found).language if found else "en"
