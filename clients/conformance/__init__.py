"""The conformance suite of the clients: a difficult mesh, the cases, and the reports."""
