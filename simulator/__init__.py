"""Microsoft 365 and Google Workspace mail as one program, for tests, demos and development.

Nothing here is shared with the services: a mistake made twice would hide itself.
"""
