"""Event source mappings: batches from queues and streams to functions.

record          what a mapping is; what it may be asked for, in AWS's words      (pure)
filters         which messages a mapping wants                                    (pure)
report          what a handler says of the single messages of its batch           (pure)
payload         batches as handlers get them, and the record of a batch given up  (pure)
retry           what follows a result: done, again, halved, given up              (pure)
notes           what the ledger is told of a batch                                (pure)
shard_work      what of a shard goes next, and how far it is finished             (pure)
queue_poller    a queue's batches
shard_poller    one shard's batches
stream_poller   a stream's shards, parents before children
ledger          what became of batches, durable before the checkpoint moves
proof           every record up to a checkpoint was handled, given up or not wanted
runner          one batch to the function, and what became of it
mappings        which mappings there are, what changes them, and their states
"""
