"""What holds for every test with faults."""

from lakeside.loops import publishing_alone

__all__ = ["publishing_alone"]
