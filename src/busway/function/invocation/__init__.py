"""One invocation from its row in a queue to its end: attempts, retries, dead letter, destinations."""
