"""Classification on arrival: a label for each mail of tenants that enable it, in an event of its own.

The mail's event is published first and waits for nothing. Primitives gives the labels; without it nothing is lost, and
the labels come later.
"""
