"""Functions: what runs when an event arrives.

functions     the room as others see it: invoke, and the row of an asynchronous invocation
registry      what functions there are; `record` what one may be, `code_store` and `package` its code
versions      published versions and aliases; `attached` and `urls` what hangs on them
books         what is kept of all these, and looked up; `building` makes what a function needs beside its code
asynchronous  the rows of a function's queue, attempt by attempt; `retry` decides, `desk` is what it works with
ending        what leaves an invocation when it ends; `letters` words it
pool          runs invocations; `crew` is a function's workers and line, `staff` starts and ends them, `placement`
              decides who gets one, `rate` how often a function starts
worker        one process; `runtime_api` how we speak with it
process       the port to processes; `cage` and `watch` bound them, `output` reads what they print
runtimes/     what runs inside a worker
logs          what they printed
lineage       how often an event went through a function; `download` who may have its code
"""
