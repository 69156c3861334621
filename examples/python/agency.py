#!/usr/bin/env python3
"""A SourceService over an SQLite file: each table is a query, its columns are columns.

    agency.py LISTEN DATABASE      such as: agency.py unix:run/source.sock data/work.db

Runs beside `tributary agency` with [source.grpc], which keeps every rule: grants,
policy, types, audit. Here are only rows, for whoever may open the socket.
"""

import os
import sqlite3
import sys
from concurrent import futures
from contextlib import closing
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).resolve().parents[2] / "proto"))
pb, services = grpc.protos_and_services("tributary/v1/source.proto")
MAX_SUBJECTS = 512
KINDS = {"INTEGER": pb.COLUMN_KIND_INTEGER, "REAL": pb.COLUMN_KIND_REAL, "TEXT": pb.COLUMN_KIND_TEXT}


class Source(services.SourceServiceServicer):
    """Answers from one SQLite file, opened read-only for each call."""

    def __init__(self, database):
        self.address = f"{Path(database).resolve().as_uri()}?mode=ro"

    def open(self):
        return closing(sqlite3.connect(self.address, uri=True))

    def columns(self, db, table):
        """The columns of a table; none if there is no such table."""
        found = db.execute("select name, type from pragma_table_info(?)", [table])
        return {name: KINDS.get(kind.upper(), 0) for name, kind in found}

    def cell(self, value):
        """A value as a cell: the member of its type, or none for NULL."""
        kinds = {int: "integer", float: "real", str: "text"}
        return pb.SourceCell(**({} if value is None else {kinds[type(value)]: value}))

    def DescribeSource(self, request, context):
        with self.open() as db:
            tables = db.execute("select name from sqlite_schema where type = 'table' order by name")
            queries = [(table, self.columns(db, table).items()) for (table,) in tables.fetchall()]
        queries = [
            {"name": table, "columns": [{"name": name, "kind": kind} for name, kind in columns]}
            for table, columns in queries
        ]
        return pb.DescribeSourceResponse(queries=queries, max_subjects=MAX_SUBJECTS)

    def FetchRows(self, request, context):
        if len(request.subjects) > MAX_SUBJECTS:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too many subjects")
        try:
            with self.open() as db:
                known = self.columns(db, request.query)
                if not request.columns or not all(name in known for name in request.columns):
                    context.abort(grpc.StatusCode.NOT_FOUND, "no such query or column")
                # Names are those of the schema; people are bound, never spliced.
                names = [f'"{name}"' for name in request.columns]
                places = ", ".join("?" * len(request.subjects))
                sql = f'select {", ".join(names)} from "{request.query}"'
                sql += f" where {names[0]} in ({places})"
                rows = db.execute(sql, list(request.subjects)).fetchall()
        except sqlite3.Error:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the database cannot be read")
        return pb.FetchRowsResponse(rows=[{"cells": map(self.cell, row)} for row in rows])


def serve(source, listen):
    """Serves until interrupted. The socket is for this user alone."""
    os.umask(0o077)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    services.add_SourceServiceServicer_to_server(source, server)
    server.add_insecure_port(listen)
    server.start()
    print(f"listening on {listen}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    serve(Source(sys.argv[2]), sys.argv[1])
