"""The engine: one writer per partition, from the inbound topic to the recorded reply.

partition   the single writer: synchronous, driven by records, acks, and the ends of attempts
projection  the fold of a partition's log into its table
claiming    how a partition is taken over: restore, claim, prove
publishing  confirmed events onto chat.replies, in log order
turns       attempts, retries, limits, cancellation
feed        wakes readers; live deltas
node        assignment, start, stop; what HTTP asks of it
"""
