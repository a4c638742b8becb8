"""Pure mapping between the providers' calendar events and ours: zones, times, rules, expansion. No I/O."""
