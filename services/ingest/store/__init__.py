"""The statements of Ingest. Each is a constant of its module, run by a function on a connection of the caller's.

Tables of schema `ingest`:
    tenants                  the tenants, as TokenVault's log of changes reports them
    mailboxes                one row for each tenant: when it is due, its lease, and the items under the lease
    items                    pending and leased items, and no others
    item_keys                the keys that make a notification a repeat; kept longer than any provider redelivers
    worked_items             processed items, in partitions by day, dropped by retention
    dead_letters             buried items, until they are put back
    subscriptions            the subscriptions, and their leases
    lifecycle_notifications  Graph's lifecycle notifications, pending and processed
    refusals                 notifications that were refused, counted by minute
    cursors                  how far logs and counters were read
"""
