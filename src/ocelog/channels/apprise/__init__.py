"""Services that people read, by way of the library of that name, in a process that can do little else than that.

`services.py` lists what may be sent to. `channel.py` is the side of this process and `child.py` what runs in the other:
`guard.py` takes away there what a sender does not need, and `watch.py` notes what the far end answers. `frames.py` is
what the two write to each other. See docs/adr/0038-apprise-in-a-child.md.
"""
