"""Is a service account's secret rotated when nobody works?"""

from datetime import datetime, timezone

from ocelog_wiz import actor, text

FIRST_HOUR, LAST_HOUR = 6, 20
"""Of a working day, in UTC."""


def rule(event):
    if text(event, "status").upper() != "SUCCESS" or text(event, "action").lower() != "rotateserviceaccountsecret":
        return False
    at = datetime.fromisoformat(text(event, "timestamp").replace("Z", "+00:00")).astimezone(timezone.utc)
    return at.weekday() > 4 or not FIRST_HOUR <= at.hour < LAST_HOUR


def title(event):
    return f"Wiz service account secret rotated outside working hours by {actor(event)}"


def dedup(event):
    return f"{actor(event)}:{event.get('id')}"
