"""The log of events: publishing, pages, live streams, replays, retention."""
