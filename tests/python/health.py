"""Health as a stock prober sees it: the package grpcio-health-checking, and nothing of ours.

    health.py FEDERATION.json NAME…      prints each name with what is said of it
"""

import json
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples/python"))
from fetch_profile import connect  # noqa: E402


def main() -> int:
    federation = json.loads(Path(sys.argv[1]).read_text())
    with connect(federation, "scoring-service") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in sys.argv[2:]:
            request = health_pb2.HealthCheckRequest(service=name)
            try:
                status = health.Check(request, timeout=10).status
                said = health_pb2.HealthCheckResponse.ServingStatus.Name(status)
            except grpc.RpcError as error:
                said = error.code().name
            print(f"{name or '(empty)'} {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
