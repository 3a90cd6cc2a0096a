def title(event):
    return f"{event.get('doors')} doors"
