"""By which ids alerts, groups and matches are found, whoever looks for them."""

from hashlib import blake2b

DELIVERY_ERROR = "ALERT_DELIVERY"
"""The system error that a channel cannot be reached, or that there is none."""
LIMIT_EXCEEDED = "DETECTION_ALERT_LIMIT_EXCEEDED"
LOOP_FAILING = "LOOP_FAILING"
"""The system error that a loop of the service has not worked for an hour."""
ONBOARDED = "ONBOARDED"
"""Stands for the rule of the summary of what was there when a source was new."""
SUMMARY = "\0older news"
"""Dedup string of what a rule matched in news that was read late."""
ERROR = "\0error\0"
"""Opens the dedup strings of errors."""
SUSPENDED = "Suspended"
"""Stands for the exception, if a rule is told of because it is not asked any more."""


def group_key(rule: str, dedup: str) -> str:
    """Return the key of a group: 32 hex digits, whatever the dedup string holds."""
    return fingerprint("group", rule, dedup)


def alert_id(rule: str, dedup: str, window: int) -> str:
    """Return the id of the alert of one window of a group: the same whenever that is computed."""
    return fingerprint("alert", rule, dedup, str(window))


def match_id(rule: str, row_id: str) -> str:
    """Return the id of a match: a rule matches a row once, however often it is judged."""
    return fingerprint("match", rule, row_id)


def record_alert_id(rule: str, source_id: str, record_id: str) -> str:
    """Return the id of the alert of a rule that lives with a record."""
    return fingerprint("record", rule, source_id, record_id)


def system_alert_id(kind: str, key: str) -> str:
    """Return the id of the alert of a system error."""
    return record_alert_id(kind, "", key)


def dedups_of(alert_dedup: str) -> tuple[str, str, str]:
    """Return by which dedup strings the group may be named that an alert with this one belongs to.

    Those of what was read late, and of errors, are not what people see as the dedup string of the alert.
    """
    return alert_dedup, SUMMARY, ERROR + alert_dedup


def failure_id(channel_id: str) -> str:
    """Return the id of the alert that a channel cannot be reached; of none that takes an alert, for an empty one."""
    return alert_id(DELIVERY_ERROR, channel_id, 0)


def fingerprint(*parts: str) -> str:
    """Return 32 hex digits that tell these texts from any others."""
    made = blake2b(digest_size=16)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        made.update(len(text).to_bytes(8, "big"))
        made.update(text)
    return made.hexdigest()
