"""What changed from one file to another, by a join in DuckDB: python3 snapshot_diff.py YESTERDAY TODAY.

Prints one line of JSON: rows that differ, seconds by the wall clock and of the processors, peak memory in KiB.
"""

import json
import re
import sys
import time

try:
    import duckdb
except ImportError:
    sys.exit("DuckDB for Python is missing; install it: python3 -m pip install duckdb==2.0.0")

yesterday, today = sys.argv[1:]
began, processor = time.perf_counter(), time.process_time()
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")
columns = [name for name, *_ in connection.execute(
    "DESCRIBE SELECT * FROM read_csv(?, all_varchar = true)", [today]).fetchall()]
key, *rest = columns
differs = " OR ".join(f'old."{name}" IS DISTINCT FROM new."{name}"' for name in rest)
changed = connection.execute(
    f"""
    SELECT coalesce(old."{key}", new."{key}"), new.*
    FROM read_csv(?, all_varchar = true) AS old
    FULL OUTER JOIN read_csv(?, all_varchar = true) AS new ON old."{key}" = new."{key}"
    WHERE old."{key}" IS NULL OR new."{key}" IS NULL OR {differs}
    """,
    [yesterday, today],
).fetchall()
wall, processor = time.perf_counter() - began, time.process_time() - processor
peak = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())
print(json.dumps({"rows": len(changed), "wall": wall, "processor": processor, "peak_kib": int(peak.group(1))}))
