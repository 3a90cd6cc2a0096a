"""Where Wiz is: the addresses of its token endpoint and of its API, given, abbreviated, or told by the token."""

import base64
import ipaddress
import re
from urllib.parse import urlsplit, urlunsplit

import msgspec

from ocelog.errors import AccessRefusedError, ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.secrets.secret import shown
from ocelog.suggest import suggest

TOKEN_URLS = {
    "cognito": "https://auth.app.wiz.io/oauth/token",
    "auth0": "https://auth.wiz.io/oauth/token",
    "fedramp": "https://auth.app.wiz.us/oauth/token",
    "govcloud": "https://auth.gov.wiz.io/oauth/token",
}
"""As the vendor's page and its own plugins list them (read 2026-08). Auth0 is said to have ended in 2022-12."""

_API_DOMAINS = {
    "auth.app.wiz.io": "app.wiz.io",
    "auth.wiz.io": "app.wiz.io",
    "auth.app.wiz.us": "app.wiz.us",
    "auth.gov.wiz.io": "gov.wiz.io",
}
_PORTALS = {"app.wiz.io": "cognito", "app.wiz.us": "fedramp", "gov.wiz.io": "govcloud"}
"""Where people log in -> which of TOKEN_URLS is that cloud's."""
_TENANT_INFO = Phrase(
    "The API endpoint URL is in Wiz under your user icon > Tenant Info; it looks like "
    "https://api.us1.app.wiz.io/graphql. If you leave it out, it is read from the token."
)
_TENANT_INFO_ASKED = Phrase(
    "The API endpoint URL is in Wiz under your user icon > Tenant Info; it looks like "
    "https://api.us1.app.wiz.io/graphql. Leave it empty (press Enter) to have it read from the token."
)
_NAMED = ", ".join(name for name in TOKEN_URLS if name != "auth0")
"""What is offered: Auth0 is taken, but no longer recommended."""
_DATA_CENTRE = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")


def token_url(text: str, *, asked: bool = False) -> str:
    """Return the token endpoint that `text` means: a short name, a URL, or where people log in to that cloud.

    Raises ConfigError, which names no options if `asked`: whoever answers questions typed none.
    """
    text = text.strip()
    if text.lower() in TOKEN_URLS:
        return TOKEN_URLS[text.lower()]
    host = _host(text)
    cloud = _portal(host)
    if cloud is not None and not urlsplit(_with_scheme(text)).path.strip("/"):
        return TOKEN_URLS[_PORTALS[cloud]]
    if host in _PORTALS:
        return TOKEN_URLS[_PORTALS[host]]
    if host is None:
        if is_data_centre(text):
            raise ConfigError(
                Phrase(
                    "%(text)s is a data center, which belongs to the API URL (--api-url). The token URL is one of "
                    "%(named)s.",
                    text=repr(text),
                    named=_NAMED,
                )
            )
        raise ConfigError(
            Phrase(
                "The token URL is one of %(named)s or a URL such as https://..., not %(text)s%(token_urls)s",
                named=_NAMED,
                text=shown(text),
                token_urls=suggest(text, TOKEN_URLS) or ".",
            )
        )
    domain = next((each for each in _PORTALS if host.startswith("api.") and host.endswith(f".{each}")), None)
    if domain is not None:
        raise ConfigError(
            Phrase(
                "%(host)s is the API, which gives no tokens. The token URL of that cloud is %(domain)s.",
                host=host,
                domain=_PORTALS[domain],
            )
        )
    if host in _API_DOMAINS and not urlsplit(_with_scheme(text)).path.strip("/"):
        return next(url for url in TOKEN_URLS.values() if urlsplit(url).hostname == host)
    url = _checked(_with_scheme(text), Phrase("token URL"))
    if urlsplit(url).path.rstrip("/").endswith("/graphql"):
        if asked:
            raise ConfigError(
                Phrase(
                    "%(text)s looks like the API URL, which belongs to the question before (API Endpoint URL). The "
                    "token URL is one of %(named)s, or a URL.",
                    text=text,
                    named=_NAMED,
                )
            )
        raise ConfigError(
            Phrase(
                "%(text)s looks like the API URL (--api-url). The token URL is one of %(named)s, or a URL.",
                text=text,
                named=_NAMED,
            )
        )
    return url


def is_data_centre(text: str) -> bool:
    """Whether `text` looks like the name of a data center of Wiz's, such as us1."""
    return re.fullmatch(r"[a-z]{2,8}(-[a-z]{1,8}){0,2}-?\d{1,3}", text.strip().lower()) is not None


def _portal(host: str | None) -> str | None:
    """Return the cloud whose portal a host is, where people log in; None: it is another host.

    Some tenants have a name of their own before it, such as `acme.app.wiz.io`; `us1.app.wiz.io` is a data center.
    """
    first, _, domain = (host or "").partition(".")
    own_name = domain in _PORTALS and first not in ("api", "auth") and not is_data_centre(first)
    return host if host in _PORTALS else domain if own_name else None


