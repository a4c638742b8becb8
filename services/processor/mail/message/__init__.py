"""From what a provider gives to a mail as the contract has it: pure functions that never raise, whatever comes."""
