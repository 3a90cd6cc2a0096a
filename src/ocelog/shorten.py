"""How a text that is too long to show is cut."""


def shorten(text: str, most: int) -> str:
    """Return `text`, or how it begins and an ellipsis, `most` characters in all."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