def api_url(text: str, token_endpoint: str, *, asked: bool = False) -> str:
    """Return the API's endpoint that `text` means: a data center (us1), its host, or a URL, with or without /graphql.

    Raises ConfigError, which says what to give in the place of the portal or the token endpoint; if `asked`, as it is
    said to whoever answers questions, of which the token URL is the next.
    """
    text, tenant_info = text.strip(), _TENANT_INFO_ASKED if asked else _TENANT_INFO
    host = _host(text)
    if host is None:
        if text.lower() in TOKEN_URLS:
            raise ConfigError(
                Phrase(
                    "%(text)s is a cloud, which belongs to the token URL. The API URL is a data center such as us1, "
                    "or a URL. %(tenant_info)s",
                    text=repr(text),
                    tenant_info=tenant_info,
                )
            )
        if not is_data_centre(text):
            raise ConfigError(
                Phrase(
                    "The API URL is a data center such as us1, or a URL such as https://..., not %(text)s.",
                    text=shown(text),
                )
            )
        return _in_data_centre(text.lower(), token_endpoint)
    if _portal(host) is not None:
        raise ConfigError(
            Phrase(
                "%(host)s is Wiz's portal, where people log in, and not its API. %(tenant_info)s",
                host=host,
                tenant_info=tenant_info,
            )
        )
    if asked and (host in _API_DOMAINS or urlsplit(text).path.rstrip("/").endswith("/token")):
        raise ConfigError(
            Phrase(
                "%(text)s looks like the token URL, which is asked for next. %(tenant_info)s",
                text=shown(text),
                tenant_info=tenant_info,
            )
        )
    if host in _API_DOMAINS:
        raise ConfigError(
            Phrase("%(host)s gives tokens, and is not the API. %(tenant_info)s", host=host, tenant_info=tenant_info)
        )
    centre, _, domain = host.partition(".")
    if domain in _PORTALS and _DATA_CENTRE.fullmatch(centre) and centre != "api":
        return f"https://api.{centre}.{domain}/graphql"
    url = urlsplit(_checked(_with_scheme(text), Phrase("API URL")))
    path = url.path.rstrip("/")
    if path.endswith("/token"):
        raise ConfigError(
            Phrase(
                "%(text)s looks like a token URL (--token-url), and not like the API's. %(tenant_info)s",
                text=text,
                tenant_info=tenant_info,
            )
        )
    return urlunsplit(url._replace(path=path if path.endswith("/graphql") else f"{path}/graphql"))


def _host(text: str) -> str | None:
    """Return the host that a URL names; without its scheme only a host of Wiz's. None: `text` is neither."""
    try:
        host = (urlsplit(_with_scheme(text)).hostname or "").rstrip(".")
    except ValueError:
        host = ""
    of_wiz = host in _PORTALS or host in _API_DOMAINS or host.endswith(tuple(f".{each}" for each in _PORTALS))
    return host if "://" in text or of_wiz else None


def _with_scheme(text: str) -> str:
    return text if "://" in text else f"https://{text}"


def audience(token_endpoint: str) -> str:
    """Return the audience that this token endpoint expects: Auth0 has one, Amazon Cognito the other."""
    return "beyond-api" if urlsplit(token_endpoint).hostname == "auth.wiz.io" else "wiz-api"


def api_url_of(token: str, token_endpoint: str) -> str:
    """Return the API's endpoint that the `dc` claim of `token`, a JWT, names. Raises AccessRefusedError.

    The token's signature is not checked: it came over TLS from the address that we would ask about it.
    """
    parts = token.split(".")
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        centre = claims["dc"]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise AccessRefusedError(
            Phrase("Wiz's token does not name its data center: give the API URL (in Wiz: user icon > Tenant Info).")
        ) from error
    if not isinstance(centre, str) or not _DATA_CENTRE.fullmatch(centre):
        raise AccessRefusedError(Phrase("Wiz's token names an invalid data center. Give the API URL."))
    try:
        return _in_data_centre(centre, token_endpoint)
    except ConfigError as error:
        raise AccessRefusedError(error.phrase) from error


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine, so that nothing can listen in on the way."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _in_data_centre(centre: str, token_endpoint: str) -> str:
    domain = _API_DOMAINS.get(urlsplit(token_endpoint).hostname or "")
    if domain is None:
        raise ConfigError(
            Phrase(
                "With your own token URL, the API URL cannot be empty or a data center: give the whole of it, "
                "https://.../graphql."
            )
        )
    return f"https://api.{centre}.{domain}/graphql"


def _checked(text: str, what: str) -> str:
    """Return `text` if it is a URL that a secret may be sent to."""
    try:
        url = urlsplit(text.strip())
        host, _ = url.hostname, url.port
    except ValueError as error:
        # What Python says repeats a part of it, which may be a password.
        raise ConfigError(Phrase("The %(what)s must be a URL such as https://host/path.", what=what)) from error
    if url.scheme not in ("http", "https") or not host:
        raise ConfigError(Phrase("The %(what)s must be a URL such as https://host/path.", what=what))
    if url.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            Phrase("The %(what)s must begin with https://: over http, others could read the secret.", what=what)
        )
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ConfigError(
            Phrase("The %(what)s must not contain a user name, a password, or anything after `?` or `#`.", what=what)
        )
    return urlunsplit(url)
