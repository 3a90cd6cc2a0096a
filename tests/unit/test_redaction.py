"""No text of the other side tells a secret, however it is written there."""

import base64
import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from drawn import examples
from ocelog.errors import OcelogError
from ocelog.secrets.redaction import MARK, Redactor
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.answers import read_answer, read_cheap
from ocelog.sources.wiz.exchange import HttpAnswer
from ocelog.sources.wiz.settings import from_mapping
from ocelog.sources.wiz.streams import ROOTS, Root
from ocelog.sources.wiz.tokens import Tokens

AUDIT, ISSUES, FINDINGS = (ROOTS[name] for name in ("Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding"))

SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=16, max_size=80).filter(
    lambda text: len(set(text)) > 7
)
"""What a client secret can be; of characters enough that no text holds it by chance."""

SETTINGS = from_mapping({"token_url": "cognito", "client_id": "client-id"})
WRITTEN: dict[str, Callable[[str], str]] = {
    "raw": str,
    "url": lambda text: quote(text, safe=""),
    "url-lower": lambda text: quote(text, safe="").lower() if text.islower() else quote(text, safe=""),
    "url-every": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "form": quote_plus,
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "json": lambda text: json.dumps(text)[1:-1],
    "json-slash": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json-every": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "html": html.escape,
    "html-every": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "repr": repr,
    "bytes": lambda text: repr(text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "basic": lambda text: base64.b64encode(f"client-id:{text}".encode()).decode(),
    "cut": lambda text: text[:14],
    "tail": lambda text: text[-14:],
}


def _tells(text: str, secret: str, written: str) -> bool:
    """Whether `text` gives away as much of what stands for the secret as a person could use."""
    whole = [secret[at : at + 12] for at in range(len(secret) - 11)]
    core = written[4:-4]
    return any(each in text for each in whole) or (len(core) >= 12 and core in text)


@example(secret="0000000001'%2345", way="html", before="", after="")
@given(secret=SECRETS, way=st.sampled_from(sorted(WRITTEN)), before=st.text(max_size=30), after=st.text(max_size=30))
def test_a_secret_is_taken_out_however_it_is_written(secret: str, way: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.learn(Secret(secret))
    written = WRITTEN[way](secret)
    clean = redactor(f"{before} {written} {after}")
    assert not _tells(clean, secret, written)
    assert MARK in clean


@given(st.text(max_size=300))
def test_a_text_without_a_secret_stays_as_it_is(text: str) -> None:
    redactor = Redactor()
    redactor.learn(Secret("Kq8-tT3~vW9_zX1.yB5"))
    assert redactor(text) == text


def test_only_the_secret_goes() -> None:
    redactor = Redactor()
    redactor.learn(Secret("p/w+d=1&2 3"))
    assert redactor("a %70%2Fw%2bd%3D1%262+3 b p/w+d=1&2 3.") == f"a {MARK} b {MARK}."
    redactor.learn(Secret("short"))
    assert redactor("cut it short") == "cut it short"


def _plain(status: int, text: str) -> HttpAnswer:
    return HttpAnswer(status=status, headers={"content-type": f"text/plain; x={text}"}, body=text.encode())


def _page(status: int, text: str) -> HttpAnswer:
    return HttpAnswer(status=status, headers={}, body=f"<html><title>no {html.escape(text)}</title>".encode())


def _untitled(status: int, text: str) -> HttpAnswer:
    return HttpAnswer(status=status, headers={"content-type": "text/html"}, body=f"<p>{html.escape(text)}".encode())


def _oauth(status: int, text: str) -> HttpAnswer:
    body = {"error": text[:40], "error_description": text}
    return HttpAnswer(status=status, headers={}, body=json.dumps(body).encode())


def _odd(status: int, text: str) -> HttpAnswer:
    return HttpAnswer(status=status, headers={}, body=json.dumps({"data": {text: 5}, "errors": text}).encode())


def _graphql(message: str, code: str) -> Callable[[int, str], HttpAnswer]:
    def answer(status: int, text: str) -> HttpAnswer:
        extensions = {"code": code.replace("TEXT", text), "requestId": text}
        error = {"message": message.replace("TEXT", text), "path": ["issuesV2", text], "extensions": extensions}
        return HttpAnswer(status=status, headers={}, body=json.dumps({"data": None, "errors": [error]}).encode())

    return answer


CODES = ("", "UNAUTHORIZED", "UNAUTHENTICATED", "INTERNAL", "BAD_USER_INPUT", "FORBIDDEN_IP", "RATE_LIMIT_EXCEEDED")
KINDS = [
    *(_plain, _page, _untitled, _oauth, _odd),
    *(_graphql("bad TEXT", code) for code in CODES),
    _graphql("", "TEXT"),
    _graphql('Cannot query field "TEXT" on type "Issue".', "GRAPHQL_VALIDATION_FAILED"),
    _graphql("cursor TEXT has expired", "BAD_USER_INPUT"),
]
STATUSES = (200, 301, 307, 400, 401, 403, 404, 405, 407, 408, 413, 422, 429, 500, 502, 503, 504)


def _told(call: Callable[[], Any]) -> str:
    """Return every text in what `call` returns, or in what it raises and its causes."""
    try:
        reply = call()
    except OcelogError as error:
        texts = list[str]()
        cause: BaseException | None = error
        while cause is not None:
            texts.append(f"{cause} {cause!r}")
            cause = cause.__cause__ if cause.__suppress_context__ else cause.__cause__ or cause.__context__
        return " ".join(texts)
    return " ".join(str(getattr(reply, name, "")) for name in ("reason", "request_id", "errors"))


@settings(max_examples=examples(400), deadline=None)
@given(
    secret=SECRETS,
    way=st.sampled_from(["raw", "url", "json", "base64", "cut"]),
    pad=st.integers(0, 600),
    kind=st.sampled_from(KINDS),
    status=st.sampled_from(STATUSES),
    root=st.sampled_from([AUDIT, ISSUES, FINDINGS]),
    after=st.sampled_from([None, "cursor"]),
)
def test_no_answer_of_either_endpoint_tells_a_secret(
    secret: str, way: str, pad: int, kind: Callable[[int, str], HttpAnswer], status: int, root: Root, after: str | None
) -> None:
    redactor = Redactor()
    redactor.learn(Secret(secret))
    written = WRITTEN[way](secret)

    def told(repeated: str) -> str:
        answered = kind(status, "x" * pad + " " + repeated)
        headers = {**answered.headers, "location": f"https://x.example/{repeated}", "x-request-id": f"r-{repeated}"}
        answered = replace(answered, headers=headers, redact=redactor)
        return " ".join(
            (
                _told(lambda: Tokens(SETTINGS, lambda: Secret(secret), lambda *_: answered).get()),
                _told(lambda: read_cheap(answered)),
                _told(lambda: read_answer(answered, root, after=after, asked_us=0)),
            )
        )

    # A secret such as "0000vulnerabilit" has words of our own messages in it.
    assume(not _tells(told(""), secret, written))
    assert not _tells(told(written), secret, written)
