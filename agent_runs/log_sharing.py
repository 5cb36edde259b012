"""Small batches of many runs, written by one COPY and one commit: what one flush to disk costs is shared.

A worker follows many runs at once, each with a few lines every tenth of a second. One transaction for each would make
the database's day of commits, not of rows. So a thread that comes while another writes leaves its batch and waits;
whoever is next takes all that have gathered. Nobody waits for batches to come: a lone run is written at once.
"""

import threading
from collections.abc import Callable, Sequence
from enum import Enum

# One COPY of a group is no larger than one of a single run may be.
GROUP_BYTES = 4 * 1024 * 1024
# Two groups under way: the next is made and sent while one is flushed.
LEADERS = 2


class _State(Enum):
    WAITING = "waiting"
    LEADING = "leading"  # to write the next group, its own batch in it
    DONE = "done"
    ALONE = "alone"  # the group could not be written: each batch tries for itself


class _Batch:
    def __init__(self, text: bytes) -> None:
        self.text = text
        self.state = _State.WAITING
        self.changed = threading.Event()

    def become(self, state: _State) -> None:
        self.state = state
        self.changed.set()


class SharedWriter:
    """`copy` writes texts by one transaction: all are durable when it returns, none when it raises."""

    def __init__(self, copy: Callable[[Sequence[bytes]], None]) -> None:
        self._copy = copy
        self._lock = threading.Lock()
        self._waiting: list[_Batch] = []
        self._leaders = 0

    def write(self, text: bytes) -> None:
        """Returns when the text is durable. Raises what `copy` raises for this text alone, never for others'."""
        batch = _Batch(text)
        with self._lock:
            self._waiting.append(batch)
            if self._leaders < LEADERS:
                self._leaders += 1
                batch.state = _State.LEADING
        if batch.state == _State.WAITING:
            self._wait(batch)
        if batch.state == _State.LEADING:
            self._lead(batch)
        if batch.state == _State.ALONE:
            self._copy([text])

    def _wait(self, batch: _Batch) -> None:
        try:
            batch.changed.wait()
        except BaseException:  # a thread that is told to end must not take others' turn with it
            with self._lock:
                if batch in self._waiting:
                    self._waiting.remove(batch)
                if batch.state == _State.LEADING:
                    self._hand_on()
            raise

    def _lead(self, own: _Batch) -> None:
        group = self._take(own)
        outcome = _State.ALONE
        try:
            self._copy([batch.text for batch in group])
            outcome = _State.DONE
        except Exception:
            if len(group) == 1:
                raise
        finally:
            with self._lock:
                self._hand_on()
            for batch in group:
                batch.become(outcome)

    def _take(self, own: _Batch) -> list[_Batch]:
        """Its own batch, and those that wait, the longest first, as far as there is room."""
        with self._lock:
            self._waiting.remove(own)
            group, size = [own], len(own.text)
            # Not one that leads a group of its own in a moment.
            for batch in [batch for batch in self._waiting if batch.state == _State.WAITING]:
                size += len(batch.text)
                if size > GROUP_BYTES:
                    break
                self._waiting.remove(batch)
                group.append(batch)
        return group

    def _hand_on(self) -> None:
        """The turn goes to the batch that has waited longest, or back. Call it with the lock held."""
        following = next((batch for batch in self._waiting if batch.state == _State.WAITING), None)
        if following is None:
            self._leaders -= 1
        else:
            following.become(_State.LEADING)
