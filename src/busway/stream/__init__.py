"""Kinesis-shaped streams: records by partition key in shards, kept for a time and read from any position.

    hashing      partition key → place in the hash space; even ranges                       (pure)
    sequence     journal offset ↔ sequence number                                           (pure)
    record       what a stream and a shard are, and how a record lies in a journal          (pure)
    resharding   split, merge and uniform scaling as changes of a stream's record           (pure)
    iterator     shard iterators: opaque, sealed, for five minutes                          (pure)
    quota        AWS's write limits of a shard, where they are asked for
    registry     which streams there are, and what changes them
    streams      put, read, wait, retention

A shard is one journal of the engine. A stream that is deleted and made again has other journals.
"""
