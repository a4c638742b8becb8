"""Calendars: what a calendar event is, how its changes are found, how series are expanded. No module knows mail."""
