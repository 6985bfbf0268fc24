"""What is remembered of late, and for how long."""

from muster_kit.recent import Recent


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_no_more_than_the_capacity_is_kept_and_what_was_used_last_stays() -> None:
    recent = Recent[int, str](capacity=4, idle_seconds=60)
    for key in range(100):
        recent.put(key, f"value {key}")
        assert recent.get(0) == "value 0"
        assert len(recent) <= 4
    assert recent.get(99) == "value 99"
    assert recent.get(50) is None


def test_what_nobody_asks_for_is_gone_after_a_while() -> None:
    clock = _Clock()
    recent = Recent[str, int](capacity=100, idle_seconds=60, clock=clock)
    recent.put("idle", 1)
    recent.put("used", 2)
    for _ in range(5):
        clock.now += 59
        assert recent.get("used") == 2
        recent.put("other", 3)
    assert recent.get("idle") is None
    assert len(recent) == 2


def test_within_its_time_a_value_stays_though_nobody_asks_for_it() -> None:
    clock = _Clock()
    recent = Recent[str, int](capacity=100, idle_seconds=60, clock=clock)
    recent.put("before", 1)
    for _ in range(59):
        clock.now += 1
        recent.put("other", 2)
    assert recent.get("before") == 1


def test_a_new_value_takes_the_place_of_the_old_one_wherever_that_is() -> None:
    recent = Recent[str, int](capacity=2, idle_seconds=60)
    for value in range(3):
        recent.put("key", value)
        recent.put("other", value)
        assert sorted(recent) == [value, value]
        assert recent.get("key") == value


def test_what_is_dropped_is_gone() -> None:
    recent = Recent[str, int](capacity=2, idle_seconds=60)
    recent.put("old", 1)
    recent.put("young", 2)
    recent.drop("old")
    recent.drop("nobody")
    assert list(recent) == [2]
    recent.clear()
    assert not len(recent)
    assert recent.get("young") is None
