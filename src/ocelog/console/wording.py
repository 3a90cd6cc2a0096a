"""What a page says of an error and of advice: in its reader's language, with links in the place of commands."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from markupsafe import Markup

from ocelog.errors import OcelogError
from ocelog.languages.phrases import Phrase, catalogue, say_in, translatable, translated

SUMMARIES: Mapping[str, str] = {
    "unexpected": translatable("Something went wrong that nobody expected."),
    "action_required": translatable("A person must change something first."),
    "channel_refused": translatable("The destination does not take messages as it is set up."),
    "config_invalid": translatable("A setting does not hold."),
    "home_unfit": translatable("The home of Ocelog is not fit for that now."),
    "lake_damaged": translatable("A file of the lake is lost or damaged."),
    "query_invalid": translatable("The query is wrong, not allowed, or takes too much."),
    "rule_file_invalid": translatable("A file of rules is wrong."),
    "sandbox_failed": translatable("SQL cannot be run safely on this machine."),
    "schema_invalid": translatable("A file of log schemas is wrong."),
    "sign_in_refused": translatable("Signing in was refused."),
    "try_later": translatable("It may work later: try again."),
    "channel_unavailable": translatable("The destination did not take the message just now."),
    "lake_unavailable": translatable("The lake cannot be read or written just now."),
    "ledger_unavailable": translatable("The ledger does not answer, or is busy."),
    "overtaken": translatable("Another process has taken over this work."),
    "query_busy": translatable("Too many queries run just now."),
    "remote_unavailable": translatable("A remote Ocelog does not answer."),
    "rate_limited": translatable("The source is rate-limiting requests."),
    "source_unavailable": translatable("The source does not answer, or is down."),
    "stream_stopped": translatable("A stream cannot go on until its tenant changes."),
    "access_refused": translatable("The service account may not read this."),
    "contract_broken": translatable("The source answered something that is not known of it."),
    "disk_full": translatable("The disk is full."),
    "web_page": translatable("A proxy or firewall answers in the place of the source."),
    "scope_missing": translatable("The service account lacks a scope."),
    "credentials_refused": translatable("The source refuses the client ID and the secret."),
    "access_denied": translatable("The source denies access, and does not say why."),
    "address_forbidden": translatable("The address leads to a private network or to this machine."),
    "query_cancelled": translatable("The query was ended before it was done."),
    "query_only_now": translatable("The query reads a table that says how things are now only."),
    "sign_in_throttled": translatable("Signing in failed too often of late: wait a while."),
    "loop_stalls": translatable("A loop of the service comes no further."),
    "loop_hangs": translatable("A loop of the service hangs."),
    "declined": translatable("A question was answered with no, so nothing was done."),
    "secret_unreadable": translatable("The client secret cannot be read."),
}
"""What each code of an error means, in one sentence."""
_NAME = r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})"
_SOURCE = "/sources/{0}"
_OPTION = re.compile(r" ?\(--[a-z][^()]*\)")
"""In brackets, which option does at the command line what a page has a field for."""
_EMPTY = re.compile(r"(?:^|, )[^=,\s]+=null(?=, |$)")
"""What a dedup string, which names the alert and so stays as it is, says of a field without a value."""
_QUOTED = re.compile(r"LINE \d+:| +\^")
"""Of an engine's text, the line of the statement that it quotes, and the mark below it."""
_LINKS = [
    (re.compile(f"`?ocelog {pattern}`?"), path, label)
    for pattern, path, label in (
        (rf"source remove {_NAME} --purge", "/sources/{0}/purge", translatable("Delete with all rows")),
        (rf"source remove {_NAME}", _SOURCE, translatable("Remove")),
        (rf"source check {_NAME}", _SOURCE, translatable("Check")),
        (rf"source rotate {_NAME}", _SOURCE, translatable("Replace the client secret")),
        (rf"source resume {_NAME}", _SOURCE, translatable("Resume")),
        (rf"source edit {_NAME}(?: --[a-z-]+)*", _SOURCE, translatable("Change the settings")),
        (r"source edit --help", "/sources", translatable("Sources")),
        (r"source list", "/sources", translatable("Sources")),
        (r"source add(?: --help)?", "/sources/new", translatable("Create a source")),
        (r"rejections --replay", "/sources", translatable("Sources")),
        (r"status(?: --[a-z-]+)*", "/sources", translatable("Sources")),
        (rf"channel (?:show|test|resend|edit|resume) {_NAME}", "/channels", translatable("Destinations")),
        (r"channel add(?: --help)?", "/channels", translatable("Destinations")),
        (r"channel list", "/channels", translatable("Destinations")),
        (rf"rules (?:show|enable|disable|test|try) {_NAME}", "/rules/{0}", translatable("Detections")),
        (r"rules list", "/rules", translatable("Detections")),
        (rf"alerts (?:show|reopen|resend|triage|close) {_NAME}", "/alerts/{0}", translatable("Alerts")),
        (rf"alerts list --rule {_NAME}", "/alerts?everything=1&rule={0}", translatable("Alerts")),
        (rf"alerts list --untold --source {_NAME}", "/alerts?everything=1&source={0}", translatable("Alerts")),
        (r"alerts list", "/alerts", translatable("Alerts")),
        (r"tables(?: T)?", "/schemas", translatable("Schemas")),
    )
]
"""Commands for which the console has a page: the path, and what the link says behind the name."""


