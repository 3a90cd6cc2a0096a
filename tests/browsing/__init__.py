"""A person at a real browser: what its pages say, whether all can use them, and what they cost."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from ocelog.languages.phrases import catalogue

ROOT = Path(__file__).parents[2]
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"
WIDE, NARROW = 1280, 390
HEIGHT = 900
FIRST_PAGE, LATER_PAGE = 350_000, 20_000
"""Bytes that may come: with every script and style, and without those that the browser has kept."""
TIMEOUT_S = 60
_PAUSE_MS = 500
_INSTALLING_S = 180
# Nothing but this machine has an address.
_ALONE = ("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--no-proxy-server")
# htmx is done, charts are drawn, and no dialog or row is on its way.
_SETTLED = """() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling, .htmx-added')
    && [...document.querySelectorAll('[data-chart]')].every((each) => each.querySelector('canvas'))"""
_AXE_SAYS = """async () => (await axe.run({ exclude: [['datalist']] }, { resultTypes: ['violations'] })).violations.map(
    (each) => `${each.id}: ${each.nodes.map((node) => `${node.html.slice(0, 200)} ${node.any.concat(node.all)
        .map((check) => check.message).join(' ')}`).slice(0, 4).join(' | ')}`)"""
_TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('.table-responsive, pre'))
    .map((each) => each.outerHTML.slice(0, 200)).concat([`${document.documentElement.scrollWidth} px`]).slice(-4)"""
# One letter wide, or a label without what it is for.
_SQUEEZED = """() => [...document.querySelectorAll('td')].filter((each) => {
        const { width, height } = each.getBoundingClientRect()
        return each.matches('.stacked td:empty') ? height > 0 : width < 64 && height > 256 })
    .map((each) => each.outerHTML.slice(0, 200)).slice(0, 4)"""
_OPEN = """() => document.querySelectorAll('details:not([open])').forEach((each) => {
    each.open = true; each.dataset.opened = '' })"""
_SHUT = "() => document.querySelectorAll('details[data-opened]').forEach((each) => { each.open = false })"


def find_chromium() -> str:
    """Return where Debian's chromium is; install it if it is missing and we may. Skips the test otherwise."""
    found = shutil.which("chromium")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        found = _install()
    if found is None:
        pytest.skip("There is no chromium here: apt-get install chromium")
    return found


