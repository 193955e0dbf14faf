"""What broker passwords can't do (amqp.md 9), tried with a real client."""

import pika
import pytest


def connect(url):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    return connection, connection.channel()


def forbidden(url, f):
    connection, channel = connect(url)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        f(channel)
    assert caught.value.reply_code == 403, caught.value
    connection.close()


def test_people(service, site, client):
    manager = site()
    function = service.function()
    group = service.submit(manager.id, function, create_queue=True).json()["task_group_id"]
    alice = service.get("/v2/get_amqp_result_connection_url").json()
    bob = service.get("/v2/get_amqp_result_connection_url", user="bob").json()
    stream = alice["queue_prefix"] + group
    connection, channel = connect(alice["connection_url"])
    assert channel.queue_declare(stream, passive=True).method.queue == stream
    assert channel.basic_get(stream) is not None
    connection.close()
    forbidden(bob["connection_url"], lambda c: c.basic_get(stream))  # M15
    forbidden(bob["connection_url"], lambda c: list(c.consume(stream, inactivity_timeout=1)))
    for queue in ("results", "heartbeats", f"{manager.id}.commands", f"{next(iter(manager.endpoints))}.tasks"):
        forbidden(alice["connection_url"], lambda c, q=queue: c.basic_get(q))
    forbidden(alice["connection_url"], lambda c: c.queue_declare("usr.new"))
    forbidden(alice["connection_url"], lambda c: c.queue_delete(stream))

    def publish(exchange, key):
        def f(channel):
            channel.confirm_delivery()
            channel.basic_publish(exchange, key, b"x")
        return f
    for exchange in ("", "tasks", "commands", "results", "heartbeats"):
        forbidden(alice["connection_url"], publish(exchange, stream))


def test_endpoints(service, site):
    one, two = site(), site(user="bob")
    url = one.info["command_queue_info"]["connection_url"]
    forbidden(url, lambda c: c.basic_get(f"{two.id}.commands"))
    forbidden(url, lambda c: c.basic_get("results"))
    forbidden(url, lambda c: c.queue_declare(f"{one.id}.other"))  # M16
    forbidden(url, lambda c: c.queue_bind(f"{one.id}.commands", "results", "#"))
    forbidden(url, lambda c: c.queue_delete(f"{one.id}.commands"))

    def publish(exchange, key):
        def f(channel):
            channel.confirm_delivery()
            channel.basic_publish(exchange, key, b"x")
        return f
    for exchange, key in (("results", f"{two.id}.results"), ("heartbeats", f"{two.id}.heartbeats"),  # M14
                          ("results", f"{one.id}.heartbeats"), ("tasks", f"{two.id}.tasks"),
                          ("commands", f"{two.id}.commands"), ("", f"{one.id}.commands")):
        forbidden(url, publish(exchange, key))


def test_wrong_passwords(service, site):
    manager = site()
    good = pika.URLParameters(manager.info["command_queue_info"]["connection_url"])
    for user, password in ((good.credentials.username, "p" + "x" * 40), ("guest", "guest"), ("sallyport-service", "x"),
                           ("ep.", good.credentials.password), ("ep.x", ""), ("usr.x", good.credentials.password)):
        parameters = pika.ConnectionParameters(good.host, good.port,
                                               credentials=pika.PlainCredentials(user, password))
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(parameters)


def test_the_auth_back_end_is_not_on_the_public_port(service):
    for path in ("/user", "/resource", "/x/user"):
        assert service.post(path, user=None).status_code in (401, 404)
