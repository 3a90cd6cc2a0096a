"""How an HTTP client is opened: which certificates and proxies it takes from the settings and the environment."""

import os
import ssl
from urllib.parse import urlsplit

import httpx2

from ocelog.errors import ConfigError, without_number
from ocelog.languages.phrases import Phrase
from ocelog.sources.wiz.settings import WizSettings, demand_ca_file

_MOST_CONNECTIONS = 32
_PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def open_http(settings: WizSettings, user_agent: str, *, near: bool, plain: bool) -> httpx2.Client:
    """Return a client for hosts elsewhere, or for this machine (`near`), to which no proxy leads.

    One that speaks plain HTTP with this machine reads no certificates, which takes a while, and trusts nobody's.

    Raises ConfigError, naming the CA file or the variable that does not hold, though not what a variable says: a
    proxy's address may hold a password.
    """
    named = settings.ca_file is not None or any(map(os.environ.get, _TRUST))
    # What was named is read in any case: that it cannot be is told.
    trust = _trust(settings.ca_file) if named or not (near and plain) else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx2.Client(
            verify=trust,
            trust_env=not near,
            timeout=httpx2.Timeout(settings.read_seconds, connect=settings.connect_seconds),
            limits=httpx2.Limits(max_connections=_MOST_CONNECTIONS, keepalive_expiry=60),
            follow_redirects=False,
            headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "gzip"},
        )
    except (ImportError, ValueError, httpx2.InvalidURL):
        # Not chained: the error holds the address.
        raise ConfigError(
            Phrase(
                "%(name)s must hold the address of an HTTP proxy, such as http://proxy.example:3128: set it so, "
                "or unset it, where Ocelog is started.",
                name=_unfit_proxy(),
            )
        ) from None


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = httpx2.create_ssl_context()
    except OSError as error:
        name = next((name for name in _TRUST if os.environ.get(name)), None)
        if name is None:
            raise ConfigError(
                Phrase("The system's certificate authorities cannot be read: %(error)s.", error=without_number(error))
            ) from error
        raise ConfigError(
            Phrase(
                "%(name)s names %(path)s, which holds no certificates that can be read (%(error)s): set it to "
                "where they are, or unset it, where Ocelog is started.",
                name=name,
                path=os.environ[name],
                error=without_number(error),
            )
        ) from error
    if ca_file is not None:
        demand_ca_file(ca_file)
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise ConfigError(
                Phrase(
                    "The CA file %(ca_file)s holds no certificate that can be read: %(error)s.",
                    ca_file=ca_file,
                    error=without_number(error),
                )
            ) from error
    return context


def _unfit_proxy() -> str:
    return next((name for name in _PROXIES if not _is_fit(os.environ.get(name, ""))), "HTTPS_PROXY")


def _is_fit(address: str) -> bool:
    if not address:
        return True
    address = address if "://" in address else f"http://{address}"
    try:
        httpx2.Proxy(address)
    except (ValueError, httpx2.InvalidURL):
        return False
    return urlsplit(address).scheme in ("http", "https")
