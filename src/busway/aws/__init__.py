"""The AWS door: one port for every service, authenticated before anything is parsed.

    gate        who may speak: Host, Origin, SigV4                       (signature: the arithmetic)
    gateway     which service and operation; request ids; errors
    protocols/  bytes to requests and results to bytes, from botocore's service models (shapes)
    reply       a reply on its way out, whole or piece by piece
    validation  the model's constraints, in AWS's wording
    services/   one thin file a service: names in, names out
    server_http uvicorn, bounded

What may be added here: a protocol is one more file beside `protocols/json.py`, a service one more line in
`services/__init__.py`, an error one more row in `errors.py`.
"""
