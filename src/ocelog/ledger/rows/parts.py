"""How a row of `parts` reads as a value."""

from sqlalchemy import RowMapping

from ocelog.model import Part


def part_of(row: RowMapping) -> Part:
    """Read a row of the table as a value."""
    return Part(
        table=row["table_name"],
        sequence=row["sequence"],
        path=row["path"],
        rows=row["rows"],
        bytes=row["bytes"],
        min_cursor_us=row["min_cursor_us"],
        max_cursor_us=row["max_cursor_us"],
        landed_us=row["landed_us"],
        source_id=row["source_id"],
    )
