"""Functions: what runs when an event arrives.

functions    the room as others see it: invoke, and the row of an asynchronous invocation; `record` what a function is
definitions/ what functions there are: versions, aliases, settings, URLs, their code, and what is built for it
invocation/  the rows of a function's queue, attempt by attempt, to the dead letter or the destination
workers/     the pool, its processes, what bounds them, and how we speak with them
runtimes/    what runs inside a worker
build/       dependencies and bundles
mapping/     batches from queues and streams
once         which steps completed; `logs` what was printed; `attempt_lines` what that says of attempts
"""
