"""Wiz as a product: what a person is asked for one tenant, and what its sources share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase, translatable
from ocelog.product import LOG_TYPES, SECRET, Answers, Option, Product, Question, Rights, SourceSettings, Step
from ocelog.pull.clock import ApiClock
from ocelog.pull.ports import Source
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz import endpoints
from ocelog.sources.wiz.rate import Pace
from ocelog.sources.wiz.settings import WizSettings, changed, confined, from_mapping, may_be_client_id, read
from ocelog.sources.wiz.streams import KINDS, ROOTS
from ocelog.units import write_list

_CLOUDS = {"app.wiz.us": "fedramp", "gov.wiz.io": "govcloud"}
_LIMITED = write_list(root.title for root in ROOTS.values() if root.project_filter is not None)
_WHOLE = write_list(root.title for root in ROOTS.values() if root.project_filter is None)

_OPTIONS = (
    Option(
        name="token_url",
        flag="--token-url",
        help="cognito (commercial), fedramp, govcloud, auth0 (old), or a URL.",
        required=True,
        is_address=True,
        reaches=True,
    ),
    Option(
        name="api_url",
        flag="--api-url",
        help="The API endpoint URL of your tenant, or its data center such as us1. Default: read from the token.",
        is_address=True,
        reaches=True,
    ),
    Option(
        name="client_id",
        flag="--client-id",
        help="The service account's client ID.",
        required=True,
        reaches=True,
        rotates=True,
    ),
    Option(
        name="projects",
        flag="--project",
        metavar="ID",
        help=f"Only {_LIMITED} of this project (repeat for more). All of {_WHOLE} is read.",
        many=True,
        reaches=True,
    ),
    Option(
        name="rate",
        flag="--rate",
        help="Maximum requests per second, 0.01 to 1000. Default: 3.",
        label="Requests per second",
        value=float,
    ),
    Option(
        name="sweep_share",
        flag="--sweep-share",
        help="Share of the rate that daily sweeps may use, 0.01 to 1. Default: 0.25.",
        label="Share of daily sweeps",
        value=float,
    ),
    Option(
        name="page_size",
        flag="--page-size",
        help="Records requested at once, 1 to 500. Default: 500.",
        label="Records per request",
        value=int,
    ),
    Option(
        name="ca_file",
        flag="--ca-file",
        metavar="FILE",
        help="Trust the certificates in this file, for a proxy that inspects TLS.",
        is_file=True,
        reaches=True,
    ),
)


class WizAccounts:
    """The service accounts that sources use: those of one account share its rate. Implements `Connector`."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str], Pace] = {}
        """By token URL and client ID: Wiz limits what a service account sends, however many sources use it."""

    def connect(
        self, source_id: str, settings: SourceSettings, secret: Callable[[], Secret], clock: ApiClock
    ) -> Source:
        """Return a tenant to ask."""
        # Its HTTP client takes long to import.
        from ocelog.sources.wiz.source import WizSource  # noqa: PLC0415

        if not isinstance(settings, WizSettings):
            raise TypeError(settings.product)
        pace = self._paces.setdefault((settings.token_url, settings.client_id), Pace(settings.rate))
        pace.share(source_id, settings.rate)
        return WizSource(settings, secret, clock, pace=pace)


def _choose(before: SourceSettings | None, given: Mapping[str, Any]) -> WizSettings:
    if not all(str(each).strip() for each in given.get("projects") or ()):
        raise ConfigError(
            Phrase(
                "--project: an empty id names no project. Leave the option out to read all of them; for "
                "a source that is limited to some, give --no-project."
            )
        )
    return changed(before, given) if isinstance(before, WizSettings) else from_mapping(given)


def _cloud_of(address: str) -> str:
    return next((cloud for end, cloud in _CLOUDS.items() if end in address), "cognito")


def _read_api_url(text: str, _: Answers) -> str | None:
    if not text:
        return None
    meant = endpoints.api_url(text, endpoints.TOKEN_URLS[_cloud_of(text)], asked=True)
    # A data center alone is completed when the cloud is known.
    return meant if "." in text else text.lower()


def _read_token_url(text: str, answers: Answers) -> str:
    if text.lower() not in endpoints.TOKEN_URLS and endpoints.is_data_centre(text):
        cloud = _cloud_of(answers.get("api_url") or "")
        raise ConfigError(
            Phrase(
                "%(text)s is a data center: it belongs to the question before (API Endpoint URL). Here, "
                "type %(cloud)s.",
                text=repr(text),
                cloud=cloud,
            )
        )
    meant = endpoints.token_url(text, asked=True)
    return next((name for name, url in endpoints.TOKEN_URLS.items() if url == meant), meant)


def _check_addresses(answers: Answers) -> None:
    # Without an API URL the token names a data center, whichever.
    endpoints.api_url(answers.get("api_url") or "us1", endpoints.token_url(str(answers["token_url"])))


