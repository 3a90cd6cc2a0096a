"""What a transaction does to the rows of the ledger, step by step; the ports put the steps together.

Every transaction takes rows in this order, or two could wait for each other on PostgreSQL; of one kind, in the order of
their keys. SQLite has one writer at a time.

1. counters, by table
2. streams
3. the schedule, then which it was, the channel, which rules know what was there
4. sources
5. slices and claims, sweeps, suspects
6. groups of matches, then limits
7. alerts, by id
8. what belongs to alerts: outbox, deliveries, timeline
9. suppressions

A row that refers to a stream or a source takes that row as it is inserted: hold it before what comes later in the list.
"""
