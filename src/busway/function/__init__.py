"""Functions: what runs when an event arrives.

functions     the room as others see it: invoke, and the row of an asynchronous invocation
registry      what functions there are; `record` what one may be, `code_store` and `package` its code
asynchronous  from a row in a function's queue to its end; `retry` decides, `letters` words what leaves
pool          which worker runs what; `worker` one process, `runtime_api` how we speak with it
process       the port to processes; `cage` and `watch` bound them, `output` reads what they print
runtimes/     what runs inside a worker
logs          what they printed
"""