FIELDS: Mapping[str, str] = {
    "account": translatable("account"),
    "action": translatable("action"),
    "actions": translatable("actions"),
    "actor": translatable("actor"),
    "address": translatable("address"),
    "asset": translatable("asset"),
    "assets": translatable("assets"),
    "assignee": translatable("assignee"),
    "before": translatable("before"),
    "before_percent": translatable("before percent"),
    "country": translatable("country"),
    "detection": translatable("detection"),
    "due": translatable("due"),
    "entries": translatable("entries"),
    "epss_percent": translatable("EPSS percent"),
    "exploit": translatable("exploit"),
    "exposed": translatable("exposed"),
    "finding": translatable("finding"),
    "first_action": translatable("first action"),
    "fixed_in": translatable("fixed in"),
    "issue": translatable("issue"),
    "kev": translatable("on the KEV list"),
    "name": translatable("name"),
    "parameters": translatable("parameters"),
    "program": translatable("program"),
    "request": translatable("request"),
    "resource": translatable("resource"),
    "resource_type": translatable("resource type"),
    "rule": translatable("rule"),
    "score": translatable("score"),
    "service_account": translatable("service account"),
    "severity": translatable("severity"),
    "software": translatable("software"),
    "status": translatable("status"),
    "threat": translatable("threat"),
    "url": translatable("address of the record"),
    "user": translatable("user"),
    "version": translatable("version"),
    "vulnerability": translatable("vulnerability"),
}
"""What a page calls the fields of alerts' contexts. What people's own rules add is shown as it is."""


def field_name(name: str, language: str) -> str:
    """Return what a page calls a field of an alert's context."""
    return say_in(language, FIELDS[name]) if name in FIELDS else name.replace("_", " ")


def grouped_by(dedup: str) -> str:
    """Return by what an alert is grouped, as a page shows it: fields that the event does not have are left out."""
    return _EMPTY.sub("", dedup).removeprefix(", ")


def told(error: object, language: str) -> Markup:
    """Return what a page says of an error: in the reader's language, or what its code means there before the rest."""
    if not isinstance(error, OcelogError):
        return linked(str(error), language)
    words = [each for each in (error.what, error.todo) if each]
    if error.table is None and (language == "en" or all(_is_known(each, language) for each in words)):
        return _in_lines(Markup(" ").join(linked(translated(each, language), language) for each in words))
    return introduced(str(error), error.code, language)


def summary(error: OcelogError) -> str:
    """Return what the code of an error means: to whoever may not read its message, which may name hosts and users."""
    return Phrase(SUMMARIES[error.code if error.code in SUMMARIES else OcelogError.code])


def introduced(text: str, code: str | None, language: str) -> Markup:
    """Return a message of which nothing but its code may be known in the reader's language."""
    rest = _in_lines(linked(text, language))
    if language == "en" or code is None or code not in SUMMARIES:
        return rest
    return Markup('{} <span class="text-secondary" lang="en">{}</span>').format(say_in(language, SUMMARIES[code]), rest)


def _in_lines(text: Markup) -> Markup:
    """Return a text with its lines apart, and below the statement that an engine quotes its mark where it belongs."""
    lines = [
        Markup("<code>{}</code>").format(each.replace(" ", "\u00a0"))
        if _QUOTED.match(each) and "<" not in each
        else each
        for each in text.split("\n")
    ]
    return Markup("<br>").join(lines)


def _is_known(text: str, language: str) -> bool:
    return isinstance(text, Phrase) and catalogue(language).has(text.template)


def linked(text: str, language: str) -> Markup:
    """Return a text for a page, with a link in the place of each command for which the console has a page."""
    found, rest = Markup(), _OPTION.sub("", translated(text, language))
    while (first := _first(rest)) is not None:
        match, path, label = first
        found += rest[: match.start()]
        found += _link(match, path, label, language)
        rest = rest[match.end() :]
    return found + rest


def _first(text: str) -> "tuple[re.Match[str], str, str] | None":
    matches = [(match, path, label) for pattern, path, label in _LINKS if (match := pattern.search(text))]
    # Of those that begin together the longest, which says most.
    return min(matches, key=lambda each: (each[0].start(), -each[0].end()), default=None)


def _link(match: "re.Match[str]", path: str, label: str, language: str) -> Markup:
    groups = [each.rstrip(".") for each in match.groups()]
    named = "".join(f"{each} > " for each in groups[:1])
    address = path.format(*(quote(each, safe="") for each in groups))
    # A name takes the end of its sentence along.
    end = match[0][len(match[0].rstrip(".")) :]
    return Markup('<a href="{}">{}{}</a>{}').format(address, named, say_in(language, label), end)
