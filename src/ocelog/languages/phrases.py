"""Texts that a person may read in another language: what they say stays apart from the values in them."""

from collections.abc import Collection, Mapping
from functools import cache
from gettext import NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import Any, Self

KEPT = "kept in the ledger"
"""Marks the texts in a catalogue that are written by `kept_text`."""
LANGUAGES: Mapping[str, str] = {"en": "English", "ko": "한국어"}
"""Code and own name of each language."""
_PLAIN = {
    "true_positive": "true positive",
    "false_positive": "false positive",
    "is_not": "is not",
    "scheduled_rule": "scheduled rule",
    "correlation_rule": "correlation rule",
    "scheduled_query": "scheduled query",
    "`Enabled: true` in its file": "on from the start",
    "`Enabled: false` in its file": "off from the start",
    "enabled by a person": "turned on by a person",
    "disabled by a person": "turned off by a person",
    "the pack %(pack)s is enabled": "the pack %(pack)s is on",
    "the pack %(pack)s is disabled": "the pack %(pack)s is off",
    "DETECTION_ERROR": "error of a detection",
    "SYSTEM_ERROR": "error of the system",
    "Close the alert": "Close",
    "OK": "no alarm now",
    "ALARM": "alarm",
    "INSUFFICIENT_DATA": "not known yet",
    "OPEN": "open",
    "TRIAGED": "triaged",
    "CLOSED": "closed",
    "RESOLVED": "resolved",
    "REJECTED": "rejected",
    "ALERT": "alert",
    "IN_PROGRESS": "in progress",
    "ok": "works",
    "warn": "look at it",
    "fail": "does not work",
    # What a command calls a channel, a page calls a destination.
    "No channel takes the alert %(name)s: say which one with --channel NAME.": (
        "No destination takes the alert %(name)s. See what each of them hears of: ocelog channel list"
    ),
    "There is no channel %(name)s%(known)s": "There is no destination %(name)s%(known)s",
    "There is no channel %(name)s%(known)s %(there)s": "There is no destination %(name)s%(known)s %(there)s",
    "There are %(most_channels)s channels already, which is the most that there may be.": (
        "There are %(most_channels)s destinations already, which is the most that there may be."
    ),
    "A channel's name is what you call it, such as ops, and not its address, which may be a secret. Given was "
    "%(name)s.": (
        "A destination's name is what you call it, such as ops, and not its address, which may be a secret. Given was "
        "%(name)s."
    ),
    (
        "%(host)s leads to a private network, to this machine, or to a cloud's credentials: nothing was sent. If it is "
        "yours, set allow_private to yes for this channel; that never allows a cloud's credentials."
    ): (
        "%(host)s leads to a private network, to this machine, or to a cloud's credentials: nothing was sent. If it is "
        "yours, have allow_private set to yes for this destination at the command line of Ocelog's machine; that never "
        "allows a cloud's credentials."
    ),
    "A channel's name is one line of 1 to %(longest_name)s characters.": (
        "A destination's name is one line of 1 to %(longest_name)s characters."
    ),
    "A %(kind)s channel has no secret %(name)s%(secret)s %(known)s": (
        "A destination of the kind %(kind)s has no secret %(name)s%(secret)s %(known)s"
    ),
    "The %(name)s of a %(kind)s channel %(wrong)s. Given was %(given)s.": (
        "The %(name)s of a destination of the kind %(kind)s %(wrong)s. Given was %(given)s."
    ),
    "'...' (%(count)s characters, not shown: perhaps a secret)": "a text that is not shown, since it may be a secret",
    "it is sent by the service within seconds, or by the next ocelog pull, unless its limit per hour is reached": (
        "it is sent within seconds, unless its limit per hour is reached"
    ),
    "no: no channel takes it. See what each takes: ocelog channel list": (
        "no: no destination takes it. See what each takes: ocelog channel list"
    ),
    "no: the channels that take it now were not there, or took others, when it happened": (
        "no: the destinations that take it now were not there, or took others, when it happened"
    ),
    "no: there is no channel. Add one: ocelog channel add --help": (
        "no: there is no destination. Add one: ocelog channel add --help"
    ),
    "not yet: the channels that take it wait until nobody has acknowledged it for long enough": (
        "not yet: the destinations that take it wait until nobody has acknowledged it for long enough"
    ),
}
"""Words of programs that no person should read as they are, in English either."""


class Phrase(str):
    """A text in English whose `%(name)s` are filled in, and which remembers what it was made of.

    Whoever shows it to a person looks up `template` in the catalogue of their language, and fills in `values` there.
    """

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Self:
        """Return `template` with `values` in it."""
        made = super().__new__(cls, template % values if values else template)
        made.template, made.values = template, values
        return made


def translatable(text: str) -> str:
    """Return `text` as it is: it is in the catalogue, and whoever shows it looks it up."""
    return text


def say_in(language: str, text: str, /, **values: Any) -> str:
    """Return `text` in a language, with `values` in it."""
    return translated(Phrase(text, **values), language)


def translated(text: str, language: str) -> str:
    """Return a phrase in a language, and so each phrase among its values; any other text as it is."""
    if not isinstance(text, Phrase):
        return text
    if not text.values:
        return catalogue(language).gettext(text.template)
    values = {
        name: translated(value, language) if isinstance(value, str) else value for name, value in text.values.items()
    }
    return catalogue(language).gettext(text.template) % values


class Catalogue(NullTranslations):
    """The texts of one language. What it lacks stays English."""

    def __init__(self, texts: Mapping[str, str], kept: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._texts = texts
        self.kept = kept
        """Those that the ledger keeps: `kept_texts.py`."""

    @property
    def texts(self) -> Collection[str]:
        """All of them, in English."""
        return self._texts.keys()

    def gettext(self, message: str) -> str:
        """Return `message` in this language."""
        return self._texts.get(message, message)

    def has(self, message: str) -> bool:
        """Whether there is such a text."""
        return message in self._texts

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Return what is said of `n` things. A language without a plural has one text for both."""
        if msgid2 in self._texts:
            return self._texts[msgid2]
        return msgid1 if n == 1 else msgid2


@cache
def catalogue(language: str) -> Catalogue:
    """Return the texts of a language."""
    if language == "en":
        return Catalogue(_PLAIN)
    # It takes some time, which nobody needs who reads English.
    from babel.messages.pofile import read_po  # noqa: PLC0415 - see above

    path = files("ocelog") / "languages" / f"{language}.po"
    found, kept = dict[str, str](), set[str]()
    for message in read_po(BytesIO(path.read_bytes()), locale=language):
        if message.id and message.string:
            ids = (message.id,) if isinstance(message.id, str) else message.id
            text = message.string if isinstance(message.string, str) else message.string[0]
            found |= dict.fromkeys(ids, text)
            if KEPT in message.auto_comments:
                kept |= {*ids}
    return Catalogue(found, frozenset(kept))
