#!/usr/bin/env python3
"""Scores people by a published card: the program that a scoring service starts from.

    scoring_service.py --federation DIR/federation.json --subject NUMBER [--subject …]
    scoring_service.py --federation DIR/federation.json --stream --subjects FILE

The first asks with a call for each person; --stream asks over one stream, for many
people. One person's refusal is that person's: the others get their scores.

Perks only: a characteristic can add points and never takes any away. What is not known
(an agency that did not answer, no record, no permission) is left out of the points and
of the maximum alike. What the person disputes is left out, and said.

Exit code: 0 every agency answered for everybody, 3 some did not or some person was
refused, 1 error, 2 wrong usage.
"""

import argparse
import json
import sys
import time
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
from fetch_profile import (
    PARTIAL,
    Protocol,
    connect,
    explain,
    is_complete,
    iso,
    patiently,
    read_grant,
)
from stream_profiles import stream_profiles

CARD = Path(__file__).with_name("score_card.toml")


@dataclass(frozen=True)
class Characteristic:
    """One line of the card: what a value of an item from one agency is worth."""

    code: str
    item: str
    agency: str
    text: str
    at: tuple[tuple[Decimal, int], ...] = ()
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """The most points that it can add."""
        return max([points for _, points in self.at] + list(self.codes.values()))

    def points(self, value: Any) -> int:
        """The points of a value that is known."""
        if self.codes:
            return self.codes.get(value, 0)
        return next((points for least, points in reversed(self.at) if value >= least), 0)


@dataclass(frozen=True)
class Card:
    """A score card that was read and checked."""

    name: str
    lowest: int
    highest: int
    least_known: int
    perks: tuple[tuple[int, str], ...]
    characteristics: tuple[Characteristic, ...]

    def without(self, agency: str) -> "Card":
        """The same card if this agency had never been on it."""
        kept = tuple(c for c in self.characteristics if c.agency != agency)
        return replace(self, characteristics=kept)


def read_card(path: Path) -> Card:
    """Reads a card; one that could punish is refused."""
    text = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    characteristics = []
    for entry in text["characteristic"]:
        at = tuple((Decimal(least), points) for least, points in entry.get("at", []))
        codes = entry.get("codes", {})
        if bool(at) == bool(codes) or sorted(at) != list(at):
            raise ValueError(f"{entry['code']}: state either `at`, rising, or `codes`")
        if any(points < 0 for points in [p for _, p in at] + list(codes.values())):
            raise ValueError(f"{entry['code']}: points below zero would punish; remove them")
        rest = {key: entry[key] for key in ("code", "item", "agency", "text")}
        characteristics.append(Characteristic(at=at, codes=codes, **rest))
    perks = tuple(sorted((perk["from"], perk["text"]) for perk in text.get("perk", [])))
    return Card(
        text["name"], text["lowest"], text["highest"], text["least_known"],
        perks, tuple(characteristics),
    )  # fmt: skip


@dataclass(frozen=True)
class Known:
    """One item as one agency holds it."""

    value: Any
    as_of: str = ""
    disputed: bool = False
    # Another owner has not answered, so this may not be the last word on the item.
    provisional: bool = False


def plain(value: Any) -> Any:
    """A Value of the protocol as a number, a boolean or a code."""
    kind = value.WhichOneof("kind")
    match kind:
        case "decimal":
            return Decimal(value.decimal.value)
        case "money":
            return Decimal(value.money.units) + Decimal(value.money.nanos) / 10**9
        case "boolean":
            return int(value.boolean)
        case "date":
            return iso(value.date)
        case None:
            return None
    return getattr(value, kind)


def known_of(answer: Any) -> dict[tuple[str, str], Known]:
    """What each agency said of each item: the surviving value, the others, and the parts
    of a sum that is not stated because an owner has not answered."""
    known = {}

    def add(item: str, said: Any, provisional: bool) -> None:
        as_of = iso(said.as_of) if said.HasField("as_of") else ""
        known[item, said.agency] = Known(plain(said.value), as_of, said.disputed, provisional)

    for item in answer.profile.items:
        for said in [*item.alternatives, item]:
            add(item.id, said, item.provisional)
    for gap in answer.profile.gaps:
        for said in gap.alternatives:
            add(gap.id, said, True)
    return known


def score(card: Card, known: dict[tuple[str, str], Known]) -> dict[str, Any]:
    """The score and everything that led to it."""
    used, disputed, unknown = [], [], []
    for one in card.characteristics:
        line = {"code": one.code, "item": one.item, "agency": one.agency, "text": one.text}
        held = known.get((one.item, one.agency))
        if held is None or held.value is None:
            unknown.append(line)
        elif held.disputed:
            disputed.append(line | {"as_of": held.as_of})
        else:
            points = one.points(held.value)
            line |= {"points": points, "most": one.most, "as_of": held.as_of}
            used.append(line | {"provisional": held.provisional})
    earned, most = sum(line["points"] for line in used), sum(line["most"] for line in used)
    enough = most > 0 and most >= card.least_known
    result = card.lowest + (card.highest - card.lowest) * earned // most if enough else None
    used.sort(key=lambda line: (line["points"] - line["most"], -line["points"], line["code"]))
    return {
        "card": card.name,
        # None: not enough is known. It is no low score, and nothing is refused for it.
        "score": result,
        "perks": [text for least, text in card.perks if result is not None and result >= least],
        "helped": [line["code"] for line in used if line["points"] > 0],
        "could_add": [line["code"] for line in used if line["points"] < line["most"]],
        # Each counts what its own agency says; another owner has yet to answer.
        "provisional": sorted(line["code"] for line in used if line["provisional"]),
        "used": sorted(used, key=lambda line: line["code"]),
        "disputed_left_out": disputed,
        "unknown_left_out": unknown,
    }


