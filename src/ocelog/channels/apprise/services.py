"""Which services of apprise may be sent to, and what people call them: the only list of them.

Left out are those that reach this machine instead of people (D-Bus, syslog, files, commands), those that tell the
world, those that keep a connection of their own (IRC, MQTT), those that would need more packages, and those for which
there is a kind of channel of ours.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.secrets.secret import hidden, may_be_shown
from ocelog.suggest import suggest

_CHATS = {
    "cliq": "cliq.NotifyCliq",
    "dingtalk": "dingtalk.NotifyDingTalk",
    "discord": "discord.NotifyDiscord",
    "feishu": "feishu.NotifyFeishu",
    "flock": "flock.NotifyFlock",
    "gchat": "google_chat.NotifyGoogleChat",
    "guilded": "guilded.NotifyGuilded",
    "humhub": "humhub.NotifyHumHub",
    "lark": "lark.NotifyLark",
    "line": "line.NotifyLine",
    "matrix": "matrix.NotifyMatrix",
    "matrixs": "matrix.NotifyMatrix",
    "mmost": "mattermost.NotifyMattermost",
    "mmosts": "mattermost.NotifyMattermost",
    "nctalk": "nextcloudtalk.NotifyNextcloudTalk",
    "nctalks": "nextcloudtalk.NotifyNextcloudTalk",
    "revolt": "revolt.NotifyRevolt",
    "rocket": "rocketchat.NotifyRocketChat",
    "rockets": "rocketchat.NotifyRocketChat",
    "ryver": "ryver.NotifyRyver",
    "signal": "signal_api.NotifySignalAPI",
    "signals": "signal_api.NotifySignalAPI",
    "slack": "slack.NotifySlack",
    "stackfield": "stackfield.NotifyStackfield",
    "synology": "synology.NotifySynology",
    "synologys": "synology.NotifySynology",
    "tgram": "telegram.NotifyTelegram",
    "threema": "threema.NotifyThreema",
    "twist": "twist.NotifyTwist",
    "webex": "webexteams.NotifyWebexTeams",
    "wecombot": "wecombot.NotifyWeComBot",
    "whatsapp": "whatsapp.NotifyWhatsApp",
    "workflow": "workflows.NotifyWorkflows",
    "workflows": "workflows.NotifyWorkflows",
    "wxteams": "webexteams.NotifyWebexTeams",
    "zoom": "zoom.NotifyZoom",
    "zulip": "zulip.NotifyZulip",
}
_INCIDENTS = {
    "betterstack": "betterstack.NotifyBetterStack",
    "firehydrant": "firehydrant.NotifyFireHydrant",
    "github": "github.NotifyGitHub",
    "goalert": "goalert.NotifyGoAlert",
    "goalerts": "goalert.NotifyGoAlert",
    "ilert": "ilert.NotifyILert",
    "incidentio": "incidentio.NotifyIncidentIO",
    "jira": "jira.NotifyJira",
    "pagertree": "pagertree.NotifyPagerTree",
    "signl4": "signl4.NotifySIGNL4",
    "spike": "spike.NotifySpike",
    "splunk": "splunk.NotifySplunk",
    "squadcast": "squadcast.NotifySquadcast",
    "victorops": "splunk.NotifySplunk",
    "xmatters": "xmatters.NotifyXMatters",
}
_MAIL = {
    "acs": "acs.NotifyACS",
    "azure": "office365.NotifyOffice365",
    "brevo": "brevo.NotifyBrevo",
    "mailersend": "mailersend.NotifyMailerSend",
    "mailgun": "mailgun.NotifyMailgun",
    "mailto": "email.NotifyEmail",
    "mailtos": "email.NotifyEmail",
    "o365": "office365.NotifyOffice365",
    "postmark": "postmark.NotifyPostmark",
    "resend": "resend.NotifyResend",
    "sendgrid": "sendgrid.NotifySendGrid",
    "ses": "ses.NotifySES",
    "smtp2go": "smtp2go.NotifySMTP2Go",
    "sparkpost": "sparkpost.NotifySparkPost",
}
_PHONES = {
    "bark": "bark.NotifyBark",
    "barks": "bark.NotifyBark",
    "bulksms": "bulksms.NotifyBulkSMS",
    "clickatell": "clickatell.NotifyClickatell",
    "clicksend": "clicksend.NotifyClickSend",
    "d7sms": "d7networks.NotifyD7Networks",
    "gotify": "gotify.NotifyGotify",
    "gotifys": "gotify.NotifyGotify",
    "infobip": "infobip.NotifyInfobip",
    "join": "join.NotifyJoin",
    "msgbird": "messagebird.NotifyMessageBird",
    "nexmo": "vonage.NotifyVonage",
    "ntfy": "ntfy.NotifyNtfy",
    "ntfys": "ntfy.NotifyNtfy",
    "pbul": "pushbullet.NotifyPushBullet",
    "plivo": "plivo.NotifyPlivo",
    "pover": "pushover.NotifyPushover",
    "prowl": "prowl.NotifyProwl",
    "simplepush": "simplepush.NotifySimplePush",
    "sinch": "sinch.NotifySinch",
    "sns": "sns.NotifySNS",
    "telnyx": "telnyx.NotifyTelnyx",
    "twilio": "twilio.NotifyTwilio",
    "vonage": "vonage.NotifyVonage",
}
SERVICES: Mapping[str, str] = {**_CHATS, **_INCIDENTS, **_MAIL, **_PHONES}
"""Scheme of an address -> module and class among the plugins of apprise."""

NAMES = {
    "email": "mailtos",
    "googlechat": "gchat",
    "mail": "mailtos",
    "mattermost": "mmosts",
    "msteams": "workflows",
    "office365": "azure",
    "pushover": "pover",
    "rocketchat": "rockets",
    "smtp": "mailtos",
    "smtps": "mailtos",
    "teams": "workflows",
    "telegram": "tgram",
}
"""What people call a service, and its scheme."""

_OURS = {
    "form": "webhook",
    "forms": "webhook",
    "http": "webhook",
    "json": "webhook",
    "jsons": "webhook",
    "opsgenie": "opsgenie",
    "pagerduty": "pagerduty",
    "xml": "webhook",
    "xmls": "webhook",
}
"""Schemes for which there is a kind of channel."""

_PASTED = {
    "hooks.slack.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
    "chat.googleapis.com": "gchat",
    "webexapis.com": "wxteams",
    "logic.azure.com": "workflows",
    "api.powerplatform.com": "workflows",
}
"""Ends of the hosts of addresses as a service shows them, which are taken as they are."""

SHORT_LIST = (
    "slack, workflows (Teams), discord, gchat, mmosts (Mattermost), tgram (Telegram), mailtos (mail), jira, twilio"
)


def service_of(url: str) -> str:
    """Return which of `SERVICES` an address is of. Raises ConfigError, which shows no more of it than its scheme."""
    scheme, colon, _ = url.partition("://")
    scheme = scheme.lower()
    if not colon or not scheme.isalnum():
        raise ConfigError(
            Phrase(
                "The url of an apprise channel begins with a service, such as slack://...: "
                "%(short_list)s. Given was %(url)s.",
                short_list=SHORT_LIST,
                url=hidden(url),
            )
        )
    if scheme in SERVICES:
        return scheme
    if scheme == "https":
        return _of_pasted(url)
    if scheme in _OURS:
        raise ConfigError(
            Phrase(
                "For %(scheme)s:// there is a channel of its own: use the kind %(ours)s.",
                scheme=scheme,
                ours=_OURS[scheme],
            )
        )
    if not may_be_shown(scheme):
        raise ConfigError(
            Phrase("The url of an apprise channel names no service. There are %(short_list)s.", short_list=SHORT_LIST)
        )
    meant = (
        Phrase(": use %(name)s://.", name=NAMES[scheme])
        if scheme in NAMES
        else suggest(scheme, [*SERVICES, *NAMES]) or "."
    )
    raise ConfigError(
        Phrase(
            "There is no service %(scheme)s://%(meant)s There are %(short_list)s, and others.",
            scheme=scheme,
            meant=meant,
            short_list=SHORT_LIST,
        )
    )


def _of_pasted(url: str) -> str:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    for end, service in _PASTED.items():
        if host == end or host.endswith(f".{end}"):
            return service
    raise ConfigError(Phrase("For an https:// address that is not one of a known chat, use the kind webhook."))
