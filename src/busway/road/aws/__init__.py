"""A project on AWS: its template, its packages, its stack.

names         what things are called, and their logical ids             (pure)
roles         who may do what                                           (pure)
letters       dead letters, the alarm on them, who is told              (pure)
function      a handler's function                                      (pure)
batch_source  what a handler of batches reads                           (pure)
targets       where the rules in rules/ lead                            (pure)
template      all of it, as CloudFormation                              (pure)
"""
