#!/usr/bin/env python3
"""Fetches one person's profile from a Tributary gateway with stock grpcio.

Nothing here is special to Tributary but its protos, from which the client code
is generated at run time. The link is mutual TLS; the authority is a grant.

    fetch_profile.py --federation DIR/federation.json --subject NUMBER

Exit code: 0 every agency answered, 3 some did not, 1 error, 2 wrong usage.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc_tools
from google.protobuf import json_format
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parents[2] / "proto"
PARTIAL = 3

# What a refusal that passes by itself is refused with; RetryInfo says when to ask again.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
# The shortest wait in seconds, whatever a gateway states.
SHORTEST_WAIT = 0.05


class Protocol:
    """The modules that protoc makes of our protos."""

    def __init__(self) -> None:
        bundled = Path(grpc_tools.__file__).parent / "_proto"  # google/protobuf
        files = [str(path.relative_to(PROTOS)) for path in sorted(PROTOS.rglob("*.proto"))]
        with tempfile.TemporaryDirectory() as out:
            arguments = [f"-I{PROTOS}", f"-I{bundled}", f"--python_out={out}"]
            if not files or protoc.main(["protoc", *arguments, f"--grpc_python_out={out}", *files]):
                raise ValueError(f"cannot compile the protos in {PROTOS}")
            sys.path.insert(0, out)
            self.profile = importlib.import_module("tributary.v1.profile_pb2")
            self.profile_grpc = importlib.import_module("tributary.v1.profile_pb2_grpc")
            self.section = importlib.import_module("tributary.v1.section_pb2")
            self.catalogue = importlib.import_module("tributary.v1.catalogue_pb2")
            self.catalogue_grpc = importlib.import_module("tributary.v1.catalogue_pb2_grpc")
            self.status = importlib.import_module("google.rpc.status_pb2")
            self.details = importlib.import_module("google.rpc.error_details_pb2")
            sys.path.remove(out)


def connect(federation: dict[str, Any], consumer: str) -> grpc.Channel:
    """Opens a channel as the first consumer whose id ends in `consumer`."""
    known = federation["consumers"]
    own = next((entry for entry in known if entry["id"].endswith(consumer)), None)
    if own is None:
        ids = ", ".join(entry["id"] for entry in known)
        raise ValueError(f"no consumer's id ends in `{consumer}`; there are {ids}")
    # grpcio checks that the gateway's certificate bears the DNS name or IP address
    # we dial; it does not look at the SPIFFE id. That suffices here because the
    # trust bundle holds the anchor of the gateway's own domain alone: no agency,
    # consumer or other party can get a certificate that this channel accepts.
    credentials = grpc.ssl_channel_credentials(
        root_certificates=Path(federation["trust_bundle"]).read_bytes(),
        private_key=Path(own["key"]).read_bytes(),
        certificate_chain=Path(own["certificate"]).read_bytes(),
    )
    return grpc.secure_channel(federation["gateway"]["endpoint"], credentials)


def read_grant(federation: dict[str, Any], arguments: argparse.Namespace) -> bytes:
    """Reads the grant of --grant, or the demo's grant for --subject."""
    file = arguments.grant
    if file is None:
        grants = federation["grants"]
        found = next((g for g in grants if g["subject"] == arguments.subject), None)
        if found is None:
            raise ValueError("the federation has no grant for this subject")
        file = Path(found["file"])
    return file.read_bytes().strip()


def bundle_items(protocol: Protocol, catalogue: Any, name: str, deadline: float) -> list[str]:
    """Asks the gateway which items a bundle holds."""
    request = protocol.catalogue.ListBundlesRequest()
    bundles = catalogue.ListBundles(request, timeout=deadline).bundles
    by_id = {bundle.id: list(bundle.items) for bundle in bundles}
    if name not in by_id:
        raise ValueError(f"`{name}` is no bundle; there are {', '.join(by_id)}")
    return by_id[name]


def iso(date: Any) -> str:
    """A google.type.Date as text."""
    return f"{date.year:04}-{date.month:02}-{date.day:02}"


def readable(value: Any, unit: str) -> str:
    """A value with its unit. Which member is set follows from the item's type."""
    kind = value.WhichOneof("kind")
    match kind:
        case None:
            return "?"
        case "boolean":
            return "yes" if value.boolean else "no"
        case "money":
            money = value.money
            sign = "-" if money.units < 0 or money.nanos < 0 else ""
            cents = abs(money.nanos) // 10_000_000
            return f"{sign}{abs(money.units)}.{cents:02} {money.currency_code}"
        case "date":
            return iso(value.date)
        case "code":
            return value.code
        case "months":
            return f"{value.months} month{'' if value.months == 1 else 's'}"
    number = value.decimal.value if kind == "decimal" else str(value.integer)
    suffix = {"count": "", "percent": "%"}.get(unit, unit.replace("_", " "))
    return f"{number} {suffix}".rstrip()


