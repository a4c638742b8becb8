"""Names that the edge shares with the programs that start it and ask it."""

# Beside the configuration, unless the settings name another place.
ADMIN_SOCKET = "admin.sock"
