"""How a page is made of a template: what every template may ask for, and the answer that carries it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from ocelog.alert import in_language
from ocelog.app.advice import without_request
from ocelog.console.browser_name import browser_name
from ocelog.console.event_view import parts, written
from ocelog.console.flowing_text import flowing, formatted
from ocelog.console.languages import language_of
from ocelog.console.record_words import of_record
from ocelog.console.visitor import Visitor
from ocelog.console.wording import field_name, grouped_by, introduced, linked, told
from ocelog.errors import OcelogError
from ocelog.languages.phrases import LANGUAGES, catalogue, translated
from ocelog.languages.rule_texts import text_in, title_in
from ocelog.shorten import shorten
from ocelog.times import from_us
from ocelog.units import about, counted_units, write_duration, write_size

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, what turns the direction of the text around it, ends of lines, and halves of a character."""
_LONGEST_CELL = 1_000
"""Characters of a value in a list: the page of an event shows more."""
_URL = Markup("<code>url</code>")
_CODE = re.compile("`([^`\\n]{1,200})`")
_MOMENT = re.compile(
    r"(?P<kept><(code|time)\b.*?</\2>|<[^>]*>|--[a-z-]+[ =]\S+)"
    r"|(?<![\w:.+-])(?P<day>\d{4}-\d\d-\d\d)(?: (?P<minute>\d\d:\d\d) UTC|T(?P<second>\d\d:\d\d:\d\d)Z)(?!\w)",
    re.ASCII | re.DOTALL,
)
"""An instant in a sentence, and what is left as it is: code, and what is given to a command."""


def _visible(value: Any) -> Any:
    """Write out what is not seen, or makes other text look different, wherever a page shows it."""
    if not isinstance(value, str) or _UNSEEN.search(value) is None:
        return value
    return type(value)(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value))


