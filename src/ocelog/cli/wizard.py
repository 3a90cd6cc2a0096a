"""What `ocelog source add` asks on a terminal, in the order of the product's pages, and how answers are corrected."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NoReturn, TypeVar

import typer
from msgspec import Struct
from msgspec.structs import replace

from ocelog.app.sources import sources
from ocelog.app.sources.source_changes import described, free_name, prove
from ocelog.app.sources.sources import GivenSecret
from ocelog.cli import health, questions
from ocelog.cli.questions import asked, say
from ocelog.cli.source_options import SourceOptions
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow
from ocelog.product import LOG_TYPES, SECRET, Product, Question, Step
from ocelog.units import write_list

T = TypeVar("T")
_LISTENER = replace(health.LISTENER, stopped=lambda _: None)
"""Whoever leaves by Ctrl-C hears the same wherever that is."""


class TenantAnswers(Struct, frozen=True, kw_only=True):
    """All that adding a tenant needs."""

    name: str
    chosen: SourceOptions
    secret: GivenSecret


def ask(
    installation: Installation, product: Product, name: str | None, chosen: SourceOptions
) -> tuple[SourceRow, GivenSecret]:
    """Ask for everything that adding a tenant needs, until it works or the person wants it saved as it is.

    Raises ConfigError if the person leaves.
    """
    try:
        return _ask(installation, product, name, chosen)
    except (typer.Abort, KeyboardInterrupt):
        # Behind ^C, which the terminal has shown.
        say("")
        raise ConfigError("Nothing was saved.") from None


def _ask(
    installation: Installation, product: Product, name: str | None, chosen: SourceOptions
) -> tuple[SourceRow, GivenSecret]:
    free = partial(free_name, installation)
    if name is not None:
        name = free(name)
    say(
        f"Adding a {product.title} tenant. Have {product.title} open in a browser, as a user who may make service "
        "accounts."
    )
    name = name or asked("A name for this tenant, for example prod", free)
    known = partial(_not_twice, installation, product, name)
    answers = _asked(product, name, chosen, known)
    while True:
        may_be_saved = False
        try:
            answers = replace(answers, chosen=known(answers.chosen))
            row = described(installation, product, answers.name, answers.chosen.change())
            may_be_saved = True
            if not answers.chosen.no_check:
                say("")
                prove(row, answers.secret.value, "Nothing is saved yet.", _LISTENER)
        except OcelogError as error:
            say(f"\n{error}")
            answers = _corrected(product, answers, free, may_be_saved=may_be_saved)
        else:
            chosen = questions.backfill(answers.chosen)
            return described(installation, product, answers.name, chosen.change()), answers.secret


def _not_twice(installation: Installation, product: Product, name: str, chosen: SourceOptions) -> SourceOptions:
    """Return what was chosen, once no other source reads the same tenant as this account, or the person insists."""
    while not chosen.anyway and all(each.name in chosen.own for each in product.options if each.required):
        other = sources.twin(installation, chosen.change().settings(product, None), sources.source_id(name))
        if other is None:
            break
        say(
            f"\nThe source {other.name!r} reads this tenant with this account already. If it is read a second time, "
            "each record is stored twice."
        )
        # Nothing else changes which account it is.
        required = {each.name for each in product.options if each.required}
        choices = {
            letter: change
            for letter, (options, change) in _changes(product, chosen).items()
            if not required.isdisjoint(options)
        }
        choices["a"] = ("read it a second time anyway", partial(replace, chosen, anyway=True))
        choices["q"] = (f"quit; nothing is saved. To change {other.name!r}: ocelog source edit {other.id}", _quit)
        chosen = _decided(choices)
    return chosen


def _asked(
    product: Product, name: str, chosen: SourceOptions, known: Callable[[SourceOptions], SourceOptions]
) -> TenantAnswers:
    secret: GivenSecret | None = None
    for number, step in enumerate(product.steps, 1):
        say(f"\nStep {number}: {step.title}.\n{step.text}")
        pending = list[Question]()
        for asking in (*step.questions, None):
            if isinstance(asking, Question):
                pending.append(asking)
                continue
            if pending:
                chosen = known(questions.answered(chosen, pending, step))
                pending.clear()
            if asking == LOG_TYPES:
                chosen = questions.log_types(chosen, product)
            elif asking == SECRET:
                secret = questions.secret()
    return TenantAnswers(name=name, chosen=chosen, secret=secret or questions.secret())


def _corrected(
    product: Product, answers: TenantAnswers, free: Callable[[str], str], *, may_be_saved: bool
) -> TenantAnswers:
    """Ask what to do about answers that do not work, and change nothing but that.

    What may not be saved as it is, is neither tried again nor kept.
    """
    chosen = answers.chosen

    def change_choice(change: Callable[[], SourceOptions]) -> TenantAnswers:
        return replace(answers, chosen=change())

    choices: dict[str, tuple[str, Callable[[], TenantAnswers]]] = {}
    if may_be_saved:
        choices["r"] = ("try again", lambda: answers)
    for letter, (_, (meaning, change)) in _changes(product, chosen).items():
        choices[letter] = (meaning, partial(change_choice, change))
    known = product.log_types
    titles = [known[each].title if each in known else each for each in chosen.log_type or ()]
    choices |= {
        "s": ("change the client secret", lambda: replace(answers, secret=questions.secret())),
        "l": (
            f"change what is read ({write_list(titles)})",
            lambda: change_choice(lambda: questions.log_types(chosen, product)),
        ),
        "n": (
            f"change the name ({answers.name})",
            lambda: replace(answers, name=asked("Another name", free, default=answers.name)),
        ),
    }
    if may_be_saved:
        choices["k"] = (
            f"keep it as it is, and correct it later: ocelog source edit {sources.source_id(answers.name)}",
            lambda: change_choice(lambda: replace(chosen, no_check=True)),
        )
    choices["q"] = ("quit; nothing is saved", _quit)
    return _decided(choices, default="r" if may_be_saved else None)


def _changes(
    product: Product, chosen: SourceOptions
) -> dict[str, tuple[set[str], tuple[str, Callable[[], SourceOptions]]]]:
    """Return, by their letter, which settings are asked together, and how it is called and done to change them."""
    asked_together = dict[str, tuple[Step, list[Question]]]()
    for step in product.steps:
        for question in step.questions:
            if isinstance(question, Question) and question.asked(questions.answers_of(chosen)):
                asked_together.setdefault(question.letter, (step, []))[1].append(question)
    found = dict[str, tuple[set[str], tuple[str, Callable[[], SourceOptions]]]]()
    for letter, (step, some) in asked_together.items():
        values = ", ".join(str(chosen.own.get(each.option, each.unset)) for each in some)
        meaning = f"change {some[0].label} ({values})"
        found[letter] = ({each.option for each in some}, (meaning, partial(questions.answered, chosen, some, step)))
    return found


def _decided(choices: Mapping[str, tuple[str, Callable[[], T]]], default: str | None = None) -> T:
    """Ask which of `choices` it shall be, and do it."""
    for letter, (meaning, _) in choices.items():
        say(f"  {letter}  {meaning}", indent=3)
    _, change = choices[asked("What now?", _one_of(choices), default=default)]
    return change()


def _quit() -> NoReturn:
    raise ConfigError("Nothing was saved.")


def _one_of(choices: Collection[str]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text[:1].lower() not in choices:
            raise ConfigError(f"Type one of {', '.join(choices)}.")
        return text[:1].lower()

    return checked
