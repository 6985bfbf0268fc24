"""Rules let in whom they name and nobody else; a policy without a rule for a method stops the start."""

import itertools
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from muster_kit.caller import PUBLIC, Caller, CallerKind, OrganizationRole, RoomRole
from muster_kit.rpc.policy import PolicyError, Rule, check_total

USERS = [Caller(CallerKind.USER, organization_role=role) for role in OrganizationRole]
TICKETS = [
    Caller(CallerKind.TICKET, organization_role=organization, room_role=room)
    for organization, room in itertools.product(OrganizationRole, RoomRole)
]
SERVICE = Caller(CallerKind.SERVICE, subject="session")
EVERYONE = [*USERS, *TICKETS, SERVICE, PUBLIC]


def service() -> Any:
    file = FileDescriptorProto(name="policy.proto", package="policy.v1", syntax="proto3")
    file.message_type.add(name="Nothing")
    made = file.service.add(name="DoorService")
    for name in ("Open", "Close"):
        made.method.add(name=name, input_type=".policy.v1.Nothing", output_type=".policy.v1.Nothing")
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName("policy.v1.DoorService")


def test_a_rule_without_content_lets_nobody_in() -> None:
    assert not any(Rule().allows(caller) for caller in EVERYONE)


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (Rule(users=frozenset({OrganizationRole.EDITOR})), [USERS[2]]),
        (
            Rule(tickets=frozenset({RoomRole.HOST})),
            [each for each in TICKETS if each.room_role is RoomRole.HOST],
        ),
        (Rule(services=True), [SERVICE]),
        (Rule(public=True), [PUBLIC]),
        (Rule(public=True, services=True), [SERVICE, PUBLIC]),
    ],
)
def test_a_rule_lets_in_whom_it_names_and_nobody_else(rule: Rule, allowed: list[Caller]) -> None:
    assert [caller for caller in EVERYONE if rule.allows(caller)] == allowed


def test_an_organization_role_does_not_open_what_is_for_tickets() -> None:
    owner = Caller(CallerKind.TICKET, organization_role=OrganizationRole.OWNER, room_role=RoomRole.SPECTATOR)
    assert not Rule(users=frozenset(OrganizationRole), tickets=frozenset({RoomRole.HOST})).allows(owner)


def test_only_what_is_nothing_but_public_ignores_tokens() -> None:
    assert Rule(public=True).ignores_tokens
    assert not Rule(public=True, services=True).ignores_tokens
    assert not Rule().ignores_tokens


def test_a_total_policy_passes() -> None:
    check_total({"policy.v1.DoorService/Open": Rule(), "policy.v1.DoorService/Close": Rule()}, [service()])


def test_methods_without_rule_and_rules_without_method_are_named() -> None:
    policy = {"policy.v1.DoorService/Open": Rule(), "policy.v1.DoorService/Lock": Rule()}
    with pytest.raises(PolicyError) as caught:
        check_total(policy, [service()])
    assert str(caught.value) == (
        "no rule for policy.v1.DoorService/Close; no method for the rule policy.v1.DoorService/Lock"
    )
