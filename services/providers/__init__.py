"""Facts about the providers that several services need: their names, and the meaning of their errors.

The package knows no service, no contract and no transport. The treatment of a failure stays in each service.
"""
