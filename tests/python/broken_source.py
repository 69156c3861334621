#!/usr/bin/env python3
"""The example source with one thing broken in each variant, for tests of the kit.

    broken_source.py FOLDER DATABASE     serves every variant at FOLDER/VARIANT.sock

Prints each variant's name once it listens; ends when its standard input ends.
"""

import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples/python"))
import agency  # noqa: E402
from agency import pb  # noqa: E402

REFUSED = grpc.StatusCode.NOT_FOUND


class Honest(agency.Source):
    """Breaks nothing."""


class SilentDescription(agency.Source):
    def DescribeSource(self, request, context):
        time.sleep(12)
        return super().DescribeSource(request, context)


class Described(agency.Source):
    """Changes what is described."""

    def DescribeSource(self, request, context):
        return self.change(super().DescribeSource(request, context))


class QueryTwice(Described):
    def change(self, described):
        described.queries.append(described.queries[0])
        return described


class SubjectAlone(Described):
    def change(self, described):
        del described.queries[0].columns[1:]
        return described


class NewDescription(Described):
    calls = 0

    def change(self, described):
        self.calls += 1
        described.max_subjects += self.calls
        return described


class UnknownKind(Described):
    def change(self, described):
        described.queries[0].columns[1].kind = 99
        return described


class Rows(agency.Source):
    """Changes the rows of an answer."""

    def FetchRows(self, request, context):
        answer = super().FetchRows(request, context)
        self.change(answer.rows, request)
        return answer


class ForeignRow(Rows):
    def change(self, rows, request):
        if rows:
            rows.add().CopyFrom(rows[0])
            rows[-1].cells[0].text = "900000000000000099"


class DuplicateRow(Rows):
    def change(self, rows, request):
        if rows:
            rows.add().CopyFrom(rows[0])


class PaddedSubject(Rows):
    def change(self, rows, request):
        for row in rows:
            row.cells[0].text += " "


class NumericSubject(Rows):
    def change(self, rows, request):
        for row in rows:
            row.cells[0].integer = int(row.cells[0].text)


class CellMissing(Rows):
    def change(self, rows, request):
        for row in rows:
            del row.cells[-1]


class OrderIgnored(Rows):
    def change(self, rows, request):
        order = sorted(range(1, len(request.columns)), key=lambda at: request.columns[at])
        for row in rows:
            cells = [row.cells[0], *(row.cells[at] for at in order)]
            cells = [pb.SourceCell.FromString(cell.SerializeToString()) for cell in cells]
            del row.cells[:]
            row.cells.extend(cells)


class NumbersAsText(Rows):
    def change(self, rows, request):
        for cell in (cell for row in rows for cell in row.cells):
            if cell.WhichOneof("kind") == "integer":
                cell.text = str(cell.integer)


class NotANumber(Rows):
    def change(self, rows, request):
        for cell in (cell for row in rows for cell in row.cells):
            if cell.WhichOneof("kind") == "real":
                cell.real = float("nan")


class ControlCharacter(Rows):
    def change(self, rows, request):
        for row in rows:
            for name, cell in zip(request.columns, row.cells):
                if name == "sector":
                    cell.text += "\x07"


class NoSuchDay(Described, Rows):
    def change(self, rows, request=None):
        if request is None:
            for column in (c for query in rows.queries for c in query.columns):
                if column.name.endswith("_on"):
                    column.kind = pb.COLUMN_KIND_DATE
            return rows
        for row in rows:
            for name, cell in zip(request.columns, row.cells):
                if name.endswith("_on"):
                    cell.text = "0000-00-00"
        return None


class Restless(Rows):
    calls = 0

    def change(self, rows, request):
        self.calls += 1
        for row in rows:
            for name, cell in zip(request.columns, row.cells):
                if name == "level":
                    cell.integer = self.calls


class WrongValue(Rows):
    def change(self, rows, request):
        for row in rows:
            for name, cell in zip(request.columns, row.cells):
                if name == "level":
                    cell.integer += 1


class Asked(agency.Source):
    """Changes the question before it is answered."""

    def FetchRows(self, request, context):
        return super().FetchRows(self.change(request), context)


class Trimming(agency.Source):
    """Trims what it is asked for, and answers in its own form."""

    def FetchRows(self, request, context):
        trimmed = sorted({subject.strip(" ") for subject in request.subjects})
        del request.subjects[:]
        request.subjects.extend(trimmed)
        return super().FetchRows(request, context)


class FirstTen(Asked):
    def change(self, request):
        del request.subjects[10:]
        return request


