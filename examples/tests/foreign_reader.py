#!/usr/bin/env python3
"""Dumps the state of a host's folder as JSON, read with tools that are not ours: sqlite3, csv, json, hashlib.

    foreign_reader.py FOLDER [everything | outcome | targets]

`everything` has the plans, the journal and the history, for runs of one plan; `outcome` what any number of plans came
to; `targets` what the targets alone hold. It ends with a complaint when something is there that must never be: an open
intent, a broken chain, an account, a name or an edge twice.

What differs between two runs that came to the same end is left out: ids, times, versions and attempt counts. People and
their accounts are called by the key of their source record.
"""
import collections
import csv
import hashlib
import json
import os
import sqlite3
import sys

FOLDER = sys.argv[1]
PART = sys.argv[2] if len(sys.argv) > 2 else "everything"
store = sqlite3.connect(f"file:{FOLDER}/provision.db?mode=ro", uri=True)


def bodies(table):
    return [json.loads(body) for (body,) in store.execute(f'SELECT body FROM "{table}"')]


def refuse_twice(what, things):
    twice = [thing for thing, count in collections.Counter(things).items() if count > 1]
    if twice:
        sys.exit(f"{what} twice: {twice[:5]}")


def log_entries(generation):
    """What the log beside the state file adds to it; an older log and a torn last line add nothing."""
    path = f"{FOLDER}/directory.json.log"
    lines = open(path, "rb").read().split(b"\n") if os.path.exists(path) else []
    lines.pop() if lines else None
    entries = []
    for number, line in enumerate(lines):
        checksum, _, body = line.partition(b" ")
        if hashlib.sha256(body).hexdigest()[:16].encode() != checksum:
            if number + 1 == len(lines):
                break
            sys.exit(f"line {number + 1} of the log is not whole")
        entries.append(json.loads(body))
    return entries[1:] if entries and entries[0] == generation else []


def directory():
    """The directory's objects by name, and its edges by the names of group and member."""
    if not os.path.exists(f"{FOLDER}/directory.json"):
        return {}
    with open(f"{FOLDER}/directory.json", encoding="utf-8") as file:
        content = json.load(file)
    things = {thing["number"]: (kind, thing) for kind, thing in content["objects"]}
    edges = {(int(group), member) for group, members in content["members"].items() for member in members}
    for entry in log_entries(content["generation"]):
        ((change, of),) = entry.items()
        if change == "put":
            things[of["object"]["number"]] = (of["class"], of["object"])
        elif change == "remove":
            things.pop(of["number"])
            edges = {edge for edge in edges if of["number"] not in edge}
        else:
            edges -= {(of["group"], member) for member in of["remove"]}
            edges |= {(of["group"], member) for member in of["add"]}
    name = {number: thing["attributes"]["dn"][0] for number, (_, thing) in things.items()}
    refuse_twice("an object", name.values())
    users = [thing["attributes"] for kind, thing in things.values() if kind == "user"]
    for attribute in ("employeeNumber", "sAMAccountName"):
        refuse_twice(attribute, (user[attribute][0].lower() for user in users if attribute in user))
    objects = {
        name[number]: {"class": kind, "attributes": thing["attributes"], "enabled": thing["enabled"]}
        for number, (kind, thing) in things.items()
    }
    return {"objects": objects, "edges": sorted([name[group], name[member]] for group, member in edges)}


def badges():
    path = f"{FOLDER}/badges.csv"
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    refuse_twice("a badge", (row[0] for row in rows))
    return sorted(rows)


def check_journal(entries, audit):
    unended = [entry["step"] for entry in entries if entry["state"] in ("intent", "waiting", "pending")]
    if unended:
        sys.exit(f"steps that have not ended: {unended[:5]}")
    done = [entry for entry in audit if entry["event"].startswith("step.") and entry["event"].endswith(".done")]
    refuse_twice("a step is done", ((entry["plan"], entry["step"]) for entry in done))


def check_chain():
    """Every sealed range has the hash that the seal says, and follows the one before."""
    before, last = "", 0
    for number, (body,) in enumerate(store.execute("SELECT body FROM seal ORDER BY key").fetchall(), 1):
        seal = json.loads(body)
        digest, count = hashlib.sha256(before.encode()), 0
        span = (seal["after"], seal["last"])
        for entry, text in store.execute(
            "SELECT number, body FROM audit WHERE number > ? AND number <= ? ORDER BY number", span
        ):
            raw = text.encode()
            digest.update(entry.to_bytes(8, "big") + len(raw).to_bytes(8, "big") + raw)
            count += 1
        if (seal["number"], seal["after"], seal["count"], seal["hash"]) != (number, last, count, digest.hexdigest()):
            sys.exit(f"seal {number} is not whole")
        before, last = seal["hash"], seal["last"]


def told(entry):
    return entry["event"].startswith(("step.", "identity."))


def state():
    targets = {"directory": directory(), "badges": badges()}
    if PART == "targets":
        return targets
    check_chain()
    journal, audit = bodies("journal"), bodies("audit")
    check_journal(journal, audit)
    identities = bodies("identity")
    refuse_twice("a person", (identity["key"] for identity in identities))
    key = {identity["id"]: identity["key"] for identity in identities}
    link_key, links = {}, []
    for link in bodies("link"):
        who = key[link["subject"]["identity"]]
        link_key[link["id"]] = f"{link['target']}/{who}"
        links.append({
            "of": f"{link['target']}/{link['class']}/{who}", "state": link["state"], "enabled": link["enabled"],
            "name": (link["key"] or {}).get("name"), "applied": link["applied"],
        })
    refuse_twice("a link", (link["of"] for link in links))
    names = [
        [name["namespace"], name["scope"], name["name"], key.get(name["owner"]), name["state"]["state"]]
        for name in bodies("name")
    ]
    refuse_twice("a name", ((name[0], name[1], name[2].lower()) for name in names))
    memberships = [
        [link_key[edge["link"]], edge["group"], edge["desired"], edge["applied"]] for edge in bodies("membership")
    ]
    outcome = {
        **targets,
        "identities": {i["key"]: [i["attributes"], i["employment"], i["version"]] for i in identities},
        "links": links,
        "names": names,
        "memberships": memberships,
    }
    if PART == "outcome":
        return outcome
    return {
        **outcome,
        "plans": [[plan["state"], plan["steps"]] for plan in bodies("plan") if plan["steps"]],
        "journal": [{"step": entry["step"], "state": entry["state"]} for entry in journal],
        "audit": [[entry["event"], key.get(entry.get("identity")), entry.get("target")] for entry in filter(told, audit)],
    }


def main():
    found = state()
    for part, rows in found.items():
        if isinstance(rows, list):
            found[part] = sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
    json.dump(found, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)


main()
