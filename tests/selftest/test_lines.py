"""Every line of the wire specification's tables of observable behaviour (W: REST, M: AMQP, A: sign-in) has a
test: most are named beside their test ("# W12"), the rest here."""

import pathlib
import re

TESTS = pathlib.Path(__file__).resolve().parents[1]
LINES = {"W": 52, "M": 31, "A": 28}

ELSEWHERE = {
    "W5": "auth/test_access.py::test_every_route_and_everybody",
    "W8": "service/test_sdk.py::test_the_managers_sentence_reaches_the_future",
    "W9": "auth/test_login.py::test_step_up_at_a_submit",
    "W11": "service/test_sdk.py::test_source_with_non_ascii_text",
    "W45": "service/test_sdk.py::test_reload_tasks_in_a_new_process",
    "M1": "listener/test_life.py::test_heartbeats",
    "M2": "listener/test_life.py::test_heartbeats",
    "M4": "listener/test_rows.py::test_row_1_unreadable",
    "M5": "listener/test_rows.py::test_row_2_too_old",
    "M6": "endpoint/test_pulse.py::test_keys_and_times",
    "M7": "listener/test_flow.py::test_duplicate_is_a_refresh",
    "M9": "endpoint/test_delivery.py::test_no_specification",
    "M10": "endpoint/test_delivery.py::test_serializers_of_the_header",
    "M11": "service/test_sdk.py::test_source_with_non_ascii_text",
    "M12": "service/test_sdk.py::test_first_task_starts_the_user_endpoint_and_comes_back",
    "M17": "service/test_isolation.py::test_people",
    "M18": "service/test_sdk.py::test_an_exception_arrives",
    "M21": "service/test_crash.py::test_broker_is_killed_under_load",
    "M22": "service/test_contract.py::test_start_failures_and_timeouts",
    "M23": "endpoint/test_delivery.py::test_second_consumer",
    "M25": "service/test_tls.py::test_from_the_sdk_to_a_user_endpoint_and_back",
    "M27": "service/test_contract.py::test_sizes",
    "M31": "service/test_presence.py::test_one_that_was_killed_with_tasks_in_its_hands",
    "A9": "auth/test_login.py::test_token_reply",
    "A22": "listener/test_rows.py::test_row_4_untrusted",
}
NOT_HERE = {
    "M19": "results of high-assurance functions come over the stream like others; docs/service.md says so",
    "A11": "the service has one signing key at a time",
}


def named():
    """The lines that comments and docstrings of tests name: W7, W14-W17, M8."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        if path == pathlib.Path(__file__).resolve():
            continue
        for kind, first, last in re.findall(r"\b([WMA])(\d+)(?:-[WMA]?(\d+))?\b", path.read_text()):
            found |= {f"{kind}{n}" for n in range(int(first), int(last or first) + 1)}
    return found


def test_every_line_has_a_test():
    every = {f"{kind}{n}" for kind, count in LINES.items() for n in range(1, count + 1)}
    assert every - named() - set(ELSEWHERE) - set(NOT_HERE) == set()


def test_the_tests_are_there():
    for line, place in ELSEWHERE.items():
        path, name = place.split("::")
        assert re.search(rf"^def {name}\(", (TESTS / path).read_text(), re.M), (line, place)
