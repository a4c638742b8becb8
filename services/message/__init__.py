"""From what a provider gives to a mail as the contract has it: pure functions that never raise, whatever comes.

Processor maps the providers' objects by it, and Primitives the mails that callers hand in. The package knows no service
and no transport.
"""
