"""Fetches many profiles over StreamProfiles: for scoring a whole population again.

At most `window` requests have no answer at any time, so neither side holds more than
that. Each request has its own outcome: a profile or a failure. A stream that breaks is
opened again, and whatever had no answer is asked again under the same id, which no
agency counts a second time. So is what was refused for a reason that passes by itself,
after the time that the refusal states and within the request's own.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

# What a stream may end with while a new one may well not: the gateway stops, the
# connection is gone, or the stream has reached its age.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.OK)
# Streams in a row that may end without a single answer.
BREAKS = 5
# Seconds beyond a request's own after which a silent stream is given up.
GRACE = 3.0
# The shortest wait in seconds before a request is asked again.
SHORTEST_WAIT = 0.05


class Asked:
    """A request that has no answer yet, and until when it may be asked again."""

    def __init__(self, request: Any, deadline: float) -> None:
        self.request, self.deadline, self.longer = request, deadline, 1
        self.renew()

    def renew(self) -> None:
        """Gives it its whole time again, for another stream."""
        self.end = time.monotonic() + self.deadline

    def message(self, protocol: Any) -> Any:
        """It as it goes on the stream, with the time that it has left."""
        left = max(self.end - time.monotonic(), 0.001) if self.longer > 1 else self.deadline
        return protocol.profile.StreamProfilesRequest(
            request=self.request.SerializeToString(), remaining_micros=int(left * 1e6)
        )

    def wait(self, failure: Any) -> float | None:
        """How long to wait before asking again; None: the failure is final."""
        stated = failure.retry_after_micros / 1e6
        wait = max(stated, SHORTEST_WAIT) * self.longer
        if not stated or time.monotonic() + wait >= self.end:
            return None
        self.longer *= 2
        return wait


class Sender:
    """The requests of one stream, as grpcio's sending thread takes them."""

    def __init__(
        self, source: Iterator[Any], unanswered: dict[str, Asked], window: int, deadline: float
    ) -> None:
        self.source, self.unanswered, self.window = source, unanswered, window
        self.deadline = deadline
        self.again = list(unanswered.values())
        self.changed = threading.Condition()
        self.stopped = self.exhausted = False
        self.error: Exception | None = None

    def next(self) -> Asked | None:
        """The next request, once there is room for it; None when there is none left."""
        with self.changed:
            while not self.stopped:
                if self.again:
                    return self.again.pop(0)
                ended = self.exhausted or self.error is not None
                if ended and not self.unanswered:
                    break
                if not ended and len(self.unanswered) < self.window:
                    try:
                        request = next(self.source)
                    except StopIteration:
                        self.exhausted = True
                        continue
                    except Exception as error:  # such as a grant that cannot be read
                        self.error = error
                        continue
                    asked = Asked(request, self.deadline)
                    self.unanswered[request.request_id] = asked
                    return asked
                # Whatever has no answer may have to be asked again.
                self.changed.wait()
        return None

    def answered(self, answer: Any) -> bool:
        """Makes room: a request has its answer. False: it is asked again after a while."""
        with self.changed:
            asked = self.unanswered.get(answer.request_id)
            if asked is None:
                raise ValueError("the gateway answered what was not asked")
            failed = answer.WhichOneof("outcome") == "failure"
            wait = asked.wait(answer.failure) if failed else None
            if wait is not None:
                later = threading.Timer(wait, self.repeat, [asked])
                later.daemon = True
                later.start()
                return False
            del self.unanswered[answer.request_id]
            self.changed.notify()
            return True

    def repeat(self, asked: Asked) -> None:
        """Asks once more on this stream."""
        with self.changed:
            self.again.append(asked)
            self.changed.notify()

    def stop(self) -> None:
        """No more is sent, and the sending thread comes to its end."""
        with self.changed:
            self.stopped = True
            self.changed.notify()


def answers(call: Any, patience: float) -> Iterator[Any]:
    """What comes on a stream; one that is silent for so many seconds is cancelled."""
    while True:
        silence = threading.Timer(patience, call.cancel)
        silence.start()
        try:
            answer = next(call, None)
        finally:
            silence.cancel()
        if answer is None:
            return
        yield answer


def stream_profiles(
    protocol: Any, profiles: Any, requests: Iterable[Any], window: int, deadline: float
) -> Iterator[Any]:
    """Gives StreamProfilesResponses, in the order in which they come.

    `requests` are GetProfileRequests, each with a request_id of its own. They are
    taken only as there is room for them.
    """
    source, unanswered, broken = iter(requests), {}, 0
    while True:
        for asked in unanswered.values():
            asked.renew()
        sender = Sender(source, unanswered, window, deadline)
        call = profiles.StreamProfiles(
            asked.message(protocol) for asked in iter(sender.next, None)
        )
        code = grpc.StatusCode.OK
        try:
            for answer in answers(call, deadline + GRACE):
                broken = 0
                if sender.answered(answer):
                    yield answer
        except grpc.RpcError as error:
            code = error.code()
            if code not in PASSING:
                raise
        finally:
            sender.stop()
            call.cancel()
        if sender.error is not None:
            raise sender.error
        if sender.exhausted and not unanswered:
            return
        broken += 1
        if broken > BREAKS:
            raise ValueError(f"{broken} streams in a row ended without an answer ({code.name})")
        time.sleep(min(0.1 * 2**broken, 2.0))
