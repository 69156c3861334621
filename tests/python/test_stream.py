"""StreamProfiles as a stock client uses it, against a gateway that breaks, dawdles,
refuses and lies: every request gets one outcome, and never more than the window are open."""

import sys
import threading
import time
import unittest
from concurrent import futures
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples/python"))
import stream_profiles as streams  # noqa: E402
from fetch_profile import Protocol, patiently  # noqa: E402

PROTOCOL = Protocol()
PEOPLE, WINDOW = 200, 8


def request(number):
    return PROTOCOL.profile.GetProfileRequest(request_id=f"r{number}", items=["a.b.c"])


def outcome(asked, failed=False):
    if failed:
        refusal = PROTOCOL.profile.ProfileFailure(code=7, reason="GRANT_REVOKED", message="no")
        return PROTOCOL.profile.StreamProfilesResponse(request_id=asked, failure=refusal)
    profile = PROTOCOL.profile.GetProfileResponse(request_id=asked)
    return PROTOCOL.profile.StreamProfilesResponse(request_id=asked, profile=profile)


class Gateway(PROTOCOL.profile_grpc.ProfileServiceServicer):
    """A server whose streams go as a test says."""

    def __init__(self, way):
        self.way, self.streams, self.asked, self.most = way, 0, [], 0
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        PROTOCOL.profile_grpc.add_ProfileServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def StreamProfiles(self, messages, context):
        self.streams += 1
        return self.way(self, messages, context)

    def read(self, message):
        asked = PROTOCOL.profile.GetProfileRequest.FromString(message.request).request_id
        # What is asked again on a stream has less time than at first.
        assert message.remaining_micros == 1_000_000 or asked in self.asked
        self.asked.append(asked)
        return asked

    def held(self, messages, room):
        """Requests in groups: as many as come before the client waits for an answer."""
        group, arrived = [], threading.Condition()

        def pull():
            for message in messages:
                with arrived:
                    group.append(self.read(message))
                    arrived.notify()
            with arrived:
                group.append(None)
                arrived.notify()

        threading.Thread(target=pull, daemon=True).start()
        while True:
            with arrived:
                # Whoever is allowed one more than the window would send it now.
                arrived.wait_for(lambda: None in group or len(group) > room, timeout=0.2)
                taken, group[:] = list(group), []
            self.most = max(self.most, len([asked for asked in taken if asked]))
            yield from reversed([asked for asked in taken if asked])
            if None in taken:
                return


