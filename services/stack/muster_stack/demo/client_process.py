"""What the client processes share: tokens of demo users, and failures as one sentence."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from muster_kit.caller import OrganizationRole
from muster_kit.rpc.tokens import issue_service_token, issue_user_token

from muster_stack.playing import service_token_secret, user_token_secret
from muster_stack.problem import Problem

_DETAILS = "grpc-status-details-bin"


def user_token(user: str, *, organization: str, role: OrganizationRole, name: str = "") -> str:
    """A token for a user of the demo, as an identity provider would give."""
    return issue_user_token(
        user_token_secret(),
        subject=user,
        organization_id=organization,
        organization_role=role,
        display_name=name or user,
    )


def service_token(service: str, *, organization: str) -> str:
    """A token for a client that acts as an internal service, valid for half a day."""
    return issue_service_token(
        service_token_secret(), service=service, organization_id=organization, lifetime=timedelta(hours=12)
    )


def violations(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    """(field, description) of every violation that came with an error."""
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == _DETAILS:
            status = status_pb2.Status.FromString(value)
            found = error_details_pb2.BadRequest()
            for detail in status.details:
                if detail.Unpack(found):
                    return [(each.field, each.description) for each in found.field_violations]
    return []


def run(main: Callable[[], Coroutine[None, None, int]]) -> int:
    """Run a client to its end; what stands in the way is told on stderr, and the exit code is 1."""
    try:
        return asyncio.run(main())
    except* Problem as problems:
        sys.stderr.write(f"{_first(problems)}\n")
    except* OSError as errors:
        sys.stderr.write(f"{_first(errors)}\n")
    except* grpc.aio.AioRpcError as errors:
        error = _first(errors)
        assert isinstance(error, grpc.aio.AioRpcError)  # noqa: S101 — narrows what except* has sorted
        sys.stderr.write(f"{error.details() or error.code().name}\n")
        sys.stderr.writelines(f"  {field}: {description}\n" for field, description in violations(error))
    return 1


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
