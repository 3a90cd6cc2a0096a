"""What a person does about an error, by its code, and what of its text differs each time."""

import re

from ocelog.languages.phrases import Phrase


def todo(code: str, source: str, *, idle: bool = False) -> str:
    """Return what a person does about an error of this `code`, which befell a stream of `source`.

    `idle`: nothing runs that would try again by itself.
    """
    again = (
        Phrase(", and if all is well: ocelog pull")
        if idle
        else Phrase(". If all is well, reading goes on within minutes.")
    )
    match code:
        case "secret_unreadable":
            return Phrase(
                "Bring the key back, or whatever keeps the secret. If that is lost, enter the secret again under a "
                "usable key: ocelog source rotate %(source)s",
                source=source,
            )
        case "web_page":
            return Phrase(
                "Look at the proxy or firewall between this machine and the source: it seems to answer in the source's "
                "place, and must let all URLs of the source through. Then run: ocelog source check %(source)s%(again)s",
                source=source,
                again=again,
            )
        case "credentials_refused":
            return Phrase(
                "If the secret was rotated, enter the new one: ocelog source rotate %(source)s. Otherwise, once the "
                "account is in order, run: ocelog source check %(source)s%(again)s",
                source=source,
                again=again,
            )
        case "scope_missing":
            return Phrase(
                "Add the scope to the service account, then run: ocelog source check %(source)s%(again)s",
                source=source,
                again=again,
            )
        case "access_denied":
            return Phrase(
                "Correct the scopes or the projects of the service account, then run: ocelog source check "
                "%(source)s%(again)s",
                source=source,
                again=again,
            )
        case "access_refused":
            return Phrase(
                "Correct the service account, or how the source is set up (ocelog source edit %(source)s --help). Then "
                "run: ocelog source check %(source)s%(again)s",
                source=source,
                again=again,
            )
        case "contract_broken" | "stream_stopped":
            return Phrase(
                "Run: ocelog source check %(source)s. If it finds nothing wrong, please report the message.",
                source=source,
            )
        case "disk_full" if idle:
            return Phrase(
                "Free some space on that disk. Then run: ocelog pull, or to keep it going: ocelog run. Nothing is lost."
            )
        case "disk_full":
            return Phrase("Free some space on that disk. It then goes on by itself, and nothing is lost.")
        case (
            "source_unavailable"
            | "rate_limited"
            | "lake_unavailable"
            | "ledger_unavailable"
            | "overtaken"
            | "try_later"
        ):
            wait = (
                Phrase(
                    "Nothing is running, so nothing tries it again. Run: ocelog pull, or to keep it going: ocelog run."
                )
                if idle
                else Phrase("Nothing yet: it is tried again.")
            )
            if code != "source_unavailable":
                return wait
            return Phrase(
                "%(wait)s If it goes on, run: ocelog source check %(source)s",
                wait=wait,
                source=source,
            )
        case _ if idle:
            return Phrase("Correct the cause that is named, then run: ocelog pull, or to keep it going: ocelog run.")
        case _:
            return Phrase("Correct the cause that is named; it is tried again every few minutes.")


def without_request(text: str) -> str:
    """Return what an error says without the id of its request, which differs each time."""
    return re.sub(r" \(\w+ request [^()]*\)", "", text)
