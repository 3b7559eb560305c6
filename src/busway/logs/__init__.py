"""CloudWatch-Logs-shaped log groups: users' own, and those of functions.

    filter       a filter pattern: terms, or `{ $.field = value }`                                    (pure)
    batch        what PutLogEvents takes of a batch, and what it rejects                              (pure)
    page         one page of events in the order of their times, out of any number; its tokens       (pure)
    record       what is kept of a group, a stream and a batch                                        (pure)
    functions    what functions print, as groups `/aws/lambda/<function>`
    registry     groups and streams: make, change, delete, list
    groups       their events: put, read, retain
    sample       an even sample of any number of events                                               (pure)
    live_tail    sessions that tell what comes from now on

A group is one journal of the engine, in the order in which batches came; a function's group is its log files. Both
are read by the same walk, which holds one page in memory however much it passes.
"""