class Stream(unittest.TestCase):
    def run_against(self, way, people=PEOPLE, source=None):
        gateway = Gateway(way)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
                stub = PROTOCOL.profile_grpc.ProfileServiceStub(channel)
                asked = source or (request(number) for number in range(people))
                return gateway, list(
                    streams.stream_profiles(PROTOCOL, stub, asked, WINDOW, deadline=1.0)
                )
        finally:
            gateway.server.stop(None)

    def everybody_once(self, answers, people=PEOPLE):
        ids = sorted(answer.request_id for answer in answers)
        self.assertEqual(ids, sorted(f"r{number}" for number in range(people)))

    def test_never_more_than_the_window_are_open_and_each_has_its_own_outcome(self):
        def way(gateway, messages, _):
            for asked in gateway.held(messages, WINDOW):
                yield outcome(asked, failed=asked.endswith("7"))

        gateway, answers = self.run_against(way, people=40)
        self.everybody_once(answers, people=40)
        self.assertEqual((gateway.streams, gateway.most), (1, WINDOW))
        refused = {a.request_id for a in answers if a.WhichOneof("outcome") == "failure"}
        self.assertEqual(refused, {"r7", "r17", "r27", "r37"})

    def test_what_had_no_answer_is_asked_again_under_its_id_and_nothing_else(self):
        def way(gateway, messages, context):
            for count, message in enumerate(messages):
                asked = gateway.read(message)
                if gateway.streams < 4 and count == 20:
                    if gateway.streams == 1:
                        return  # the stream has reached its age
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the gateway stops")
                yield outcome(asked)

        gateway, answers = self.run_against(way)
        self.everybody_once(answers)
        self.assertEqual(gateway.streams, 4)
        self.assertGreater(len(gateway.asked), PEOPLE)
        # Nobody had more than the window's worth of questions repeated for a break.
        self.assertLessEqual(len(gateway.asked), PEOPLE + 3 * WINDOW)

    def test_a_silent_stream_is_given_up_and_asked_again(self):
        def way(gateway, messages, context):
            for message in messages:
                asked = gateway.read(message)
                while gateway.streams == 1 and context.is_active():
                    time.sleep(0.01)
                yield outcome(asked)

        grace, streams.GRACE = streams.GRACE, -0.5
        try:
            gateway, answers = self.run_against(way, people=20)
        finally:
            streams.GRACE = grace
        self.everybody_once(answers, people=20)
        self.assertEqual(gateway.streams, 2)

    def test_what_passes_by_itself_is_asked_again_in_time_and_a_refusal_is_final(self):
        def way(gateway, messages, _):
            for message in messages:
                asked = gateway.read(message)
                busy = asked == "r3" and gateway.asked.count(asked) < 3
                if busy or asked == "r5":
                    failure = PROTOCOL.profile.ProfileFailure(
                        code=14, reason="GRANT_STATUS_STALE", retry_after_micros=100_000
                    )
                    yield PROTOCOL.profile.StreamProfilesResponse(
                        request_id=asked, failure=failure
                    )
                else:
                    yield outcome(asked, failed=asked == "r7")

        gateway, answers = self.run_against(way, people=20)
        self.everybody_once(answers, people=20)
        failed = {
            answer.request_id: answer.failure.reason
            for answer in answers
            if answer.WhichOneof("outcome") == "failure"
        }
        self.assertEqual(failed, {"r5": "GRANT_STATUS_STALE", "r7": "GRANT_REVOKED"})
        asked = gateway.asked
        self.assertEqual((asked.count("r3"), asked.count("r7"), gateway.streams), (3, 1, 1))
        self.assertGreater(asked.count("r5"), 1)

    def test_streams_that_answer_nothing_are_not_opened_for_ever(self):
        breaks, streams.BREAKS = streams.BREAKS, 2
        try:
            with self.assertRaisesRegex(ValueError, "3 streams in a row"):
                self.run_against(lambda *_: iter(()))
        finally:
            streams.BREAKS = breaks

    def test_a_refusal_of_the_whole_stream_is_an_error_at_once(self):
        def way(_gateway, _messages, context):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no consumer")
            yield

        with self.assertRaises(grpc.RpcError) as raised:
            self.run_against(way)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.PERMISSION_DENIED)

    def test_an_answer_to_nothing_is_refused(self):
        def way(gateway, messages, _):
            for message in messages:
                gateway.read(message)
                yield outcome("somebody-else")

        with self.assertRaisesRegex(ValueError, "not asked"):
            self.run_against(way)

    def test_who_was_asked_about_before_a_bad_one_gets_an_answer_and_the_error_is_said(self):
        def source():
            yield request(0)
            raise ValueError("no grant")

        def way(gateway, messages, _):
            for message in messages:
                yield outcome(gateway.read(message))

        with self.assertRaisesRegex(ValueError, "no grant"):
            self.run_against(way, source=source())


class Refusing(PROTOCOL.profile_grpc.ProfileServiceServicer):
    """A server that refuses a call some times before it answers."""

    def __init__(self, code, times, wait=True):
        self.code, self.times, self.wait, self.asked = code, times, wait, 0

    def GetProfile(self, request, context):
        self.asked += 1
        if self.asked <= self.times:
            status = PROTOCOL.status.Status(code=self.code.value[0], message="no")
            info = PROTOCOL.details.ErrorInfo(reason="SOME_REASON", domain="tributary")
            status.details.add().Pack(info)
            if self.wait:
                retry = PROTOCOL.details.RetryInfo()
                retry.retry_delay.FromMilliseconds(100)
                status.details.add().Pack(retry)
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
            context.abort(self.code, "no")
        return PROTOCOL.profile.GetProfileResponse(request_id=request.request_id)


class Call(unittest.TestCase):
    def ask(self, servicer, deadline):
        server = grpc.server(futures.ThreadPoolExecutor(2))
        PROTOCOL.profile_grpc.add_ProfileServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = PROTOCOL.profile_grpc.ProfileServiceStub(channel)
                return patiently(
                    PROTOCOL, deadline, lambda left: stub.GetProfile(request(1), timeout=left)
                )
        finally:
            server.stop(None)

    def test_what_passes_by_itself_is_asked_again(self):
        for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
            servicer = Refusing(code, 3)
            self.assertEqual(self.ask(servicer, 60.0).request_id, "r1")
            self.assertEqual(servicer.asked, 4)

    def test_a_refusal_is_final_and_so_is_the_deadline(self):
        final = Refusing(grpc.StatusCode.PERMISSION_DENIED, 9)
        unsaid = Refusing(grpc.StatusCode.UNAVAILABLE, 9, wait=False)
        for servicer in (final, unsaid):
            with self.assertRaises(grpc.RpcError):
                self.ask(servicer, 60.0)
            self.assertEqual(servicer.asked, 1)
        for_ever = Refusing(grpc.StatusCode.UNAVAILABLE, 1000)
        with self.assertRaises(grpc.RpcError):
            self.ask(for_ever, 1.5)
        # 0.1 + 0.2 + 0.4 s, and the next would be beyond the deadline.
        self.assertIn(for_ever.asked, range(2, 5))


if __name__ == "__main__":
    unittest.main()
