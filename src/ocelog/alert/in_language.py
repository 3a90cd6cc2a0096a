"""What an alert says, in the language of whoever reads it. What people, rules and far ends wrote stays as it is."""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ocelog.alert.alert import Alert, TimelineEntry
from ocelog.alert.changes import QUIETLY, CloseReason
from ocelog.alert.deciding import TITLES
from ocelog.alert.ids import DELIVERY_ERROR, LIMIT_EXCEEDED, LOOP_FAILING, ONBOARDED
from ocelog.alert.listing import TitledAlert
from ocelog.alert.notice import AlertType, Happened, Notice
from ocelog.detect.folders import RULE_FILES
from ocelog.kept_texts import in_language, recognised, reworded
from ocelog.languages.phrases import say_in, translatable
from ocelog.languages.rule_texts import comes_along, text_in, title_in

KINDS: Mapping[str, str] = {
    "SOURCE_NO_DATA": translatable("No events"),
    "SOURCE_PERMISSIONS_CHECKS": translatable("Access refused"),
    "SOURCE_CLASSIFICATION_FAILURES": translatable("Records do not fit"),
    "SOURCE_LOG_PROCESSING_ERRORS": translatable("Records cannot be stored"),
    "SOURCE_SCANNING_ERRORS": translatable("Source cannot be read"),
    DELIVERY_ERROR: translatable("Alerts do not arrive"),
    LIMIT_EXCEEDED: translatable("Too many alerts"),
    LOOP_FAILING: translatable("A loop does not work"),
    ONBOARDED: translatable("A new source"),
    RULE_FILES: translatable("Files of rules"),
}
"""What people call that which stands in the place of a rule."""
DEEDS: Sequence[str] = (
    translatable("opened"),
    translatable("escalated"),
    translatable("reopened"),
    translatable("acknowledged"),
    translatable("resolved"),
    translatable("closed"),
    translatable("classified"),
    translatable("not visible"),
    translatable("resent"),
    translatable("test"),
    translatable("digest"),
    translatable("no longer visible"),
    translatable("visible again"),
    translatable("severity"),
    translatable("suppressed"),
    translatable("told later"),
    translatable("untold"),
    translatable("triaged"),
    translatable("assigned"),
    translatable("unassigned"),
    translatable("comment"),
)
"""What a timeline and a delivery say that happened."""
_DETAILS: Mapping[str, Sequence[str]] = {
    "assigned": (translatable("to %(name)s"),),
    "unassigned": (translatable("was %(name)s"),),
    "severity": (translatable("%(before)s to %(severity)s"),),
    "escalated": (translatable("from %(before)s to %(severity)s"), translatable("to %(channel)s: %(why)s")),
    "untold": (translatable("%(channel)s: %(why)s"),),
}
_ANSWERS = (translatable("written %(count)s bytes"), translatable("a bug in Ocelog: %(fault)s"))
_NOTES = (translatable("by %(who)s: %(note)s"), translatable("by %(who)s"), *_DETAILS["escalated"])
_DESCRIPTIONS = (
    translatable("Rejected by %(who)s, with no reason."),
    translatable("Rejected by %(who)s, with %(reason)s."),
)
"""What Python of rules that come along says about an alert, besides what their files say."""
_REASON = re.compile(rf"({'|'.join(CloseReason)})(?=$|[:;])")


class Texts(Struct, frozen=True, kw_only=True):
    """What an alert says of itself."""

    title: str
    description: str
    runbook: str


def texts(about: Alert | Notice, language: str) -> Texts:
    """Return what an alert says."""
    if _is_ours(about):
        description, runbook = reworded(about.description, language), reworded(about.runbook, language)
    else:
        description, runbook = _description(about, language), text_in(language, about.runbook, about.rule_id)
    return Texts(title=title(about, language), description=description, runbook=runbook)


def _description(about: Alert | Notice, language: str) -> str:
    found = recognised(about.description, _DESCRIPTIONS) if comes_along(about.rule_id) else None
    return text_in(language, about.description, about.rule_id) if found is None else in_language(found, language)


def title(about: Alert | Notice | TitledAlert, language: str) -> str:
    """Return what an alert is called."""
    if _is_ours(about):
        return reworded(about.title, language)
    if (found := recognised(about.title, TITLES)) is not None and found.values["rule"] == about.rule_name:
        return in_language(found, language)
    return title_in(language, about.title, about.rule_id)


def kind(about: Alert | Notice | TitledAlert, language: str) -> str:
    """Return what people call the rule, or what stands in its place."""
    if _is_ours(about) and about.rule_id in KINDS:
        return say_in(language, KINDS[about.rule_id])
    return title_in(language, about.rule_name, about.rule_id) or about.rule_id


def detail(entry: TimelineEntry, language: str) -> str:
    """Return what an entry of a timeline says besides who did what."""
    if entry.what == "comment":
        return entry.detail
    told = entry.detail.removesuffix(f"; {QUIETLY}")
    quiet = [reworded(QUIETLY, language)] if told != entry.detail else []
    if entry.detail == QUIETLY:
        return reworded(QUIETLY, language)
    return "; ".join([_detail(entry.what, told, language), *quiet])


def _detail(what: str, told: str, language: str) -> str:
    if (found := recognised(told, _DETAILS.get(what, ()))) is not None:
        return in_language(found, language)
    return reason(told, language) if what in {"closed", "classified"} else reworded(told, language)


def reason(told: str, language: str) -> str:
    """Return why an alert was closed, and what a person wrote about it."""
    return _REASON.sub(lambda found: say_in(language, found[1]), told, count=1)


def note(about: Notice, language: str) -> str:
    """Return what people are told in addition."""
    found = recognised(about.note, _NOTES) if about.happened is not Happened.OPENED else None
    if found is None:
        return reworded(about.note, language)
    if about.happened is Happened.CLOSED and "note" in found.values:
        return say_in(language, found.template, **{**found.values, "note": reason(found.values["note"], language)})
    return in_language(found, language)


def answer(text: str, language: str) -> str:
    """Return what came of a delivery; what the far end said stays as it is."""
    found = recognised(text, _ANSWERS)
    return reworded(text, language) if found is None else in_language(found, language)


def _is_ours(about: Alert | Notice | TitledAlert) -> bool:
    """Whether Ocelog wrote what it says, and no rule."""
    is_digest = isinstance(about, Notice) and about.happened in {Happened.DIGEST, Happened.TEST}
    return is_digest or about.type is not AlertType.ALERT or about.rule_id == ONBOARDED