@cache
def _environment(language: str) -> Environment:
    """Return what makes pages in one language. Nothing that a template shows is HTML, unless the template says so."""
    made = Environment(
        loader=PackageLoader("ocelog.console"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        auto_reload=False,
    )
    made.install_gettext_translations(catalogue(language), newstyle=True)  # type: ignore[attr-defined] # by the extension
    made.filters |= {
        "told": lambda error: _timed(told(error, language)),
        "introduced": lambda text, code: _timed(introduced(text, code, language)),
        "linked": lambda text: _timed(linked(text, language)),
        "of_record": lambda text: of_record(text, language),
        "coded": _coded,
        "flowing": flowing,
        "formatted": lambda text: formatted(_visible(text)),
        "texts": lambda alert: in_language.texts(alert, language),
        "kind": lambda alert: in_language.kind(alert, language),
        "detail": lambda entry: _timed(escape(_visible(in_language.detail(entry, language)))),
        "answer": lambda text: in_language.answer(text, language),
        "runbook": lambda text, link=None: _runbook(text, link, language),
        "browser": lambda user_agent: translated(browser_name(user_agent), language),
        "titled": lambda title, rule_id: title_in(language, title, rule_id or ""),
        "rule_text": lambda text, rule_id: text_in(language, text, rule_id or ""),
        "schema_text": catalogue(language).gettext,
        "field": lambda name: field_name(name, language),
        "grouped_by": grouped_by,
        "sentence": lambda text: f"{text[:1].upper()}{text[1:]}.".replace("..", "."),
        "instant": _instant,
        "instant_us": lambda us, **how: _instant(None if us is None else from_us(us), **how),
        "about": lambda value: "" if value is None else translated(about(value), language),
        "duration": write_duration,
        "counted_units": counted_units,
        "size": write_size,
        "count": lambda value: f"{value:,}",
        "without_request": without_request,
        "written": written,
        "brief": _brief,
        "cell": _cell,
        "parts": parts,
    }
    made.globals |= {"languages": LANGUAGES, "sparkline": sparkline, "ngettext": _counting(made.globals["ngettext"])}
    return made


def page(
    request: Request, template: str, /, *, visitor: Visitor | None, status: int = 200, **values: Any
) -> HTMLResponse:
    """Return the page that `template` makes of `values`."""
    # The trail says why a request was refused.
    why = next((each for each in (values.get("refused"), values.get("error")) if isinstance(each, OcelogError)), None)
    if status >= 400:
        request.state.refused = why.code if why is not None else values.get("kind", "")
    language = language_of(request, None if visitor is None else visitor.user.language)
    text = (
        _environment(language)
        .get_template(template)
        .render(
            request=request,
            path=request.url.path,
            assets=request.app.state.assets,
            language=language,
            visitor=visitor,
            is_part=request.headers.get("hx-request") == "true" and "hx-boosted" not in request.headers,
            **values,
        )
    )
    return HTMLResponse(text, status_code=status, headers={"content-language": language})


async def page_in_thread(request: Request, template: str, /, **values: Any) -> HTMLResponse:
    """Return what `page` does, made in a thread: what shows rows may be large, and all others would wait for it."""
    return await run_in_threadpool(partial(page, request, template, **values))


def _counting(translate: Any) -> Callable[..., str]:
    """Return how templates say how many there are: each count is written in the one way that pages have."""

    @pass_context
    def ngettext(context: Context, one: str, many: str, count: int, **values: Any) -> str:
        said: str = translate(context, one, many, count, **{"num": f"{count:,}", **values})
        return said

    return ngettext


def _coded(text: str) -> Markup:
    """Return a text in which what stands between backticks is shown as code, as rules write names of fields."""
    return _timed(Markup(_CODE.sub(r"<code>\1</code>", str(escape(_visible(text))))))  # noqa: S704 - escaped, and nothing is undone


def _timed(text: Markup) -> Markup:
    """Return a text in which each instant is shown as everywhere on a page."""

    def shown(found: "re.Match[str]") -> str:
        if found["kept"]:
            return found[0]
        try:
            at = datetime.fromisoformat(f"{found['day']}T{found['minute'] or found['second']}+00:00")
        except ValueError:
            return found[0]
        return str(_instant(at, precise=found["second"] is not None))

    return Markup(_MOMENT.sub(shown, str(text)))  # noqa: S704 - what comes is markup, and only digits of it are taken


def _runbook(text: str, link: str | None, language: str) -> Markup:
    """Return what to do about an alert; where it says to open the record's `url`, that is a link to the record's page.

    Commands for which the console has a page are links too.
    """
    written = _coded(linked(text, language))
    if link is None or not link.startswith(("https://", "http://")):
        return written
    opened = Markup('<a href="{}" rel="noreferrer noopener" target="_blank">{}</a>').format(link, _URL)
    return written.replace(_URL, opened, 1)


def sparkline(counts: list[int], *, width: int = 120, height: int = 24) -> Markup:
    """Draw counts as a line, of which a template says in words what it shows."""
    most, step = max([*counts, 1]), width / max(len(counts) - 1, 1)
    points = [
        (round(at * step, 1), round(height - 2 - (height - 4) * count / most, 1)) for at, count in enumerate(counts)
    ]
    line = "M" + " ".join(f"{x},{y}" for x, y in points)
    return Markup(
        '<svg class="sparkline" viewBox="0 0 {0} {1}" width="{0}" height="{1}" aria-hidden="true"><path d="{2}"/></svg>'
    ).format(width, height, line)


def _brief(value: Any) -> str:
    """Return how a value begins, as `written` has it: a list has hundreds of them, and each may be long."""
    return shorten(written(value), _LONGEST_CELL)


def _cell(value: Any) -> Markup | str:
    """Return a value of an answer: an instant in the viewer's zone, everything else as `_brief` has it."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return _instant(value, precise=True)
    return _brief(value)


def _instant(value: datetime | None, *, precise: bool = False) -> Markup | str:
    """Return an instant as the page's script shows it in the viewer's zone; without the script it is in UTC."""
    if value is None:
        return ""
    value = value.astimezone(UTC)
    mark = " data-precise" if precise else ""
    shown = f"{value:%Y-%m-%d %H:%M:%S} UTC" if precise else f"{value:%Y-%m-%d %H:%M} UTC"
    # A list has a hundred of them: nothing of it needs to be escaped.
    return Markup(f'<time datetime="{value:%Y-%m-%dT%H:%M:%SZ}"{mark}>{shown}</time>')  # noqa: S704 - digits
