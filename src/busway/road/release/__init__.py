"""Deploying a project to a Busway server: what would change, and the change itself, with a way back.

changes   a project against what was deployed last, in the words of its code      (pure)
drift     what is on the server against what was put there
plan      the stages of a deployment: prepare, try, switch, end                   (pure)
execute   the stages, one after the other; each may be made again
history   the deployments of a project, as the server keeps them
"""
