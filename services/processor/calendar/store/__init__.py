"""The statements over calendars and their events."""