class EveryoneForNobody(Asked):
    def change(self, request):
        if not request.subjects:
            request.subjects.extend(["900000000000000011", "900000000000000027"])
        return request


class Spliced(agency.Source):
    """Builds its statement out of the subjects."""

    def FetchRows(self, request, context):
        with self.open() as db:
            known = self.columns(db, request.query)
            if not request.columns or not all(name in known for name in request.columns):
                context.abort(REFUSED, "no such query or column")
            names = ", ".join(request.columns)
            found = []
            for subject in request.subjects:
                sql = f"select {names} from {request.query} where person_id = '{subject}'"
                try:
                    found += db.execute(sql).fetchall()
                except Exception:  # a statement that is none has no rows
                    pass
        rows = [{"cells": map(self.cell, row)} for row in found]
        return pb.FetchRowsResponse(rows=rows)


class UnknownQueryEmpty(agency.Source):
    def FetchRows(self, request, context):
        with self.open() as db:
            if not self.columns(db, request.query):
                return pb.FetchRowsResponse()
        return super().FetchRows(request, context)


class UnknownColumnNull(agency.Source):
    def FetchRows(self, request, context):
        with self.open() as db:
            known = self.columns(db, request.query)
        wanted = list(request.columns)
        if not known or not wanted:
            context.abort(REFUSED, "no such query or column")
        del request.columns[:]
        request.columns.extend(name for name in wanted if name in known)
        answer = super().FetchRows(request, context)
        for row in answer.rows:
            cells = dict(zip(request.columns, row.cells))
            cells = [cells.get(name, pb.SourceCell()) for name in wanted]
            cells = [pb.SourceCell.FromString(cell.SerializeToString()) for cell in cells]
            del row.cells[:]
            row.cells.extend(cells)
        return answer


class Talkative(agency.Source):
    def FetchRows(self, request, context):
        with self.open() as db:
            known = self.columns(db, request.query)
        if not all(name in known for name in request.columns):
            context.abort(REFUSED, f"cannot look up {', '.join(request.subjects)}")
        return super().FetchRows(request, context)


class WithoutBound(agency.Source):
    def FetchRows(self, request, context):
        subjects = list(request.subjects)
        rows = []
        for at in range(0, max(len(subjects), 1), agency.MAX_SUBJECTS):
            del request.subjects[:]
            request.subjects.extend(subjects[at : at + agency.MAX_SUBJECTS])
            rows.extend(super().FetchRows(request, context).rows)
        return pb.FetchRowsResponse(rows=rows)


class NobodyIsAnError(agency.Source):
    def FetchRows(self, request, context):
        answer = super().FetchRows(request, context)
        if request.subjects and not answer.rows:
            context.abort(REFUSED, "nobody")
        return answer


class AllOrNothing(agency.Source):
    def FetchRows(self, request, context):
        answer = super().FetchRows(request, context)
        if len(answer.rows) < len(request.subjects):
            return pb.FetchRowsResponse()
        return answer


class Mixing(agency.Source):
    """Keeps the question where the next call overwrites it."""

    question = None

    def FetchRows(self, request, context):
        self.question = request
        time.sleep(0.05)
        return super().FetchRows(self.question, context)


class Late(agency.Source):
    """Answers one person at once and a batch too late."""

    def FetchRows(self, request, context):
        if len(request.subjects) > 100:
            time.sleep(12)
        return super().FetchRows(request, context)


class GoesAway(agency.Source):
    """Is of no use after a call was cancelled."""

    broken = threading.Event()

    def FetchRows(self, request, context):
        if self.broken.is_set():
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        time.sleep(0.05)
        if not context.is_active():
            self.broken.set()
        return super().FetchRows(request, context)


BASES = {Described, Rows, Asked}


def variants(parent=agency.Source):
    """Every class below, by name."""
    for kind in parent.__subclasses__():
        if kind not in BASES:
            yield kind.__name__, kind
        yield from variants(kind)


def main():
    """Serves each variant on a socket of its own."""
    folder, database = sys.argv[1:]
    servers = []
    for name, kind in sorted(dict(variants()).items()):
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
        agency.services.add_SourceServiceServicer_to_server(kind(database), server)
        server.add_insecure_port(f"unix:{folder}/{name}.sock")
        server.start()
        servers.append(server)
        print(name, flush=True)
    print("done", flush=True)
    sys.stdin.read()
    for server in servers:
        server.stop(None)


if __name__ == "__main__":
    main()
