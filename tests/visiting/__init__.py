"""A console on a home of its own, and people who look at it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import argon2
from msgspec.structs import replace
from starlette.testclient import TestClient

from ocelog.access import Role, Scope
from ocelog.app.users import users
from ocelog.app.users.users import Origin
from ocelog.console.endpoints import endpoints
from ocelog.console.front import Front
from ocelog.console.site import Site, site
from ocelog.installation.making import make
from ocelog.installation.opening import Installation, opened
from ocelog.secrets.secret import Secret

PASSWORD = "correct horse battery staple"
HERE = Origin(address="127.0.0.1", browser="a test")
ADDRESS = "http://127.0.0.1:8686"
SAME_SITE = {"sec-fetch-site": "same-origin"}


def pages_around(text: str) -> dict[str, str]:
    """Return where the pages around this one are, by what their links say."""
    nav = re.search(r'<nav [^>]*aria-label="Pages">(.*?)</nav>', text, re.DOTALL)
    found = re.findall(r'<a class="btn" href="([^"]+)"[^>]*>([^<]+)</a>', nav[1]) if nav else []
    return {name: unescape(address) for address, name in found}


@dataclass(slots=True)
class Guest:
    """A browser."""

    client: TestClient
    token: str = ""

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, **more)

    def post(self, path: str, /, *, headers: dict[str, str] | None = None, **fields: str) -> Any:
        """Send a form of a page, with the token of the page."""
        return self.client.post(
            path, data={"csrf": self.token, **fields}, headers=SAME_SITE if headers is None else headers
        )

    def sign_in(self, name: str, password: str = PASSWORD) -> Any:
        answer = self.post("/sign-in", name=name, password=password)
        if answer.status_code == 303:
            assert self.take_token()
        return answer

    def take_token(self) -> bool:
        """Take the token of a page, as its forms do; return whether there is one, so that somebody is signed in."""
        found = re.search(r'name="csrf" content="(\w+)"', self.get("/account").text)
        if found is not None:
            self.token = found[1]
        return found is not None


@dataclass(slots=True)
class Console:
    """A console, without a server."""

    installation: Installation
    site: Site
    _guests: dict[str, Guest] = field(default_factory=dict)

    def guest(self, address: str = ADDRESS) -> Guest:
        """Return a browser in which nobody has signed in."""
        return Guest(TestClient(self.site, base_url=address, follow_redirects=False, raise_server_exceptions=False))

    def as_(self, role: Role) -> Guest:
        """Return a browser in which somebody of a role is signed in."""
        name = f"{role.value}@example.com"
        if role.value not in self._guests:
            if not users.is_there_any(self.installation):
                users.add_first(self.installation, "first@example.com", Secret(PASSWORD), HERE)
            first = users.listed(self.installation)[0]
            users.add(self.installation, name, role, Secret(PASSWORD), by=first, origin=HERE)
            self._guests[role.value] = self.guest()
        guest = self._guests[role.value]
        # The same console serves many tests, of which one may have taken another token, or ended the session.
        if not guest.take_token():
            assert guest.sign_in(name).status_code == 303
        return guest


@contextmanager
def console_of(path: Path, front: Front | None = None, *, private_sources: bool = True) -> Iterator[Console]:
    """Open the console of the home at `path`, which is made if there is none."""
    # A password that is made hard to guess takes some 0.2 s of both cores each time.
    users._hasher = argon2.PasswordHasher.from_parameters(argon2.profiles.CHEAPEST)
    users._nobody.cache_clear()
    make(path, ledger_url=None)
    with opened(path) as installation:
        # Simulated tenants are of this machine.
        installation.settings = replace(installation.settings, private_sources=private_sources)
        served = site(installation, endpoints(installation, turned_at=lambda: 0.0, front=front or Front()))
        yield Console(installation=installation, site=served)


@dataclass(slots=True)
class Program:
    """A program that shows a token."""

    client: TestClient
    token: str

    def __call__(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        headers = {"authorization": f"Bearer {self.token}", **(headers or {})}
        return self.client.request(method, f"/api/v1{path}", headers=headers, **more)


def program(console: Console, role: Role = Role.ADMIN, scope: Scope = Scope.ADMIN) -> Program:
    """Return a program with a new token of the user of a role."""
    console.as_(role)
    installation = console.installation
    user = users.find(installation, f"{role.value}@example.com")
    _, secret = users.add_token(installation, user, f"test {uuid4()}", scope, by=user, origin=HERE)
    return Program(console.guest().client, secret.reveal())
