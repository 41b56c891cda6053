# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""The bars, and the Markdown report of a file of results.

A file of results has one JSON object a line: the head of a run, and then what
one workload measured with one server in one round. The newest run of each
workload is reported, so that one of them can be measured again, of a newer
commit, without the others. A cell is the median of the rounds and their
spread; the ratio is restante's median to the better one of the others, above 1
where restante is better.
"""
import json
import statistics

# The ratio that is asked for, to the better one of the others.
RATIO = {
    "deliver 4 KiB, 1 connection": 2,
    "deliver 4 KiB, 8 connections": 8,
    "deliver 4 KiB, 64 connections": 10,
    "append 4 KiB, 1 connection": 1.5,
    "append 4 KiB, 8 connections": 3,
    "append 4 KiB, 64 connections": 4,
    "multiappend 4 KiB, 100 a command": 3,
    "pop3 drain 4 KiB, 8 connections": 1.5,
    "pop3 drain, mixed, TLS, 4 connections": 2,
    "pop3 drain and delete 4 KiB, 8 connections": 3,
    "bodies, 4 KiB": 1.5,
    "bodies, mixed": 1,
    "bodies, mixed, TLS": 2,
    "one 3 MiB part": 1,
    "one 3 MiB part, TLS": 2,
    "summary of 10k, first": 30,
    "summary of 10k, repeated": 10,
    "summary of 100k, first": 30,
    "summary of 100k, repeated": 10,
    "header fields that are stored, first": 10,
    "header fields that are stored, repeated": 3,
    "other header fields, repeated": 0.6,
    "select of 100k, warm": 1.5,
    "select of 100k, after restart": 3,
    "flags one by one, 1 connection, own mailboxes": 0.25,
    "flags one by one, 8 connections, own mailboxes": 0.6,
    "flags one by one, 64 connections, own mailboxes": 1.5,
    "flags one by one, 8 connections, mail_fsync=always": 3,
    "STORE 1:* of 10k": 2,
    "copy of 10k": 10,
    "move of 10k, and back": 10,
    "search FROM of 10k, first": 20,
    "search SUBJECT of 10k, first": 20,
    "search SENTSINCE of 10k, first": 20,
    "search HEADER X-Mailer of 10k, first": 4,
    "search BODY of 10k, first": 3,
    "search TEXT of 10k, first": 3,
    "logins, plaintext, 8 connections": 4,
    "logins, TLS, 8 connections": 2.5,
    "mix, 8 connections": 4,
    "opening idle connections, plaintext": 10,
    "from the 250 to EXISTS": 20,
    "from the 250 to EXISTS, burst of 100": 50,
}
# A figure of restante's own that must not be more.
MOST = {
    "idle, memory of a connection, plaintext": 2,
    "idle, memory of a connection, TLS": 24,
    "bytes on disk a byte, list mail": 0.55,
    "bytes on disk a byte, list mail of the corpus": 0.55,
    "bytes on disk a byte, mail with attachments": 0.80,
}
# Server CPU of an operation, of that of the better other one; rows that begin
# so. The first that fits is taken.
CPU = (("deliver 4 KiB", 1 / 3), ("append", 1 / 3), ("multiappend", 1 / 3), ("mix,", 1 / 3),
       ("logins, plaintext", 1 / 3), ("logins, TLS", 1 / 3), ("pop3 drain and", 1 / 3),
       ("pop3 drain", 1 / 2), ("bodies", 1 / 2))

LIMITS = (
    ("loopback, one connection", "loopback_MBps", "MB/s"),
    ("loopback, there and back", "loopback_turns_per_s", "/s"),
    ("flushes of 4 KiB, 1 in flight", "flushes_per_s_1", "/s"),
    ("flushes of 4 KiB, 4 in flight", "flushes_per_s_4", "/s"),
    ("flushes of 4 KiB, 16 in flight", "flushes_per_s_16", "/s"),
    ("one flush, 1 in flight", "flush_ms_1", "ms"),
    ("one flush, 4 in flight", "flush_ms_4", "ms"),
    ("one flush, 16 in flight", "flush_ms_16", "ms"),
    ("memcpy", "memcpy_MBps", "MB/s"),
    ("zstd -1 of single messages, compressing", "zstd_compress_MBps", "MB/s"),
    ("zstd, decompressing", "zstd_decompress_MBps", "MB/s"),
    ("zstd -1, what is left of a message", "zstd_ratio", ""),
    ("AES-128-GCM, records of 16 KiB", "aes_128_gcm_MBps", "MB/s"),
    ("AES-256-GCM", "aes_256_gcm_MBps", "MB/s"),
)


def short(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}"


def read(path):
    """The records of a file: a list of (head, [records of that run])."""
    runs = []
    with open(path) as f:
        for x in f:
            try:
                r = json.loads(x)
            except ValueError:
                continue        # cut off in the middle
            if "head" in r:
                runs.append((r["head"], []))
            elif runs:
                runs[-1][1].append(r)
    return runs


def newest(runs):
    """{workload: (head, records)} of the newest run that measured it."""
    out = {}
    for head, records in runs:
        here = {}
        for r in records:
            here.setdefault(r["workload"], []).append(r)
        for w, rs in here.items():
            if w not in out or any(x["rows"] for x in rs):
                out[w] = (head, rs)
    return out


class Row:
    """What all rounds measured for one row of the table."""

    def __init__(self, first):
        self.name, self.unit, self.less = first["row"], first["unit"], first["less"]
        self.value, self.cpu, self.own, self.found = {}, {}, 0, {}

    def add(self, server, r):
        self.value.setdefault(server, []).append(r["value"])
        if r.get("cpu") is not None:
            self.cpu.setdefault(server, []).append(r["cpu"])
            self.own = max(self.own, r["own"])
        if "found" in r:
            self.found.setdefault(r["found"], set()).add(server)

    def medians(self, of):
        return {s: statistics.median(v) for s, v in of.items()}

    def ratio(self, servers):
        med = self.medians(self.value)
        theirs = [med[s] for s in servers[1:] if s in med]
        if servers[0] not in med or not theirs or not med[servers[0]]:
            return None
        mine = med[servers[0]]
        return min(theirs) / mine if self.less else mine / max(theirs)

    def cpu_ratio(self, servers):
        med = self.medians(self.cpu)
        theirs = [med[s] for s in servers[1:] if s in med]
        return med[servers[0]] / min(theirs) if med.get(servers[0]) and theirs and min(theirs) > 0 else None

    def mark(self, servers):
        """[what is asked for, and whether it is met]"""
        out = []
        r, c = self.ratio(servers), self.cpu_ratio(servers)
        mine = self.medians(self.value).get(servers[0])
        word = {True: "met", False: "**missed**"}
        if self.name in RATIO and r is not None:
            out.append(f"×{RATIO[self.name]:g} {word[r >= RATIO[self.name]]}")
        if self.name in MOST and mine is not None:
            out.append(f"≤ {MOST[self.name]:g} {word[mine <= MOST[self.name]]}")
        bar = next((b for k, b in CPU if self.name.startswith(k)), None)
        if bar and c is not None:
            out.append(f"CPU {bar:.2f} {word[c <= bar]}")
        return out


def rows_of(records):
    rows, failed = {}, []
    for r in records:
        if r.get("failed"):
            failed.append(f"{r['workload']}, round {r['round']}: {r['failed']}")
        for x in r["rows"]:
            rows.setdefault(x["row"], Row(x)).add(r["server"], x)
    for row in rows.values():
        if len(row.found) > 1:
            failed.append(f"{row.name}: servers find differently: " + ", ".join(
                f"{k:.0f}: {' '.join(sorted(v))}" for k, v in row.found.items()))
    return rows, failed


def title(row, quick):
    """--quick has a tenth of the messages, where a row's name says how many."""
    if not quick or row.name.startswith("select"):
        return row.name
    if " of 100k" in row.name:
        return row.name.replace(" of 100k", " of 10k")
    return row.name.replace(" of 10k", " of 1k")


