"""In which language a page speaks: as its user chose, else as the browser asks, else English."""

from babel import Locale, negotiate_locale
from starlette.requests import Request

from ocelog.access import Role
from ocelog.alert.changes import CloseReason
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app import sources
from ocelog.app.channels import channel_kinds
from ocelog.app.search import Operator
from ocelog.health.stream import State
from ocelog.phrases import LANGUAGES
from ocelog.product import Question
from ocelog.pull.ports import HealthState

COOKIE = "ocelog-language"
_LONGEST_HEADER = 500


def spoken() -> list[str]:
    """Return the texts that pages translate and no template holds: what values, products and kinds call themselves."""
    products = list(sources.products().values())
    steps = [step for product in products for step in product.steps]
    questions = [each for step in steps for each in step.questions if isinstance(each, Question)]
    settings = [each.help for kind in channel_kinds().values() for each in kind.settings]
    options = [each for product in products for each in product.options if each.label]
    words = [
        *(
            each.value
            for kind in (Role, State, AlertStatus, AlertType, CloseReason, Operator, HealthState)
            for each in kind
        ),
        *(kind.title for product in products for kind in product.log_types.values()),
        *(text for step in steps for text in (step.title, step.text)),
        *(text for each in questions for text in (each.prompt, each.before.strip())),
        *settings,
        *(text for each in options for text in (each.label, each.help)),
    ]
    return [each for each in dict.fromkeys(words) if each]


def language_of(request: Request, chosen: str | None) -> str:
    """Return in which language a page speaks to whoever asks, who has `chosen` one or not."""
    for wanted in (chosen, request.cookies.get(COOKIE)):
        if wanted in LANGUAGES:
            return str(wanted)
    header = request.headers.get("accept-language", "")[:_LONGEST_HEADER]
    asked = [each.partition(";")[0].strip().replace("-", "_") for each in header.split(",")]
    found = negotiate_locale(asked, list(LANGUAGES), sep="_")
    return Locale.parse(found).language if found else "en"
