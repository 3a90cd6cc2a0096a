import dataclasses
from typing import Optional


@dataclasses.dataclass
class Row:
    name: "Optional[str]"


def rule(event):
    return Row(event.lookup("badges", event.get("badge")).get("name")).name == "Ada"