def line(row, servers, quick):
    med, cpu = row.medians(row.value), row.medians(row.cpu)
    out = [title(row, quick)]
    for s in servers:
        v = row.value.get(s)
        out.append(f"{short(med[s])} {row.unit} ({short(min(v))}..{short(max(v))})" if v else "failed")
    if len(servers) > 1:
        r, c = row.ratio(servers), row.cpu_ratio(servers)
        out += [f"×{short(r)}" if r is not None else "", ", ".join(row.mark(servers))]
    out.append(" / ".join(short(cpu[s]) if cpu.get(s) else "—" for s in servers if s in cpu) + (" µs" if cpu else ""))
    if len(servers) > 1:
        out.append(f"{c:.2f}" if c is not None else "")
    out.append(f"{row.own:.0%}" if cpu else "")
    return "| " + " | ".join(out) + " |"


def brief(runs, order):
    """Only what is asked for, beside the better one of the others."""
    got = newest(runs)
    yield "| workload | restante | better Dovecot | ratio | asked for | CPU ratio |"
    yield "|---|---|---|---|---|---|"
    for w in order:
        if w not in got:
            continue
        h, records = got[w]
        servers = h["servers"]
        for row in rows_of(records)[0].values():
            marks, med = row.mark(servers), row.medians(row.value)
            if not marks:
                continue
            theirs = [med[s] for s in servers[1:] if s in med]
            best = (min if row.less else max)(theirs) if theirs else None
            r, c = row.ratio(servers), row.cpu_ratio(servers)
            cells = [title(row, h["quick"])] + [f"{short(x)} {row.unit}".strip() if x is not None else "—"
                                                for x in (med.get(servers[0]), best)]
            cells += [f"×{short(r)}" if r is not None else "", ", ".join(marks),
                      f"{c:.2f}" if c is not None else ""]
            yield "| " + " | ".join(cells) + " |"


