"""What happens around every RPC, each thing once.

From the outside in: context (ids, trace, deadline), access log, error to status, admission, caller, validation.
"""
