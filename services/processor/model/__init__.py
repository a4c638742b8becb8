"""The model that the operator names: one text a call, checked answers, a tenant's budget, an entry for each call.

The text of a call is sent and stored nowhere. The model has no tool; its answer is a label of a closed set or quotes
that are looked up in the text, and acts on nothing.
"""