def average(records, key):
    v = [r[key] for r in records if r.get(key) is not None]
    return f"{statistics.mean(v):.1f}" if v else "—"


def markdown(runs, order):
    """The lines of the report."""
    got = newest(runs)
    got = {w: got[w] for w in list(order) + [w for w in got if w not in order] if w in got}
    if not got:
        yield "Nothing was measured."
        return
    head = max((h for h, _ in got.values()), key=lambda h: h["started"])
    yield f"{head['machine']}; {head['versions']}."
    yield ""
    columns = list(dict.fromkeys(s for h, _ in got.values() for s in h["servers"]))
    cells = ["workload"] + columns + (["ratio", "asked for"] if len(columns) > 1 else [])
    cells += ["server CPU each"] + (["CPU ratio"] if len(columns) > 1 else []) + ["load's CPU"]
    yield "| " + " | ".join(cells) + " |"
    yield "|" + "---|" * len(cells)
    failed, met, missed = [], 0, []
    for h, records in got.values():
        rows, bad = rows_of(records)
        failed += bad
        for row in rows.values():
            yield line(row, columns, h["quick"])
            for m in row.mark(columns):
                met += m.endswith(" met")
                if m.endswith("**"):
                    missed.append(row.name + (" (CPU)" if m.startswith("CPU") else ""))
    if len(columns) > 1:
        yield ""
        yield f"{met} of {met + len(missed)} bars are met" + \
            (f"; missed: {'; '.join(missed)}." if missed else ".")
    yield ""
    yield from circumstances(got)
    if failed:
        yield ""
        yield "Failed:"
        yield ""
        yield from (f"- {x}" for x in failed)


def circumstances(got):
    yield "| measured | commit | when | rounds | others' CPU, in cores |"
    yield "|---|---|---|---|---|"
    for w, (h, records) in got.items():
        rounds = len({r["round"] for r in records if r["rows"]})
        commits = ", ".join(dict.fromkeys(r["commit"] for r in records))
        yield (f"| {w}{' (quick)' if h['quick'] else ''} | {commits} | {records[-1]['when']} | {rounds} |"
               f" {average(records, 'others')} |")
    limits = {}
    for h, _ in got.values():
        # At best: the smallest time, the largest rate.
        for k, v in h.get("limits", {}).items():
            limits[k] = min(v, limits.get(k, v)) if "_ms_" in k else max(v, limits.get(k, v))
    if limits:
        yield ""
        yield "| what the machine does | |"
        yield "|---|---|"
        for name, key, unit in LIMITS:
            if key in limits:
                yield f"| {name} | {short(limits[key])} {unit} |"
