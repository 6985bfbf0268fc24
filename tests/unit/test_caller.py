"""For which organizations a caller acts."""

import pytest
from muster_kit.caller import Caller, CallerKind


@pytest.mark.parametrize("kind", [CallerKind.USER, CallerKind.TICKET, CallerKind.SERVICE])
def test_a_caller_of_an_organization_acts_for_that_one_alone(kind: CallerKind) -> None:
    caller = Caller(kind, organization_id="school")
    assert [caller.acts_for(each) for each in ("school", "other", "")] == [True, False, False]


@pytest.mark.parametrize("kind", list(CallerKind))
def test_of_those_without_an_organization_services_alone_act_for_any(kind: CallerKind) -> None:
    assert Caller(kind).acts_for("school") is (kind is CallerKind.SERVICE)
