"""A site made of Python: a manager that obeys start commands, and user endpoints that run tasks in
this process.  It speaks the wire only, so the service can't tell it from the real thing."""

import json
import threading
import time
import traceback

import pika
from globus_compute_sdk.serialize import ComputeSerializer

serde = ComputeSerializer()


def pack(kind, data):
    return b"\x01" + json.dumps({"message_type": kind, "data": data}).encode()


def unpack(body):
    assert body[:1] == b"\x01", body[:20]
    message = json.loads(body[1:])
    return message["message_type"], message["data"]


class Party(threading.Thread):
    """A thread with one connection; `calls` are run on it."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.stopping = False

    def run(self):
        try:
            while not self.stopping:
                self.connection.process_data_events(time_limit=0.2)
            self.connection.close()
        except pika.exceptions.AMQPError:
            pass

    def call(self, f):
        self.connection.add_callback_threadsafe(f)

    def stop(self):
        self.stopping = True
        self.join(5)


def publish(channel, info, body):
    kwargs = dict(info["queue_publish_kwargs"])
    properties = pika.BasicProperties(**kwargs.pop("properties", {}))
    channel.basic_publish(body=body, properties=properties, **kwargs)


class UserEndpoint(Party):
    """Runs tasks in its thread."""

    def __init__(self, creds, start=None, hold=False, period=30):
        super().__init__(creds["task_queue_info"]["connection_url"])
        self.creds = creds
        self.id = creds["endpoint_id"]
        self.start_command = start
        self.hold = hold
        self.period = period
        self.tasks = []
        self.deliveries = []
        self.ran = {}
        self.channel.confirm_delivery()
        self.channel.basic_consume(creds["task_queue_info"]["queue"], self.on_task, exclusive=True)

    def begin(self):
        self.heartbeat(True)
        self.start()
        return self

    def heartbeat(self, active, **more):
        state = {"heartbeat_period": self.period, "active": active, "total_workers": 1,
                 "outstanding_tasks": 0, "pending_tasks": 0, **more}
        publish(self.channel, self.creds["heartbeat_queue_info"],
                pack("ep_status_report", {"endpoint_id": self.id, "global_state": state, "task_statuses": {}}))

    def on_task(self, channel, method, properties, body):
        kind, data = unpack(body)
        assert kind == "task"
        assert properties.headers["task_uuid"] == data["task_id"]
        assert properties.headers["function_uuid"]
        self.tasks.append((properties, data))
        if self.hold:
            self.deliveries.append((method.delivery_tag, properties, data))
            return
        self.run_task(properties, data)
        channel.basic_ack(method.delivery_tag)

    def release(self):
        def go():
            self.hold = False
            for tag, properties, data in self.deliveries:
                self.run_task(properties, data)
                self.channel.basic_ack(tag)
            self.deliveries = []
        self.call(go)

    def run_task(self, properties, data):
        task_id = data["task_id"]
        self.ran[task_id] = self.ran.get(task_id, 0) + 1
        out = {"task_id": task_id, "data": "", "error_details": None, "details": {
            "os": "x", "python_version": "3.11.7", "dill_version": "0.3.9",
            "globus_compute_sdk_version": "4.19.0", "endpoint_id": self.id}, "task_statuses": [
                {"timestamp": time.time_ns(), "state": "execution-start", "actor": "worker"}]}
        try:
            code, args, kwargs = serde.unpack_buffers(data["task_buffer"])
            function = serde.deserialize(code)
            out["data"] = serde.serialize(function(*serde.deserialize(args), **serde.deserialize(kwargs)))
        except Exception:
            out["data"] = traceback.format_exc()
            out["error_details"] = {"code": "RemoteExecutionError", "user_message": "An error occurred"}
        publish(self.channel, self.creds["result_queue_info"], pack("result", out))

    def leave(self):
        self.call(lambda: self.heartbeat(False))
        time.sleep(0.2)
        self.stop()


class Manager(Party):
    """Registered at the service; starts user endpoints (or refuses) as its hook says."""

    def __init__(self, info, on_start=None, period=30):
        super().__init__(info["command_queue_info"]["connection_url"])
        self.info = info
        self.id = info["endpoint_id"]
        self.on_start = on_start or (lambda manager, command: manager.start_endpoint(command))
        self.period = period
        self.commands = []
        self.endpoints = {}
        self.channel.basic_consume(info["command_queue_info"]["queue"], self.on_command)
        self.heartbeat()
        self.start()

    def heartbeat(self, period=None):
        state = {"heartbeat_period": self.period if period is None else period}
        publish(self.channel, self.info["heartbeat_queue_info"],
                pack("ep_status_report", {"endpoint_id": self.id, "global_state": state, "task_statuses": {}}))

    def on_command(self, channel, method, properties, body):
        channel.basic_ack(method.delivery_tag)
        assert properties.content_type == "application/json"
        assert abs(properties.timestamp - time.time()) < 100
        command = json.loads(body)
        self.commands.append((properties, command))
        self.on_start(self, command)

    def start_endpoint(self, command, **kwargs):
        creds = command["kwargs"]["amqp_creds"]
        running = self.endpoints.get(creds["endpoint_id"])
        if running and running.is_alive():
            return running
        self.endpoints[creds["endpoint_id"]] = UserEndpoint(creds, command, **kwargs)
        return self.endpoints[creds["endpoint_id"]].begin()

    def refuse(self, command, text):
        creds = command["kwargs"]["amqp_creds"]
        connection = pika.BlockingConnection(pika.URLParameters(creds["heartbeat_queue_info"]["connection_url"]))
        kwargs = creds["heartbeat_queue_info"]["queue_publish_kwargs"]
        connection.channel().basic_publish(
            kwargs["exchange"], kwargs["routing_key"],
            pack("ep_status_report", {"endpoint_id": creds["endpoint_id"], "task_statuses": {},
                                      "global_state": {"error": text, "heartbeat_period": 3}}), mandatory=True)
        connection.close()
        # What the original sends as well when its child unwinds.
        publish(self.channel, self.info["heartbeat_queue_info"],
                pack("ep_status_report", {"endpoint_id": self.id, "task_statuses": {}, "global_state": {
                    "error": "Failed to start or unexpected error:\n  (SystemExit) 73", "heartbeat_period": 3}}))

    def leave(self):
        for endpoint in self.endpoints.values():
            if endpoint.is_alive():
                endpoint.stop()
        self.call(lambda: self.heartbeat(0))
        time.sleep(0.2)
        self.stop()