def print_table(*rows: Sequence[str]) -> None:
    """Prints rows, the first of which is the header, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()


def silent(protocol: Protocol, owners: Any) -> str:
    """The owners that have not answered for an item, and why."""
    cause = protocol.profile.UnansweredCause.Name
    words = [cause(o.cause).removeprefix("UNANSWERED_CAUSE_") for o in owners]
    return ", ".join(
        f"{o.agency} ({word.lower().replace('_', ' ')})" for o, word in zip(owners, words)
    )


def print_profile(protocol: Protocol, answer: Any, units: dict[str, str]) -> None:
    """Prints the items, the gaps, and what became of each section."""
    rows = []
    for item in answer.profile.items:
        unit = units.get(item.id, "")
        others = [f"{a.agency} says {readable(a.value, unit)}" for a in item.alternatives]
        agency = item.agency or "sum of several"
        as_of = iso(item.as_of) if item.HasField("as_of") else ""
        notes = ["conflict", *others] if item.conflict else []
        if item.unanswered:
            # A provisional value could be displaced by one of them.
            mark = "provisional: " if item.provisional else ""
            notes.append(f"{mark}no answer from {silent(protocol, item.unanswered)}")
        rows.append((item.id, readable(item.value, unit), agency, as_of, "; ".join(notes)))
    print_table(("item", "value", "agency", "as of", "notes"), *rows)
    why = protocol.section.Absence.Name
    gaps = [
        (gap.id, why(gap.absence).removeprefix("ABSENCE_"), silent(protocol, gap.unanswered))
        for gap in answer.profile.gaps
    ]
    if gaps:
        print_table(("no value for", "why", "no answer from"), *gaps)
    status = protocol.section.SectionStatus.Name
    sections = [
        (s.agency, status(s.status).removeprefix("SECTION_STATUS_"), s.reason,
         f"{s.answered} of {s.asked}")
        for s in answer.sections
    ]  # fmt: skip
    print_table(("section", "status", "reason", "items"), *sections)


def is_complete(protocol: Protocol, answer: Any) -> bool:
    """Whether every agency answered. That it has no record is an answer."""
    status = protocol.section.SectionStatus
    answered = (status.SECTION_STATUS_OK, status.SECTION_STATUS_NO_RECORD)
    return all(section.status in answered for section in answer.sections)


def details(protocol: Protocol, error: grpc.RpcError) -> Iterator[Any]:
    """The google.rpc details of a refusal."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            yield from protocol.status.Status.FromString(value).details


def explain(protocol: Protocol, error: grpc.RpcError) -> str:
    """A refusal's text, with the google.rpc details that programs go by."""
    lines = [f"{error.code().name}: {error.details()}"]
    for detail in details(protocol, error):
        info, bad = protocol.details.ErrorInfo(), protocol.details.BadRequest()
        if detail.Unpack(info):
            lines.append(f"  reason: {info.reason}")
        elif detail.Unpack(bad):
            lines += [f"  {f.field}: {f.description}" for f in bad.field_violations]
    return "\n".join(lines)


def retry_after(protocol: Protocol, error: grpc.RpcError) -> float | None:
    """After how many seconds a refused call may be made again; None: it is final."""
    if error.code() in PASSING:
        for detail in details(protocol, error):
            retry = protocol.details.RetryInfo()
            if detail.Unpack(retry):
                return max(retry.retry_delay.ToTimedelta().total_seconds(), SHORTEST_WAIT)
    return None


def patiently(protocol: Protocol, deadline: float, ask: Callable[[float], Any]) -> Any:
    """Asks, and asks again while the refusal passes by itself and there is time for it.

    `ask` is given the seconds that are left. Each wait is twice as long as the one before.
    """
    end, longer = time.monotonic() + deadline, 1
    while True:
        try:
            return ask(end - time.monotonic())
        except grpc.RpcError as error:
            stated = retry_after(protocol, error)
            if stated is None or time.monotonic() + stated * longer >= end:
                raise
        time.sleep(stated * longer)
        longer *= 2


def fetch(protocol: Protocol, arguments: argparse.Namespace) -> int:
    """Fetches and prints the profile; returns the exit code."""
    federation = json.loads(arguments.federation.read_text(encoding="utf-8"))
    grant = read_grant(federation, arguments)
    with connect(federation, arguments.consumer) as channel:
        catalogue = protocol.catalogue_grpc.CatalogueServiceStub(channel)
        deadline = arguments.deadline
        items = arguments.items
        if items is None:
            items = bundle_items(protocol, catalogue, arguments.bundle, deadline)
        # A grant and the items wanted of it: the whole request.
        # Its id stays the same when it is repeated, so that no agency counts a second use.
        request = protocol.profile.GetProfileRequest(
            request_id=uuid.uuid4().hex, items=items, grant={"sd_jwt": grant}
        )
        profiles = protocol.profile_grpc.ProfileServiceStub(channel)
        answer = patiently(
            protocol, deadline, lambda left: profiles.GetProfile(request, timeout=left)
        )
        if arguments.json:
            print(json_format.MessageToJson(
                answer, preserving_proto_field_name=True, ensure_ascii=False,
                always_print_fields_with_no_presence=True,
            ))  # fmt: skip
        else:
            request = protocol.catalogue.ListItemsRequest()
            known = catalogue.ListItems(request, timeout=deadline).items
            print_profile(protocol, answer, {item.id: item.unit for item in known})
    return 0 if is_complete(protocol, answer) else PARTIAL


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--federation", type=Path, required=True, help="federation.json of a running demo")
    add("--consumer", default="", metavar="NAME", help="whom to be, by the end of its id")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--subject", metavar="N", help="take this synthetic person's grant")
    whose.add_argument("--grant", type=Path, metavar="FILE", help="a grant's file")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--bundle", default="basic", help="a named set of items (basic)")
    what.add_argument("--items", type=lambda text: text.split(","), metavar="ID,…")
    add("--deadline", type=float, default=2.0, metavar="S", help="seconds to wait (2)")
    add("--json", action="store_true", help="print the answer as proto3 JSON")
    return parser.parse_args()


def main() -> int:
    """Runs the program; returns its exit code."""
    arguments = parse_arguments()
    try:
        protocol = Protocol()
        try:
            return fetch(protocol, arguments)
        except grpc.RpcError as error:
            raise ValueError(explain(protocol, error)) from error
    except KeyError as error:
        print(f"error: {arguments.federation} lacks {error}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