def _install() -> str | None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    deadline = time.monotonic() + _INSTALLING_S
    for command in (["install", "-y", "-qq"], ["update", "-qq"], ["install", "-y", "-qq"]):
        named = ["chromium"] if command[0] == "install" else []
        try:
            done = subprocess.run(
                ["apt-get", *command, *named],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=max(deadline - time.monotonic(), 1),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode == 0 and named:
            return shutil.which("chromium")
    return None


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


@dataclass(slots=True, kw_only=True)
class Person:
    """Somebody who reads one language, at one page of a browser."""

    page: Page
    language: str
    by_axe: tuple[int, ...] = (WIDE, NARROW)
    """At which widths axe, which takes long, looks at each page: two who walk the same way can share them."""
    pictures: Path | None = None
    """Where to leave pictures of the pages, if they are asked for."""
    complaints: list[str] = field(default_factory=list)
    """What the browser says is wrong."""
    costs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Bytes that came for each document, without scripts and styles."""
    kept: int = 0
    """Bytes of scripts and styles."""
    looked_at: set[str] = field(default_factory=set)

    def say(self, text: str, **values: object) -> str:
        """Return a text of the console in this person's language. It must have one."""
        said = catalogue(self.language).gettext(text)
        assert self.language == "en" or said != text, f"{text!r} has no translation"
        return said % values if values else said

    def button(self, text: str, *, within: Locator | None = None, **values: object) -> Locator:
        """Return a button by its name."""
        return (within or self.page.locator("body")).get_by_role("button", name=self.say(text, **values), exact=True)

    def link(self, text: str, *, within: Locator | None = None) -> Locator:
        """Return a link by its name."""
        return (within or self.page.locator("body")).get_by_role("link", name=self.say(text), exact=True)

    def settle(self) -> None:
        """Wait until the page has all that it asks for."""
        self.page.wait_for_load_state("load")
        self.page.wait_for_function(_SETTLED)

    def until(self, there: Callable[[], bool]) -> None:
        """Load the page again until something is there."""
        deadline = time.monotonic() + TIMEOUT_S
        self.settle()
        while not there():
            assert time.monotonic() < deadline, self.page.inner_text("body")
            # Asked without a pause, the service would do little else.
            self.page.wait_for_timeout(_PAUSE_MS)
            self.page.reload()
            self.settle()

    def look(self, name: str, *, picture: bool = False, alone: bool = False) -> None:
        """Look at the page wide and light, and narrow and dark: all can use it, and none has to scroll sideways.

        What can be unfolded is.

        Of two who share the widths for axe, the one who is `alone` at this page has it look at both.
        """
        self.settle()
        self.looked_at.add(name)
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(_axe())
        assert self.page.get_attribute("html", "lang") == self.language
        self.page.evaluate(_OPEN)
        for width, dark in ((WIDE, False), (NARROW, True)):
            where = f"{name} at {width} px, {'dark' if dark else 'light'}, {self.language}"
            self.page.set_viewport_size({"width": width, "height": HEIGHT})
            self.page.evaluate("(theme) => { document.documentElement.dataset.bsTheme = theme }", _theme(dark=dark))
            if alone or width in self.by_axe:
                self.complaints += [f"{where}: {each}" for each in self.page.evaluate(_AXE_SAYS)]
            self.complaints += [f"{where} is too wide: {each}" for each in self.page.evaluate(_TOO_WIDE)]
            if width == NARROW:
                self.complaints += [f"{where} has a bad cell: {each}" for each in self.page.evaluate(_SQUEEZED)]
        self.page.evaluate(_SHUT)
        self.page.set_viewport_size({"width": WIDE, "height": HEIGHT})
        if picture and self.pictures is not None:
            self.page.evaluate("(theme) => { document.documentElement.dataset.bsTheme = theme }", _theme(dark=False))
            wire = self.page.context.new_cdp_session(self.page)
            self.page.evaluate("() => scrollTo(0, 0)")
            part = {"x": 0, "y": 0, "width": WIDE, "height": HEIGHT, "scale": 0.7}
            taken = wire.send("Page.captureScreenshot", {"format": "png", "clip": part})
            (self.pictures / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    def is_content(self) -> None:
        """Nothing was wrong with any page, and none cost too much."""
        assert not self.complaints, "\n".join(self.complaints)
        assert self.kept < FIRST_PAGE
        costly = [f"{cost} bytes: {document}" for document, cost in self.costs.items() if cost > LATER_PAGE]
        assert not costly, "\n".join(costly)


def _theme(*, dark: bool) -> str:
    return "dark" if dark else "light"


@contextmanager
def person(chromium: str, language: str, *, expected: tuple[str, ...] = (), **how: Any) -> Iterator[Person]:
    """Open a browser for a person, whose console may say what is `expected`."""
    arguments = [*_ALONE, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        context = browser.new_context(
            locale={"en": "en-GB", "ko": "ko-KR"}[language],
            timezone_id="Asia/Seoul",
            reduced_motion="reduce",
            viewport={"width": WIDE, "height": HEIGHT},
        )
        context.set_default_timeout(TIMEOUT_S * 1000)
        expect.set_options(timeout=TIMEOUT_S * 1000)
        found = Person(page=context.new_page(), language=language, **how)
        _listen(found, expected)
        try:
            yield found
        finally:
            browser.close()


def _listen(found: Person, expected: tuple[str, ...]) -> None:
    page = found.page

    def hear(text: str) -> None:
        if not any(each in text for each in expected):
            found.complaints.append(text)

    page.on("console", lambda message: hear(f"{message.location.get('url')}: {message.text}"))
    page.on("pageerror", lambda error: hear(f"{page.url}: {error}"))

    def asked(request: Any) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1" and not request.url.startswith("data:"):
            hear(f"{page.url} asks for {request.url}")

    page.on("request", asked)
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    of_request: dict[str, tuple[str, str]] = {}
    documents: dict[str, str] = {}

    def begun(event: dict[str, Any]) -> None:
        if event.get("type") == "Document":
            documents[event["loaderId"]] = event["request"]["url"]
        of_request[event["requestId"]] = (event["request"]["url"], event["loaderId"])

    def came(event: dict[str, Any]) -> None:
        url, loader = of_request.get(event["requestId"], ("", ""))
        size = int(event["encodedDataLength"])
        if urlsplit(url).path.startswith("/static/"):
            found.kept += size
        else:
            found.costs[f"{documents.get(loader, url)} {loader}"] += size

    wire.on("Network.requestWillBeSent", begun)
    wire.on("Network.loadingFinished", came)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """What happens in a simulated tenant when the test says so."""

    api_url: str
    token: str

    def __call__(self, call: str, **values: Any) -> Any:
        request = Request(  # noqa: S310 - loopback
            self.api_url.replace("/graphql", f"/admin/{call}"),
            data=json.dumps(values).encode() if values else None,
            headers={"Authorization": f"Bearer {self.token}"},
        )
        with urlopen(request) as answer:  # noqa: S310 - loopback
            return json.load(answer)
