"""Where alerts are sent: what one try to deliver one notice is, for each kind of channel.

`registry.py` lists the kinds, and builds a channel from its settings. Who is told, in which order, and when it is tried
again, is decided above. `message.py` writes what people read and `payload.py` what programs read; `http_post.py` is the
one way to an address over HTTP, and `addresses.py` says which addresses that may be.
"""
