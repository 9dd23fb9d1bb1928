#!/usr/bin/env python3
"""Dumps the state of a host's folder as JSON, read with tools that are not ours: sqlite3, csv, json.

What differs between two runs that came to the same end is left out: ids, times, versions and attempt counts. People and
their accounts are called by the key of their source record.
"""
import csv
import json
import os
import sqlite3
import sys

FOLDER = sys.argv[1]
store = sqlite3.connect(f"file:{FOLDER}/provision.db?mode=ro", uri=True)


def bodies(table):
    return [json.loads(body) for (body,) in store.execute(f'SELECT body FROM "{table}"')]


def directory():
    """The directory's objects by name, from its state file; members by the names of the accounts."""
    with open(f"{FOLDER}/directory.json", encoding="utf-8") as file:
        content = json.load(file)
    with open(f"{FOLDER}/directory.json.log", encoding="utf-8") as file:
        pending = file.read().splitlines()[1:]
    if pending:
        sys.exit(f"the state file has {len(pending)} changes in its log: compact it first")
    name = {thing["number"]: thing["attributes"]["dn"][0] for _, thing in content["objects"]}
    objects = {}
    for kind, thing in content["objects"]:
        key = thing["attributes"]["dn"][0]
        assert key not in objects, f"two objects are called {key}"
        objects[key] = {"class": kind, "attributes": thing["attributes"], "enabled": thing["enabled"]}
    edges = content.get("members", content.get("edges", []))
    return {"objects": objects, "edges": sorted([name[group], name[member]] for group, member in flat(edges))}


def flat(edges):
    """Pairs of group and member, however the file nests them."""
    pairs = []
    for entry in edges.items() if isinstance(edges, dict) else edges:
        group, members = entry[0], entry[1]
        for member in members if isinstance(members, list) else [members]:
            pairs.append((int(group), int(member)))
    return pairs


def badges():
    path = f"{FOLDER}/badges.csv"
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return sorted(csv.reader(file))


def main():
    key = {identity["id"]: identity["key"] for identity in bodies("identity")}
    link_key, links = {}, []
    for link in bodies("link"):
        who = key[link["subject"]["identity"]]
        link_key[link["id"]] = f"{link['target']}/{who}"
        links.append({
            "of": f"{link['target']}/{link['class']}/{who}", "state": link["state"], "enabled": link["enabled"],
            "name": (link["key"] or {}).get("name"), "applied": link["applied"],
        })
    journal = [{"step": entry["step"], "state": entry["state"]} for entry in bodies("journal")]
    audit = [
        [entry["event"], key.get(entry.get("identity")), entry.get("target")]
        for entry in bodies("audit") if entry["event"].startswith(("step.", "identity."))
    ]
    names = [
        [name["namespace"], name["scope"], name["name"], key.get(name["owner"]), name["state"]["state"]]
        for name in bodies("name")
    ]
    memberships = [
        [link_key[edge["link"]], edge["group"], edge["desired"], edge["applied"]] for edge in bodies("membership")
    ]
    state = {
        "directory": directory(),
        "badges": badges(),
        "identities": {i["key"]: [i["attributes"], i["employment"], i["version"]] for i in bodies("identity")},
        "links": links,
        "names": names,
        "memberships": memberships,
        "plans": [[plan["state"], plan["steps"]] for plan in bodies("plan") if plan["steps"]],
        "journal": journal,
        "audit": audit,
    }
    for part, rows in state.items():
        if isinstance(rows, list):
            state[part] = sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
    json.dump(state, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)


main()
