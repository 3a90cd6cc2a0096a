"""What runs in the child that sends one message: apprise, with one of its plugins, guarded and watched."""

import logging
import os
import socket
import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ocelog.channels.apprise.frames import LONGEST, Done, Job, Ready, Text, Unfit, read
from ocelog.channels.apprise.guard import Guard, limit
from ocelog.sandbox import kernel
from ocelog.sandbox.channel import Channel


def main() -> None:
    """Send what the parent asks for. The process ends with it, or with its parent."""
    if sys.platform.startswith("linux"):
        kernel.die_with_parent()
    channel = Channel(reading=os.dup(0), writing=os.dup(1), longest=LONGEST)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    limit()
    try:
        _serve(channel)
    except EOFError:
        return


def _serve(channel: Channel) -> None:
    job = read(channel.receive().payload, Job)
    # What apprise logs holds addresses and bodies.
    logging.disable(logging.CRITICAL)
    module, _, name = job.plugin.partition(".")
    plugin: Any = getattr(import_module(f"apprise.plugins.{module}"), name)
    watching = import_module("ocelog.channels.apprise.watch")
    guard = Guard(allow_private=job.allow_private, ca_file=job.ca_file, proxies=_addresses(job.proxies))
    watch = watching.Watch(job, guard)
    watch.set()
    guard.set()
    sender = _sender(plugin, job)
    if sender is None:
        channel.send("unfit", msgspec.json.encode(Unfit(template=str(next(iter(plugin.templates), "")))))
        return
    ready = Ready(
        longest_title=int(sender.title_maxlen),
        longest_body=int(sender.body_maxlen),
        markdown=sender.notify_format == "markdown",
    )
    channel.send("ready", msgspec.json.encode(ready))
    text = read(channel.receive().payload, Text)
    form = "markdown" if text.markdown else "text"
    try:
        taken = bool(sender.notify(body=text.body, title=text.title, notify_type=text.kind, body_format=form))
    except Exception:  # noqa: BLE001 - of a plugin; what the far end said is known
        taken = False
    done = Done(taken=taken and not guard.forbidden, exchanges=watch.exchanges, forbidden=guard.forbidden)
    channel.send("done", msgspec.json.encode(done))


def _sender(plugin: Any, job: Job) -> Any:
    """Return the plugin set to the address; None if it is not one of its own."""
    try:
        native = job.url.lower().startswith("https://")
        # People write #channel, and apprise reads it so where its own list of plugins is asked.
        settings = (plugin.parse_native_url if native else plugin.parse_url)(job.url.replace("/#", "/%23"))
        if not settings:
            return None
        sender = plugin(asset=_asset(), **settings)
    except Exception:  # noqa: BLE001 - whatever a plugin raises, its text may repeat the address
        return None
    sender.socket_connect_timeout = job.connect_seconds
    sender.socket_read_timeout = job.total_seconds
    sender.request_rate_per_sec = 1
    return sender


def _asset() -> Any:
    """Return how messages name their sender. They load no pictures from elsewhere."""
    return import_module("apprise.asset").AppriseAsset(
        app_id="Ocelog",
        app_desc="Ocelog",
        app_url="https://github.com/ocelog/ocelog",
        image_url_mask="",
        image_url_logo="",
        http_redirects=False,
        interpret_emojis=False,
        interpret_escapes=False,
        pgp_autogen=False,
        pem_autogen=False,
    )


def _addresses(proxies: dict[str, str]) -> frozenset[str]:
    """Return the addresses of the proxies, which the operator of this machine has set."""
    found = set[str]()
    for url in proxies.values():
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            found |= {str(each[4][0]) for each in socket.getaddrinfo(parts.hostname, parts.port or 80)}
        except (OSError, ValueError):
            continue
    return frozenset(found)
