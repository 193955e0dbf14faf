"""Who is there: endpoints that have just registered, and user endpoints that end without a word."""

import threading
import time

from service_rig import online, service_with, wait_until
from site_ import Manager


def is_done(service, task):
    return service.get(f"/v2/tasks/{task}").json()["status"] == "success"


def submit_later(service, endpoint, function):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(service.submit(endpoint, function)))
    thread.start()
    return thread, answers


def test_one_that_has_just_registered_is_waited_for(service):
    """Its first report comes a moment after the answer to its registration."""
    function = service.function()
    info = service.register().json()
    thread, answers = submit_later(service, info["endpoint_id"], function)
    time.sleep(1)
    assert not answers
    refusing = Manager(info, on_start=lambda m, c: m.refuse(c, "no such project"))
    thread.join()
    assert answers[0].status_code == 422 and "no such project" in answers[0].text  # a real start, not a queue
    refusing.leave()


def test_one_that_never_came_keeps_its_tasks(service):
    function = service.function()
    info = service.register().json()
    answer = service.submit(info["endpoint_id"], function)
    assert answer.status_code == 200, answer.text
    task = answer.json()["tasks"][function][0]
    assert service.get(f"/v2/tasks/{task}").json() == {"task_id": task, "status": "waiting-for-ep"}
    manager = Manager(info)
    wait_until(lambda: is_done(service, task), 40)
    manager.leave()


def test_where_tasks_do_not_wait_it_has_some_seconds():
    with service_with("tasks: {offline: refuse}\n") as service:
        function = service.function()
        info = service.register().json()
        thread, answers = submit_later(service, info["endpoint_id"], function)
        time.sleep(1)
        manager = Manager(info)
        thread.join()
        assert answers[0].status_code == 200, answers[0].text
        manager.leave()
        wait_until(lambda: not online(service, manager.id))
        never = service.register().json()["endpoint_id"]
        for endpoint in (never, manager.id):
            answer = service.submit(endpoint, function, user_endpoint_config={"other": 1})
            assert answer.status_code == 422 and answer.json()["code"] == "ENDPOINT_OFFLINE"
            assert answer.json()["message"] == "The endpoint is not online; its administrator has to start it"


def test_one_that_was_killed_is_started_again_at_once(service, site):
    """No `active: false`, and its last report is good for 90 s: the broker knows better."""
    manager = site()
    function = service.function()
    service.submit(manager.id, function)
    first = next(iter(manager.endpoints.values()))
    wait_until(lambda: first.ran)
    first.stop()  # its connections end, as those of a killed process do
    begun = time.monotonic()
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    wait_until(lambda: is_done(service, task), 45)
    assert time.monotonic() - begun < 60  # else it was its silence
    assert manager.endpoints[first.id] is not first


def test_one_that_was_killed_with_tasks_in_its_hands(service, site):
    """Nobody submits any more: the broker is asked all the same."""
    manager = site(on_start=lambda m, c: m.start_endpoint(c, hold=not m.endpoints))
    function = service.function()
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    first = next(iter(manager.endpoints.values()))
    wait_until(lambda: first.tasks)
    first.stop()
    wait_until(lambda: is_done(service, task), 45)
    assert manager.endpoints[first.id] is not first


def test_one_that_only_connects_anew_is_left_alone(service, site):
    """A start command finds it running; what came meanwhile is in its queue."""
    manager = site(on_start=lambda m, c: m.endpoints or m.start_endpoint(c))
    function = service.function()
    service.submit(manager.id, function)
    first = next(iter(manager.endpoints.values()))
    wait_until(lambda: first.ran)
    first.stop()
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    wait_until(lambda: len(manager.commands) >= 2)
    from site_ import UserEndpoint
    again = UserEndpoint(first.creds)
    again.start()  # not a word about it
    wait_until(lambda: is_done(service, task), 20)
    again.stop()


def test_a_manager_that_is_killed_is_offline_after_a_while(service, site):
    """M3: it said nothing; three of its periods, twenty seconds at least."""
    manager = site(period=5)
    manager.stop()
    assert online(service, manager.id)
    wait_until(lambda: not online(service, manager.id), 60)
