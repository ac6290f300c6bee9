"""Plain numbers with their uncertainty; nothing here knows a file or a run folder."""
