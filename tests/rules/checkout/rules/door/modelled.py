def rule(event):
    return event.udm("event_type") == "door_opened" and event.udm("badge") == "17"


def title(event):
    return f"{event.udm('actor_user')} at {event.udm('source_ip')}"
