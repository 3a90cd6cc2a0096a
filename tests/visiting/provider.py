"""A small identity provider on loopback, which a test makes lie."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey


@dataclass(slots=True)
class Provider:
    """What it says, and of whom."""

    issuer: str
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    claims: dict[str, Any] = field(default_factory=dict)
    """In the place of what its tokens say."""
    says: dict[str, Any] = field(default_factory=dict)
    """In the place of what it says of itself."""
    signed_with: RSAKey | None = None
    algorithm: str = "RS256"
    token: str | None = None
    """In the place of its token."""
    body: str | None = None
    """In the place of each answer."""
    status: int = 200
    asked: list[dict[str, str]] = field(default_factory=list)
    """What its token endpoint was sent."""
    nonce: str = ""

    def log_in(self, address: str) -> dict[str, str]:
        """Do what a person does there; return what the browser brings back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        self.nonce = query["nonce"]
        return {"state": query["state"], "code": "a-code"}

    def id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "ocelog",
            "sub": "s-1",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "email": "Ann@Example.com",
            "email_verified": True,
            "groups": ["soc"],
            **self.claims,
        }
        told = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": self.algorithm, "kid": "one"}, told, self.signed_with or self.key)


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve a provider within the block."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            base = served.issuer
            if self.path.endswith("/openid-configuration"):
                said: Any = {
                    "issuer": base,
                    "authorization_endpoint": f"{base}/authorize",
                    "token_endpoint": f"{base}/token",
                    "jwks_uri": f"{base}/keys",
                    **served.says,
                }
            else:
                said = KeySet([served.key]).as_dict(private=False)
            self._send(said)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"])).decode()
            served.asked.append({name: values[0] for name, values in parse_qs(sent).items()})
            self._send({"access_token": "x", "token_type": "Bearer", "id_token": served.token or served.id_token()})

        def _send(self, said: Any) -> None:
            body = (json.dumps(said) if served.body is None else served.body).encode()
            self.send_response(served.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    served = Provider(issuer=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
