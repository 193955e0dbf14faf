"""Real parts for the system tests: a private broker, local accounts, the service, the manager, the SDK.

Each part has `start()` and `stop()`, is a context manager, and keeps what it wrote in a folder of its
own.  tests/conftest.py offers them as fixtures.
"""
