#!/usr/bin/env python3
"""Fetches one person's profile through a Tributary gateway, with stock grpcio.

It uses nothing of Tributary but the proto files, from which it makes its code
when it starts: what this program can do, a program in any language can do.

    python fetch_profile.py --federation DIR/federation.json --subject NUMBER

Exit code: 0 every agency answered, 3 some did not, 1 error.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"
ANSWERED = {"SECTION_STATUS_OK", "SECTION_STATUS_NO_RECORD"}


def generate(folder: str) -> None:
    """Makes Python code of every proto file, and lets it be imported."""
    files = [str(path) for path in sorted(PROTO.rglob("*.proto"))]
    well_known = Path(protoc.__file__).parent / "_proto"
    options = [f"-I{PROTO}", f"-I{well_known}", f"--python_out={folder}"]
    if protoc.main(["protoc", *options, f"--grpc_python_out={folder}", *files]) != 0:
        raise SystemExit("the proto files cannot be compiled")
    sys.path.insert(0, folder)
    # The protobuf package has a `google` of its own; ours goes beside it.
    importlib.import_module("google").__path__.append(f"{folder}/google")


def connect(federation: dict[str, Any], consumer: dict[str, str]) -> grpc.Channel:
    """A channel with mutual TLS.

    grpcio checks the host name or the address in the gateway's certificate. The
    SPIFFE id it cannot check: that is why the trust bundle holds the gateway's
    own domain and no other, so that nobody else's certificate passes at all.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=Path(federation["trust_bundle"]).read_bytes(),
        private_key=Path(consumer["key"]).read_bytes(),
        certificate_chain=Path(consumer["certificate"]).read_bytes(),
    )
    return grpc.secure_channel(federation["gateway"]["endpoint"], credentials)


def day(date: Any) -> str:
    return f"{date.year:04}-{date.month:02}-{date.day:02}"


def value(message: Any, unit: str) -> str:
    """A value as people read it."""
    kind = message.WhichOneof("kind")
    if kind == "boolean":
        return "yes" if message.boolean else "no"
    if kind == "decimal":
        return f"{message.decimal.value} {unit}"
    if kind == "money":
        money = message.money
        return f"{money.units + money.nanos / 1e9:.2f} {money.currency_code}"
    if kind == "date":
        return day(message.date)
    return f"{getattr(message, kind)} {'months' if kind == 'months' else unit}".rstrip()


def table(response: Any, units: dict[str, str], names: Any) -> str:
    """The profile, and what became of each section."""
    rows = [("item", "value", "agency", "as of", "notes")]
    for item in response.profile.items:
        unit = units[item.id]
        notes = ["conflict"] if item.conflict else []
        notes += [f"{a.agency} says {value(a.value, unit)}" for a in item.alternatives]
        notes += ["disputed by the person"] if item.disputed else []
        agency = item.agency or "sum of several"
        rows.append((item.id, value(item.value, unit), agency, day(item.as_of), "; ".join(notes)))
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    lines = ["  ".join(map(str.ljust, row, [*widths, 0])).rstrip() for row in rows]
    for gap in response.profile.gaps:
        lines.append(f"no value for {gap.id}: {names.Absence.Name(gap.absence)}")
    for section in response.sections:
        status = names.SectionStatus.Name(section.status)
        items = f"{section.answered} of {section.asked} items"
        lines.append(f"{section.agency}: {status} {section.reason} ({items})")
    return "\n".join(lines)


def explain(error: grpc.RpcError) -> str:
    """A refusal in words: its reason, and each field that is wrong."""
    status_pb2 = importlib.import_module("google.rpc.status_pb2")
    details_pb2 = importlib.import_module("google.rpc.error_details_pb2")
    lines = [f"the gateway refused: {error.code().name}: {error.details()}"]
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    for detail in status_pb2.Status.FromString(packed).details:
        info, bad = details_pb2.ErrorInfo(), details_pb2.BadRequest()
        if detail.Unpack(info):
            lines.append(f"  reason {info.reason}")
        elif detail.Unpack(bad):
            lines += [f"  {fault.field}: {fault.description}" for fault in bad.field_violations]
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fetches one person's profile.")
    parser.add_argument("--federation", type=Path, required=True, help="a demo's federation.json")
    parser.add_argument("--consumer", default="", help="whom to be, by the end of the id")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--subject", help="a synthetic person of the demo, whose grant is taken")
    whose.add_argument("--grant", type=Path, help="a grant's file")
    parser.add_argument("--bundle", default="basic", help="a named set of items (basic)")
    parser.add_argument("--items", help="items, separated by commas, instead of a bundle")
    parser.add_argument("--json", action="store_true", help="print proto3 JSON")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds to wait (2)")
    return parser.parse_args()


def pick(entries: list[dict[str, str]], key: str, end: str) -> dict[str, str]:
    for entry in entries:
        if entry[key].endswith(end):
            return entry
    raise SystemExit(f"the federation has no {key} that ends in {end!r}")


def main() -> int:
    args = arguments()
    federation = json.loads(args.federation.read_text())
    consumer = pick(federation["consumers"], "id", args.consumer)
    grant = args.grant or pick(federation["grants"], "subject", args.subject)["file"]

    with tempfile.TemporaryDirectory() as folder, connect(federation, consumer) as channel:
        generate(folder)
        ours = {
            name: importlib.import_module(f"tributary.v1.{name}")
            for name in ("profile_pb2", "profile_pb2_grpc", "catalogue_pb2", "catalogue_pb2_grpc")
        }
        names = importlib.import_module("tributary.v1.section_pb2")
        messages, meanings = ours["profile_pb2"], ours["catalogue_pb2"]
        catalogue = ours["catalogue_pb2_grpc"].CatalogueServiceStub(channel)
        profiles = ours["profile_pb2_grpc"].ProfileServiceStub(channel)
        try:
            if args.items:
                items = args.items.split(",")
            else:
                listed = catalogue.ListBundles(meanings.ListBundlesRequest(), timeout=args.deadline)
                bundles = {bundle.id: list(bundle.items) for bundle in listed.bundles}
                if args.bundle not in bundles:
                    raise SystemExit(f"{args.bundle!r} is none of {', '.join(bundles)}")
                items = bundles[args.bundle]
            # A grant and the items wanted of it: the whole request.
            request = messages.GetProfileRequest(items=items)
            request.grant.sd_jwt = Path(grant).read_bytes().strip()
            response = profiles.GetProfile(request, timeout=args.deadline)
            if args.json:
                shown = json_format.MessageToDict(response, preserving_proto_field_name=True)
                print(json.dumps(shown, indent=2, ensure_ascii=False))
            else:
                known = catalogue.ListItems(meanings.ListItemsRequest(), timeout=args.deadline)
                print(table(response, {item.id: item.unit for item in known.items}, names))
        except grpc.RpcError as error:
            print(explain(error), file=sys.stderr)
            return 1
        statuses = {names.SectionStatus.Name(section.status) for section in response.sections}
        return 0 if statuses <= ANSWERED else 3


if __name__ == "__main__":
    sys.exit(main())
