def event_type(event):
    return {"OPEN": "door_opened"}.get(event.get("state"))
