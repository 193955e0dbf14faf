"""Daemons that make one thing together: a batch system for a test."""

from __future__ import annotations

from typing import Self

from support.process import Daemon


class Daemons:
    """A subclass has start() and stop(), and puts what it runs into _daemons, by name."""

    def __init__(self) -> None:
        self._daemons: dict[str, Daemon] = {}

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """The youngest first."""
        for daemon in reversed(list(self._daemons.values())):
            daemon.stop(15)

    def kill(self, name: str) -> None:
        self._daemons[name].process.kill()
        self._daemons[name].process.wait(10)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
