"""The server as a git remote: what is pushed is built, tested and deployed, or refused.

remote    smart HTTP: who may push to which project, what git asks and is answered
receive   a push as git sends it: the branch, the options, the objects
build     in a process of its own behind the sandbox's walls: dependencies, the project's tests, its code
pack      the program that runs there last, and writes down what is to be deployed
deliver   what was built, deployed as by `busway deploy`
"""