def _reach(option: str, answers: Answers) -> None:
    # Its HTTP client takes long to import.
    from ocelog.sources.wiz.reach import demand_answer  # noqa: PLC0415

    token = endpoints.token_url(str(answers.get("token_url") or _cloud_of(answers.get("api_url") or "")))
    demand_answer(token if option == "token_url" else endpoints.api_url(answers["api_url"], token))


def _is_whole(option: str, answers: Answers) -> bool:
    """Whether it is known where an address is: a data center alone is completed when the cloud is known."""
    return option == "token_url" or "token_url" in answers or not endpoints.is_data_centre(answers["api_url"])


def _read_projects(text: str, _: Answers) -> list[str] | None:
    return [each.strip() for each in text.split(",") if each.strip()] or None


def _read_client_id(text: str, _: Answers) -> str:
    if not may_be_client_id(text):
        raise ConfigError(Phrase("The client ID is one word without spaces, as Wiz shows it."))
    return text


def _may_have_projects(answers: Answers) -> bool:
    return all(ROOTS[name].project_filter is not None for name in answers["log_types"])


def _rights(log_types: Sequence[str]) -> str:
    roots = [ROOTS[name] for name in log_types]
    scopes = ", ".join(dict.fromkeys(["read:resources", *(root.scope for root in roots)]))
    unlimited = [root.title for root in roots if root.project_filter is None]
    projects = (
        f"leave empty. An account that is bound to projects cannot read {write_list(unlimited)}."
        if unlimited
        else "leave empty, or choose those that Ocelog may see."
    )
    return f"  Type: Custom Integration (GraphQL API).\n  API scopes: {scopes}.\n  Projects: {projects}"


def _needed(log_types: Sequence[str]) -> Rights:
    roots = [ROOTS[name] for name in log_types]
    scopes = dict.fromkeys(root.scope for root in roots)
    whole = any(root.project_filter is None for root in roots)
    return Rights(
        kind=translatable("Custom Integration (GraphQL API)"),
        scopes={
            "read:resources": (),
            **{scope: [root.title for root in roots if root.scope == scope] for scope in scopes},
        },
        limits=translatable("Leave the projects empty: an account that is bound to projects cannot read the audit log.")
        if whole
        else translatable("Leave the projects empty, or choose those that Ocelog may see."),
    )


_STEPS = (
    Step(
        title="where your tenant answers",
        text=(
            "  In Wiz: your user icon (top right) > Tenant Info > Data Center and Regions.\n"
            "  Copy the API Endpoint URL; it looks like https://api.us1.app.wiz.io/graphql."
        ),
        questions=(
            Question(
                option="api_url",
                prompt="API Endpoint URL (empty: read it from the token)",
                short="API Endpoint URL",
                default=lambda _: "",
                read=_read_api_url,
                letter="u",
                label="the addresses",
                unset="API: as the token says",
            ),
            Question(
                option="token_url",
                before=(
                    "  On the same page, the login address says which cloud: app.wiz.io is cognito, app.wiz.us is "
                    "fedramp, gov.wiz.io is govcloud."
                ),
                hint=translatable("On the same page, the login address says which cloud."),
                prompt="Token URL: cognito, fedramp, govcloud or a URL",
                short="Token URL",
                choices={
                    "cognito": "Commercial (app.wiz.io)",
                    "fedramp": "FedRAMP (app.wiz.us)",
                    "govcloud": "GovCloud (gov.wiz.io)",
                },
                default=lambda answers: _cloud_of(answers.get("api_url") or ""),
                read=_read_token_url,
                letter="u",
                label="the addresses",
            ),
        ),
        check=_check_addresses,
        reach=_reach,
        is_whole=_is_whole,
    ),
    Step(
        title="a service account",
        text="  In Wiz: Settings > Access Management > Service Accounts > Add Service Account.",
        questions=(
            LOG_TYPES,
            Question(
                option="projects",
                prompt="Project ids, comma between them (empty: all)",
                short="Projects",
                default=lambda _: "",
                read=_read_projects,
                letter="p",
                label="the projects",
                unset="all",
                asked=_may_have_projects,
            ),
            Question(
                option="client_id",
                before=(
                    "  Click Add Service Account. Wiz shows the Client ID and, only this once, the Client Secret: copy "
                    "both."
                ),
                prompt="Client ID",
                read=_read_client_id,
                letter="i",
                label="the client ID",
            ),
            SECRET,
        ),
    ),
)

WIZ = Product(
    name="wiz",
    title="Wiz",
    log_types=KINDS,
    options=_OPTIONS,
    steps=_STEPS,
    read=read,
    choose=_choose,
    connector=WizAccounts,
    confined=confined,
    rights=_rights,
    needed=_needed,
    meanings={
        "audience": "For which API a token is requested: it follows from the token URL.",
        "public_only": "Whether addresses of private networks and of this machine are refused, as if named remotely.",
        "connect_seconds": "Maximum seconds until a connection is there.",
        "read_seconds": "Maximum seconds without a byte of an answer.",
        "total_seconds": "Maximum seconds that one answer may take as a whole.",
        "most_bytes": "Maximum size of one answer, unpacked, in bytes.",
    },
)
