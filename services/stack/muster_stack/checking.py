"""Asks a server for its health, as container engines do."""

from datetime import timedelta
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from muster_kit.rpc.channel import open_channel

from muster_stack.problem import Problem

_METHOD = "/grpc.health.v1.Health/Check"


async def check(address: str, service: str, timeout_seconds: float, ca_file: Path | None) -> str:
    """`SERVING`; a Problem when the server answers anything else, or nothing in time."""
    timeout = timedelta(seconds=timeout_seconds)
    async with open_channel(address, timeout=timeout, ca_file=ca_file) as channel:
        ask = channel.unary_unary(
            _METHOD,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await ask(health_pb2.HealthCheckRequest(service=service))
        except grpc.aio.AioRpcError as error:
            raise Problem(f"{address} does not serve {service}: {error.code().name}.") from None
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Problem(f"{address} says {status}.")
    return str(status)
