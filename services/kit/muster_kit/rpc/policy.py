"""Who may call which method: one rule a method, and none that is forgotten."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import ServiceDescriptor

from muster_kit.caller import Caller, CallerKind, OrganizationRole, RoomRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may call a method; what is not named may not.

    `users` are allowed by their role in their organization, `tickets` by their role in the room,
    `services` by any service token. `public` lets calls without a token in; a rule that is nothing
    but public does not look at tokens at all. A method that `tells_presence` itself who is here, or who
    leaves, does not count as activity beside that.
    """

    users: frozenset[OrganizationRole] = frozenset()
    tickets: frozenset[RoomRole] = frozenset()
    services: bool = False
    public: bool = False
    tells_presence: bool = False

    @property
    def ignores_tokens(self) -> bool:
        """Whether no token makes a difference, so that a stale one does no harm either."""
        return self.public and not (self.users or self.tickets or self.services)

    def allows(self, caller: Caller) -> bool:
        """Tell whether the caller may; whether it may with *this* object is for the use case to say."""
        if caller.kind is CallerKind.TICKET:
            return caller.room_role in self.tickets
        if caller.kind is CallerKind.USER:
            return caller.organization_role in self.users
        if caller.kind is CallerKind.SERVICE:
            return self.services
        return self.public


Policy = Mapping[str, Rule]
"""Rules by full method name, such as `muster.session.v1.SessionService/Start`."""


class PolicyError(Exception):
    """The policy and the services do not match; the process must not start."""


def check_total(policy: Policy, services: Iterable[ServiceDescriptor]) -> None:
    """Raise PolicyError when a method has no rule, or a rule no method."""
    methods = {f"{service.full_name}/{method.name}" for service in services for method in service.methods}
    problems = [f"no rule for {name}" for name in sorted(methods - policy.keys())]
    problems += [f"no method for the rule {name}" for name in sorted(policy.keys() - methods)]
    if problems:
        raise PolicyError("; ".join(problems))
