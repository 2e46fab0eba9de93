"""Answers requests, one line of JSON each, on standard input: `make` writes a Parquet file, `compare` compares."""
import csv
import json
import sys
import traceback

import compare
import destinations
import parquet
import sources

sys.setrecursionlimit(20_000)


def answer(request):
    if request["op"] == "make":
        parquet.make(request["path"], request["spec"])
        return {}
    if request["op"] == "read":
        try:
            table = sources.read(request["source"])
        except sources.Invalid as error:
            return {"invalid": str(error)}
        answer.source = table
        return {"names": table.names, "rows": len(table.rows)}
    try:
        there, kinds = destinations.read(request["destination"])
    except (ValueError, UnicodeError, csv.Error) as error:
        return {"problems": [{"kind": "unreadable destination", "detail": str(error)}]}
    if answer.source.doubled and request["destination"]["form"] != "jsonl":
        return {"problems": [{"kind": "two members of one name", "detail": "a record has them, and none was refused"}]}
    return {"problems": compare.differences(answer.source, there, kinds, request["byName"])}


for line in sys.stdin:
    try:
        result = answer(json.loads(line))
    except Exception:  # The caller reports it with the seed.
        result = {"error": traceback.format_exc()}
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
