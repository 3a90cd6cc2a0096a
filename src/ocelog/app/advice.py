"""What a person does about an error, by its code, and what of its text differs each time."""

import re


def todo(code: str, source: str, *, idle: bool = False) -> str:
    """Return what a person does about an error of this `code`, which befell a stream of `source`.

    `idle`: nothing runs that would try again by itself.
    """
    start = "ocelog pull, or to keep it going: ocelog run"
    again = ", and if all is well: ocelog pull" if idle else ". If all is well, reading goes on within minutes."
    match code:
        case "secret_unreadable":
            return (
                f"Do what the message says. To enter the secret again under a usable key: ocelog source rotate {source}"
            )
        case "web_page":
            return (
                "Look at the proxy or firewall between this machine and the source: it seems to answer in the source's "
                f"place, and must let all URLs of the source through. Then run: ocelog source check {source}" + again
            )
        case "access_refused" | "scope_missing" | "access_denied":
            return f"Do what the message says, then run: ocelog source check {source}" + again
        case "contract_broken" | "stream_stopped":
            return f"Run: ocelog source check {source}. If it finds nothing wrong, please report the message."
        case "disk_full":
            after = f"Then run: {start}. Nothing" if idle else "It then goes on by itself, and nothing"
            return f"Free some space on that disk. {after} is lost."
        case (
            "source_unavailable"
            | "rate_limited"
            | "lake_unavailable"
            | "ledger_unavailable"
            | "overtaken"
            | "try_later"
        ):
            wait = (
                f"Nothing is running, so nothing tries it again. Run: {start}."
                if idle
                else "Nothing yet: it is tried again."
            )
            check = f" If it goes on, run: ocelog source check {source}" if code == "source_unavailable" else ""
            return wait + check
        case _:
            after = f", then run: {start}." if idle else "; it is tried again every few minutes."
            return f"Do what the message says{after}"


def without_request(text: str) -> str:
    """Return what an error says without the id of its request, which differs each time."""
    return re.sub(r" \(\w+ request [^()]*\)", "", text)
