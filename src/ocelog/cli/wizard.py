"""What `ocelog source add` asks on a terminal, in the order of the product's pages, and how answers are corrected."""

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

from ocelog.app.sources import GivenSecret
from ocelog.cli import questions
from ocelog.cli.questions import asked, say
from ocelog.cli.source_options import SourceOptions
from ocelog.cli.source_trial import free_name, new_row, prove
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow
from ocelog.product import LOG_TYPES, SECRET, Product, Question, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantAnswers:
    """All that adding a tenant needs."""

    name: str
    chosen: SourceOptions
    secret: GivenSecret


def somebody_is_there() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(
    installation: Installation, product: Product, name: str | None, chosen: SourceOptions
) -> tuple[SourceRow, GivenSecret]:
    """Ask for everything that adding a tenant needs, until it works or the person wants it saved as it is."""
    free = partial(free_name, installation)
    if name is not None:
        name = free(name)
    say(
        f"Adding a {product.title} tenant. Have {product.title} open in a browser, as a user who may make service "
        "accounts."
    )
    answers = _asked(product, name or asked("A name for this tenant, for example prod", free), chosen)
    while True:
        try:
            row = new_row(installation, product, answers.name, answers.chosen)
            if not answers.chosen.no_check:
                say("\nTrying the account ...")
                prove(row, answers.secret, "Nothing is saved yet.")
        except OcelogError as error:
            say(f"\n{error}")
            answers = _corrected(product, answers, free)
        else:
            chosen = questions.backfill(answers.chosen)
            return new_row(installation, product, answers.name, chosen), answers.secret


def _asked(product: Product, name: str, chosen: SourceOptions) -> TenantAnswers:
    secret: GivenSecret | None = None
    for number, step in enumerate(product.steps, 1):
        say(f"\nStep {number}: {step.title}.\n{step.text}")
        pending = list[Question]()
        for asking in (*step.questions, None):
            if isinstance(asking, Question):
                pending.append(asking)
                continue
            if pending:
                chosen = questions.answered(chosen, pending, step)
                pending.clear()
            if asking == LOG_TYPES:
                chosen = questions.log_types(chosen, product)
            elif asking == SECRET:
                secret = questions.secret()
    return TenantAnswers(name=name, chosen=chosen, secret=secret or questions.secret())


def _corrected(product: Product, answers: TenantAnswers, free: Callable[[str], str]) -> TenantAnswers:
    """Ask what to do about answers that do not work, and change nothing but that."""
    chosen = answers.chosen
    asked_together = dict[str, tuple[Step, list[Question]]]()
    for step in product.steps:
        for question in step.questions:
            if isinstance(question, Question) and question.asked(questions.answers_of(chosen)):
                asked_together.setdefault(question.letter, (step, []))[1].append(question)

    def with_choice(again: SourceOptions) -> TenantAnswers:
        return replace(answers, chosen=again)

    choices: dict[str, tuple[str, Callable[[], TenantAnswers]]] = {"r": ("try again", lambda: answers)}
    for letter, (step, some) in asked_together.items():
        values = ", ".join(str(chosen.own.get(each.option, each.unset)) for each in some)
        choices[letter] = (
            f"change {some[0].label} ({values})",
            lambda step=step, some=some: with_choice(questions.answered(chosen, some, step)),  # type: ignore[misc] # mypy
        )
    choices |= {
        "s": ("change the client secret", lambda: replace(answers, secret=questions.secret())),
        "l": (
            f"change what is read ({', '.join(chosen.log_type or ())})",
            lambda: with_choice(questions.log_types(chosen, product)),
        ),
        "n": (
            f"change the name ({answers.name})",
            lambda: replace(answers, name=asked("Another name", free, default=answers.name)),
        ),
        "k": (
            "keep it as it is, and correct it later: ocelog source edit NAME",
            lambda: with_choice(replace(chosen, no_check=True)),
        ),
        "q": ("quit; nothing is saved", _quit),
    }
    for letter, (meaning, _) in choices.items():
        say(f"  {letter}  {meaning}", indent=3)
    _, change = choices[asked("What now?", _one_of(choices), default="r")]
    return change()


def _quit() -> TenantAnswers:
    raise ConfigError("Nothing was saved.")


def _one_of(choices: Collection[str]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text[:1].lower() not in choices:
            raise ConfigError(f"Type one of {', '.join(choices)}.")
        return text[:1].lower()

    return checked
