"""Secrets Manager-shaped secrets: named values that are kept sealed, and given to workers as variables.

seal        a value into bytes that only this server's key opens, and back     (pure, given the key)
key         where that key comes from
record      what is kept of a secret
secrets     create, change, read, delete
reference   how a function's variable names a secret instead of holding it     (pure)
"""
