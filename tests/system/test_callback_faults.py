#!/usr/bin/python3
"""The delayed second check whose service, producer and consumer are killed between any two steps: nothing is forgotten,
nobody is called without reason, no effect is there twice, and no state is wrong."""

from callback_support import Scene, assert_found, assert_sound
from fault_support import failing_build
from yamd_support import IS_SANITIZED, TIMEOUT, main

POINTS = {
    "service": ("take", "commit", "committed", "acked", "judge", "call", "called", "answered", "moved"),
    "produce": ("check", "expected", "row", "message", "sent", "reply"),
    "consume": ("received", "claimed", "effect", "done", "confirm", "confirmed", "safe", "settled"),
}
#   Of each point, the first time; the second after what other threads had in hand has left; and so on.
NUMBERS = ("1", "2+30") if IS_SANITIZED else ("1", "2+30", "3", "7")


def failing_scene(planted=None, **options):
    return Scene(build=failing_build("bin/yam-callbackd", "system/second_check", planted=planted), **options)


def kill_at_all(scene, role, numbers=NUMBERS):
    for point in POINTS[role]:
        for number in numbers:
            scene.kill_at(role, f"{point}:{number}")


def test_service_killed_between_any_two_steps_forgets_nothing_and_alarms_nobody():
    scene = failing_scene()
    kill_at_all(scene, "service")
    assert_sound(scene)


def test_producer_killed_between_any_two_steps_leaves_no_row_that_nobody_sends():
    scene = failing_scene()
    kill_at_all(scene, "produce")
    assert_sound(scene)


def test_consumer_killed_between_any_two_steps_has_each_effect_once():
    scene = failing_scene()
    kill_at_all(scene, "consume")
    assert_sound(scene)


def test_two_services_killed_between_steps_work_on_each_case_one_at_a_time():
    scene = failing_scene()
    scene.start("service")  # and the one before it runs on
    kill_at_all(scene, "service", NUMBERS[:1])
    assert_sound(scene)


def kill_before_commits(scene):
    """When all that the service has said, such as acks, has left it. Not each of them holds what somebody would miss."""
    for number in 2 * [*range(1, 9)]:
        scene.kill_at("service", f"commit:{number}+30")


def test_service_killed_before_its_commits_has_acked_nothing_of_them():
    scene = failing_scene()
    kill_before_commits(scene)
    assert_sound(scene, patience=TIMEOUT)


def test_oracle_finds_checks_and_confirms_that_are_acked_before_they_are_stored():
    scene = failing_scene(planted="UNSTORED_ACKED")
    kill_before_commits(scene)
    assert_found(scene, "a false alarm", "its effect is there 0 times", "forgotten")  # a confirm is lost, or a check


def test_oracle_finds_confirms_before_their_commit():
    scene = failing_scene(hasty=["consume"])
    for number in range(1, 5):
        scene.kill_at("consume", f"effect:{number}+30")
    assert_found(scene, "its effect is there 0 times")


def test_oracle_finds_rows_whose_check_was_not_sent_before_their_commit():
    scene = failing_scene(hasty=["produce"])
    for number in range(1, 5):
        scene.kill_at("produce", f"check:{number}")
    assert_found(scene, "its effect is there 0 times")


if __name__ == "__main__":
    main({name: case for name, case in globals().items() if not (IS_SANITIZED and "oracle" in name)})