def show(result: dict[str, Any]) -> None:
    """Prints a result for people."""
    number = "no score: not enough is known" if result["score"] is None else result["score"]
    if "refused" in result:
        number = f"no score: {result['refused']}"
    print(f"{result['card']}: {number}")
    for perk in result["perks"]:
        print(f"  perk     {perk}")
    for line in result["used"]:
        points = f"{line['points']} of {line['most']}"
        whose = f"{line['agency']}, {line['as_of']}" + ", provisional" * line["provisional"]
        print(f"  {line['code']}  {points:>10}  {line['text']} ({whose})")
    for line in result["disputed_left_out"]:
        print(f"  {line['code']}  {'left out':>10}  {line['text']}: disputed by the person")
    for line in result["unknown_left_out"]:
        print(f"  {line['code']}  {'unknown':>10}  {line['text']}: neither for nor against")
    print()


@dataclass(frozen=True)
class Fetched:
    """What came of one person's request."""

    answer: Any = None
    refused: str = ""


def requests(
    protocol: Protocol, card: Card, federation: dict[str, Any], people: list[str]
) -> Iterator[Any]:
    """A request for each person, made when it is taken."""
    items = sorted({one.item for one in card.characteristics})
    for subject in people:
        grant = {"sd_jwt": read_grant(federation, argparse.Namespace(grant=None, subject=subject))}
        yield protocol.profile.GetProfileRequest(
            request_id=uuid.uuid4().hex, items=items, grant=grant
        )


def fetch_unary(protocol: Protocol, profiles: Any, asked: Iterator[Any], deadline: float) -> Any:
    """Fetches everybody at once, with a call for each."""
    calls = [(r, profiles.GetProfile.future(r, timeout=deadline)) for r in asked]
    end = time.monotonic() + deadline
    for request, call in calls:
        first = iter([call])

        def ask(left: float, request: Any = request, first: Iterator[Any] = first) -> Any:
            made = next(first, None)
            return made.result() if made else profiles.GetProfile(request, timeout=left)

        try:
            answer = patiently(protocol, end - time.monotonic(), ask)
            yield request.request_id, Fetched(answer)
        except grpc.RpcError as error:
            yield request.request_id, Fetched(refused=explain(protocol, error))


def fetch_stream(protocol: Protocol, profiles: Any, asked: Iterator[Any], args: Any) -> Any:
    """Fetches everybody over one stream, at most `args.window` at a time."""
    for answer in stream_profiles(protocol, profiles, asked, args.window, args.deadline):
        match answer.WhichOneof("outcome"):
            case "profile":
                yield answer.request_id, Fetched(answer.profile)
            case _:
                failure = answer.failure
                yield answer.request_id, Fetched(refused=f"{failure.reason}: {failure.message}")


def run(protocol: Protocol, arguments: argparse.Namespace) -> int:
    """Fetches everybody and scores each, in the order asked."""
    card = read_card(arguments.card)
    federation = json.loads(arguments.federation.read_text(encoding="utf-8"))
    people = arguments.subject or arguments.subjects.read_text(encoding="utf-8").split()
    order: list[str] = []

    def asked() -> Iterator[Any]:
        for request in requests(protocol, card, federation, people):
            order.append(request.request_id)
            yield request

    with connect(federation, arguments.consumer) as channel:
        profiles = protocol.profile_grpc.ProfileServiceStub(channel)
        if arguments.stream:
            fetching = fetch_stream(protocol, profiles, asked(), arguments)
        else:
            fetching = fetch_unary(protocol, profiles, asked(), arguments.deadline)
        results, complete = {}, True
        for request_id, fetched in fetching:
            if fetched.answer is None:
                results[request_id] = score(card, {}) | {"refused": fetched.refused}
                complete = False
            else:
                results[request_id] = score(card, known_of(fetched.answer))
                complete = complete and is_complete(protocol, fetched.answer)
    in_order = [results[request_id] for request_id in order]
    if arguments.json:
        print(json.dumps(in_order, indent=2, ensure_ascii=False))
    else:
        for result in in_order:
            show(result)
    refused = [result["refused"] for result in in_order if "refused" in result]
    if refused and len(refused) == len(in_order):
        raise ValueError(refused[0])
    return 0 if complete else PARTIAL


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--federation", type=Path, required=True, help="federation.json of a running demo")
    add("--consumer", default="", metavar="NAME", help="whom to be, by the end of its id")
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--subject", action="append", metavar="N", help="whom to score; repeat")
    whom.add_argument("--subjects", type=Path, metavar="FILE", help="whom to score, one a line")
    add("--stream", action="store_true", help="ask over one stream, not a call for each")
    add("--window", type=int, default=64, metavar="N", help="on the stream at a time (64)")
    add("--card", type=Path, default=CARD, metavar="FILE", help="the score card (score_card.toml)")
    add("--deadline", type=float, default=2.0, metavar="S", help="seconds to wait (2)")
    add("--json", action="store_true", help="print the results as JSON")
    arguments = parser.parse_args()
    if arguments.window < 1:
        parser.error("--window is at least 1")
    return arguments


def main() -> int:
    """Runs the program; returns its exit code."""
    arguments = parse_arguments()
    try:
        protocol = Protocol()
        try:
            return run(protocol, arguments)
        except grpc.RpcError as error:
            raise ValueError(explain(protocol, error)) from error
    except KeyError as error:
        print(f"error: the federation or the card lacks {error}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
