"""Fetches many profiles over StreamProfiles: for scoring a whole population again.

At most `window` requests have no answer at any time, so neither side holds more than
that. Each request has its own outcome: a profile or a failure. A stream that breaks is
opened again, and whatever had no answer is asked again under the same id, which no
agency counts a second time.
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


class Sender:
    """The requests of one stream, as grpcio's sending thread takes them."""

    def __init__(self, source: Iterator[Any], unanswered: dict[str, Any], window: int) -> None:
        self.source, self.unanswered, self.window = source, unanswered, window
        self.again = list(unanswered.values())
        self.changed = threading.Condition()
        self.stopped = self.exhausted = False
        self.error: Exception | None = None

    def next(self) -> Any:
        """The next request, once there is room for it; None when there is none left."""
        with self.changed:
            while not self.stopped:
                if self.again:
                    return self.again.pop(0)
                if len(self.unanswered) < self.window:
                    try:
                        request = next(self.source)
                    except StopIteration:
                        self.exhausted = True
                        break
                    except Exception as error:  # such as a grant that cannot be read
                        self.error = error
                        break
                    self.unanswered[request.request_id] = request
                    return request
                self.changed.wait()
        return None

    def answered(self, request_id: str) -> None:
        """Makes room: a request has its answer."""
        with self.changed:
            if self.unanswered.pop(request_id, None) is None:
                raise ValueError("the gateway answered what was not asked")
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
        sender = Sender(source, unanswered, window)
        call = profiles.StreamProfiles(
            protocol.profile.StreamProfilesRequest(
                request=request.SerializeToString(), remaining_micros=int(deadline * 1e6)
            )
            for request in iter(sender.next, None)
        )
        code = grpc.StatusCode.OK
        try:
            for answer in answers(call, deadline + GRACE):
                sender.answered(answer.request_id)
                broken = 0
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
