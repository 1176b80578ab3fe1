"""One process at a time works on a run of an object store, from whichever machine.

    claim.json    who, whether held, a token of its own for each start, and a beat that its holder raises

A store has no lock: who wants a run writes its token, waits a moment and reads it back; the last of those that wrote at
once has it. The token is kept beside the run's files on disk too, so a folder whose token is the store's holds all that
the store has, and one with another is of a way that somebody went on from elsewhere.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from raysgpo.config.overrides import ConfigError
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import Holder, RunTaken
from raysgpo.output.whole_file import write_whole
from raysgpo.stores.object_store import ObjectStore, StoreFailed

NAME = "claim.json"
LOCAL = ".claim"
"""In the run's folder: the tokens under which it was worked on."""
BEAT_SECONDS = 15.0
LEASE_SECONDS = 90.0
"""A holder elsewhere whose beat has not risen for so long is gone."""
SETTLE_SECONDS = 1.0


class Claim:
    """The right to write a run of a store, kept until ``release``."""

    def __init__(self, run: RunFolder, say: Callable[[str], None]) -> None:
        assert run.store is not None, f"{run.path} is kept in no object store"
        self._store = ObjectStore(run.store)
        self._run, self._say = run, say
        self._token = uuid.uuid4().hex
        self._ended = threading.Event()
        self._taken = False

    def hold(self) -> bool:
        """Take the run; whether the folder here holds all that the store has.

        Raises:
            ConfigError: another process works on it.
            StoreFailed: the store cannot be asked.
        """
        before = self._read()
        if before.get("held"):
            self._wait_until_free(before)
        same = not before or before.get("token") in self._known()
        if same:
            self._remember([str(before.get("token", "")), self._token])
        self._write(0, True)
        time.sleep(SETTLE_SECONDS)
        if (now := self._read()).get("token") != self._token:
            raise ConfigError(
                f"{self._store.url}: {_holder(now) or 'another process'} took this run at the same moment"
            )
        threading.Thread(target=self._beat, name="claim", daemon=True).start()
        return same

    def settle(self) -> None:
        """The folder here holds all that the store has."""
        self._remember([self._token])

    def check(self) -> None:
        """Raises RunTaken if another process has taken the run since."""
        if self._taken:
            raise RunTaken(
                f"{self._store.url}: another process works on this run, since this one was silent for "
                f"{LEASE_SECONDS:.0f} s; this one stops"
            )

    def release(self) -> None:
        """Who comes next need not wait."""
        self._ended.set()
        with suppress(StoreFailed):
            if self._read().get("token") == self._token:
                self._write(0, False)

    def _wait_until_free(self, before: dict[str, Any]) -> None:
        holder = _holder(before)
        until, told = time.monotonic() + LEASE_SECONDS, False
        while not (holder is not None and holder.gone) and time.monotonic() < until:
            now = self._read()
            if not now.get("held"):
                return
            if (holder is not None and holder.gone is False) or now != before:
                raise ConfigError(
                    f"{self._store.url}: {_holder(now) or 'another process'} works on this run; wait for it, or end it "
                    f"(if there is no such process, remove {self._store.at(NAME)})"
                )
            if not told:
                who = holder or "who works there"
                self._say(f"{self._store.url}: is {who} still alive? (at most {LEASE_SECONDS:.0f} s)")
                told = True
            time.sleep(1.0)
        self._say(f"{self._store.url}: {holder or 'whoever worked there'} is gone, and this process goes on")

    def _beat(self) -> None:
        beat = 0
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(StoreFailed):  # it will be asked again
                self._taken = self._read().get("token") != self._token
                if self._taken:
                    return
                beat += 1
                self._write(beat, True)

    def _read(self) -> dict[str, Any]:
        """Nothing where nobody ever held it."""
        try:
            found = json.loads(self._store.read(NAME) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, beat: int, held: bool) -> None:
        row = {"token": self._token, "held": held, "beat": beat, "holder": asdict(Holder.myself())}
        self._store.write(NAME, json.dumps(row).encode())

    def _known(self) -> list[str]:
        try:
            return (self._run.path / LOCAL).read_text().split()
        except OSError:
            return []

    def _remember(self, tokens: list[str]) -> None:
        write_whole(self._run.path / LOCAL, "\n".join(tokens) + "\n")


def _holder(claim: dict[str, Any]) -> Holder | None:
    try:
        return Holder(**claim["holder"])
    except (KeyError, TypeError):
        return None
