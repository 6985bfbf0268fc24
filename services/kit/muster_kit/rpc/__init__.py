"""gRPC the way every service uses it: servers, callers, errors and channels."""

from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.call import Call
from muster_kit.rpc.channel import open_channel, service_config
from muster_kit.rpc.health import Health
from muster_kit.rpc.options import Limits, server_credentials
from muster_kit.rpc.policy import Policy, PolicyError, Rule, check_total
from muster_kit.rpc.revocations import Revocations
from muster_kit.rpc.server import AddressError, Server
from muster_kit.rpc.service import Service
from muster_kit.rpc.status import received
from muster_kit.rpc.tokens import (
    ServiceTokens,
    TicketSigner,
    issue_service_token,
    issue_user_token,
    write_ticket_key,
)

__all__ = [
    "AddressError",
    "Authenticator",
    "Call",
    "Health",
    "Limits",
    "Policy",
    "PolicyError",
    "Revocations",
    "Rule",
    "Server",
    "Service",
    "ServiceTokens",
    "TicketSigner",
    "check_total",
    "issue_service_token",
    "issue_user_token",
    "open_channel",
    "received",
    "server_credentials",
    "service_config",
    "write_ticket_key",
]
