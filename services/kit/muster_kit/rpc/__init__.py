"""gRPC the way every service uses it.

`server` and `service` serve contracts, `call` is what servicers see, `policy` says who may, `auth`
and `revocations` who calls, `status` how failures are told, `health` and `reflection` answer
probes and tools, `channel` calls other services, `tokens` issues what `auth` verifies.

Import from those modules: nothing is gathered here, so that `tokens` can be used by processes
that fork, which must not import grpc.
"""
