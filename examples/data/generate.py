#!/usr/bin/env python3
"""Writes the HR files and the directory seed that the examples use.

    python3 examples/data/generate.py           writes the files beside this script
    python3 examples/data/generate.py --check   fails if the committed files differ

Standard library only, and no random module: the same script gives the same bytes on every version of Python. The people
are made up. `examples/data/README.md` says who is who.
"""

import csv
import io
import json
import sys
import unicodedata
from pathlib import Path

import people

HERE = Path(__file__).resolve().parent
DAY_ONE, DAY_TWO, DAY_THREE = "2026-11-02", "2026-11-03", "2026-11-04"
COLUMNS = [
    "employee_id", "first_name", "middle_name", "last_name", "first_name_romanized", "last_name_romanized",
    "preferred_name", "full_name", "department", "title", "manager_id", "employment_type", "status", "hire_date",
    "end_date", "mobile", "location", "time_zone", "cost_center",
]
TRUNCATED_ROWS = 180
DOMAIN = "corp.example"
PEOPLE_BASE = "OU=People,DC=corp,DC=example"
GROUPS_BASE = "OU=Groups,DC=corp,DC=example"


class Dice:
    """splitmix64: the same numbers everywhere."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) % bound

    def pick(self, items):
        return items[self.below(len(items))]

    def chance(self, percent):
        return self.below(100) < percent


DICE = Dice(20261102)


def mobile(number):
    """A number of a range kept for fiction; one person in twelve has none."""
    if number % 12 == 7:
        return ""
    area, line = (202, 212, 303, 415, 512, 617, 702)[number // 100 % 7], 100 + number % 100
    return f"+1 {area} 555 0{line}" if number % 5 else f"+1{area}5550{line}"


def date(year, month, day):
    return f"{year:04}-{month:02}-{day:02}"


def some_date(first_year, last_year):
    return date(first_year + DICE.below(last_year - first_year + 1), 1 + DICE.below(12), 1 + DICE.below(28))


def row(number, **given):
    """A row with everything that is not given filled in."""
    department = given.get("department") or DICE.pick(people.DEPARTMENT_DRAW)
    location = given.pop("location", None) or DICE.pick(list(people.LOCATIONS))
    filled = dict.fromkeys(COLUMNS, "")
    filled.update(
        employee_id=str(number),
        department=department,
        title=DICE.pick(people.DEPARTMENTS[department]["titles"]),
        employment_type="employee",
        status="active",
        hire_date=some_date(2009, 2025),
        mobile=mobile(number),
        location=location,
        time_zone=people.LOCATIONS[location],
        cost_center=people.DEPARTMENTS[department]["cost_center"],
    )
    filled.update(given)
    return filled


def drawn_name(taken):
    """First and last name of one culture, as columns; never one that is taken."""
    while True:
        culture = DICE.pick(people.CULTURE_DRAW)
        pool = people.CULTURES[culture]
        first, last = DICE.pick(pool["first"]), DICE.pick(pool["last"])
        if pool.get("romanized"):
            (first, first_latin), (last, last_latin) = first.split("/"), last.split("/")
            names = dict(first_name=first, last_name=last, first_name_romanized=first_latin,
                         last_name_romanized=last_latin)
        else:
            names = dict(first_name=first, last_name=last)
        if (first, last) in taken:
            continue
        taken.add((first, last))
        if culture in ("english", "american", "portuguese") and DICE.chance(35):
            names["middle_name"] = DICE.pick(people.MIDDLE[culture])
        names["location"] = DICE.pick(pool["locations"])
        return names


def day_one():
    rows, taken = [], set()
    for given in people.SPECIAL:
        rows.append(row(people.FIRST_ID + len(rows), **given))
        taken.add((given.get("first_name", ""), given.get("last_name", "")))
    while len(rows) < 500:
        number = people.FIRST_ID + len(rows)
        rows.append(row(number, **drawn_name(taken)))
    by_id = {person["employee_id"]: person for person in rows}
    drawn = rows[len(people.SPECIAL):]
    for index, person in enumerate(drawn):
        if index % 11 == 3:  # contractors, all with an end
            person.update(employment_type="contractor", title="Contractor", hire_date=some_date(2025, 2025),
                          end_date=some_date(2027, 2027))
        elif index % 61 == 17:
            person.update(status="leave")
        if index % 47 == 5:
            person["preferred_name"] = person["first_name"][:3]
    for person, (hired, note) in zip(drawn[-10:], people.FUTURE_HIRES):
        person.update(employment_type="employee", status="active", hire_date=hired, end_date="", title=note)
    for employee_id, change in people.DAY_ONE_STANDING.items():
        by_id[employee_id].update(change)
    heads = {person["department"]: person["employee_id"] for person in rows[1:11]}
    leads = {name: [p["employee_id"] for p in drawn if p["department"] == name and p["status"] == "active"
                    and p["employment_type"] == "employee"][:3] for name in heads}
    for person in rows[1:]:
        own = person["employee_id"]
        if own in heads.values():
            person["manager_id"] = rows[0]["employee_id"]
        elif own in leads[person["department"]]:
            person["manager_id"] = heads[person["department"]]
        else:
            person["manager_id"] = (leads[person["department"]] + [heads[person["department"]]])[int(own) % 4]
    return rows


def moved(person, department, rows):
    """To another department: title, cost centre and manager follow."""
    head = next(p for p in rows[1:11] if p["department"] == department)
    person.update(department=department, title=people.DEPARTMENTS[department]["titles"][0],
                  cost_center=people.DEPARTMENTS[department]["cost_center"], manager_id=head["employee_id"])


def ordinary(rows):
    """Ids of drawn people about whom nothing is special and who manage no one, in order."""
    managers = {person["manager_id"] for person in rows}
    named = set(people.DAY_ONE_STANDING)
    return [p["employee_id"] for p in rows[len(people.SPECIAL):]
            if p["status"] == "active" and p["employment_type"] == "employee" and p["hire_date"] < DAY_ONE
            and not p["end_date"] and p["employee_id"] not in managers | named]


def day_two(first):
    rows = [dict(person) for person in first]
    by_id = {person["employee_id"]: person for person in rows}
    free = iter(ordinary(first)[40::9])
    for index in range(10):  # movers
        person = by_id[next(free)]
        names = list(people.DEPARTMENTS)
        moved(person, names[(names.index(person["department"]) + 1 + index % 4) % len(names)], rows)
    for _ in range(3):  # leavers by status
        by_id[next(free)].update(status="terminated", end_date=DAY_ONE)
    for _ in range(2):  # leavers by date alone
        by_id[next(free)].update(end_date=DAY_ONE)
    gone = next(free)  # a row that is simply missing: a candidate leaver
    by_id[next(free)].update(last_name="Lindqvist-Osei")  # a surname change
    for title in ("Principal Engineer", "Team Lead", "Senior Specialist"):
        by_id[next(free)].update(title=title)
    by_id[next(free)].update(status="leave")
    by_id[next(free)].update(mobile="")  # a cell that is cleared
    by_id[people.REHIRE].update(status="active", hire_date=DAY_TWO, end_date="")
    contractors = [p for p in rows if p["employment_type"] == "contractor" and p["end_date"] > "2027"]
    contractors[0].update(employment_type="employee", end_date="", title="Specialist")
    contractors[1].update(end_date="2027-12-31")
    back = next(p for p in rows if p["status"] == "leave")
    back.update(status="active")
    rows = [person for person in rows if person["employee_id"] != gone]
    heads = {person["department"]: person["employee_id"] for person in first[1:11]}
    for index, given in enumerate(people.JOINERS):
        joiner = row(people.FIRST_ID + 500 + index, **{"hire_date": DAY_TWO, **given})
        joiner["manager_id"] = heads[joiner["department"]]
        rows.append(joiner)
    return rows


def day_three(second):
    """Two more changes, and the file breaks off after a whole row: only its size gives it away."""
    rows = [dict(person) for person in second]
    by_id = {person["employee_id"]: person for person in rows}
    free = ordinary(rows)
    by_id[free[2]].update(title="Senior Analyst")
    by_id[free[5]].update(status="leave")
    return rows[:TRUNCATED_ROWS]


def plain(text):
    """Letters and digits of a Latin name, without marks."""
    folded = text.translate(str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "ß": "ss", "ı": "i", "đ": "d", "Đ": "D"}))
    folded = unicodedata.normalize("NFKD", folded)
    return "".join(c for c in folded if c.isascii() and c.isalnum()).lower()


def distinguished_name(person):
    ou = people.DEPARTMENTS[person["department"]]["ou"]
    return f"CN={person['first_name']} {person['last_name']},OU={ou},{PEOPLE_BASE}"


def account(person, number=True, **changes):
    """The account that an administrator made by hand for a person."""
    first, last = plain(person["first_name"]), plain(person["last_name"])
    login = last[:19] + first[:1]
    name = f"{person['first_name']} {person['last_name']}"
    attributes = {
        "sAMAccountName": login,
        "userPrincipalName": f"{login}@{DOMAIN}",
        "cn": name,
        "dn": distinguished_name(person),
        "givenName": person["first_name"],
        "sn": person["last_name"],
        "displayName": name,
        "mail": f"{first}.{last}@{DOMAIN}",
        "title": person["title"],
        "department": person["department"],
        "employeeNumber": person["employee_id"] if number else "",
        "mobile": person["mobile"],
        "extensionAttribute10": person["cost_center"],
        "manager": "",
    }
    attributes.update(changes)
    return {"class": "user", "attributes": attributes, "enabled": True}


def stray(login, name, ou, enabled=True, **attributes):
    """An account that belongs to nobody in HR."""
    own = {"sAMAccountName": login, "userPrincipalName": f"{login}@{DOMAIN}", "cn": name,
           "dn": f"CN={name},{ou}", "displayName": name}
    own.update(attributes)
    return {"class": "user", "attributes": own, "enabled": enabled}


def seed_accounts(rows):
    by_id = {person["employee_id"]: person for person in rows}
    latin = [i for i in ordinary(rows)
             if (by_id[i]["first_name"] + by_id[i]["last_name"]).isascii() and " " not in by_id[i]["last_name"]]
    on_leave = next(p["employee_id"] for p in rows if p["status"] == "leave" and p["first_name"].isascii()
                    and p["last_name"].isascii())
    contractor = next(p["employee_id"] for p in rows if p["employment_type"] == "contractor"
                      and p["first_name"].isascii() and p["last_name"].isascii())
    by_login, chosen = {}, []
    for employee_id in ["1001", "1002", people.REHIRE, on_leave, contractor] + latin[::3]:
        login = account(by_id[employee_id])["attributes"]["sAMAccountName"]
        if login not in by_login and login != people.OCCUPIED_LOGIN:
            by_login[login] = employee_id
            chosen.append(employee_id)
    linked, by_name = chosen[:30], chosen[30:35]
    accounts = [account(by_id[employee_id]) for employee_id in linked]
    for index, entry in enumerate(accounts):  # what people forget to keep up by hand
        if index % 5 == 3:
            entry["attributes"]["title"] = "Employee"
        if index % 7 == 5:
            entry["attributes"]["mobile"] = ""
    accounts[-1]["enabled"] = False
    with_account = dict(zip(linked, accounts))
    for employee_id, entry in with_account.items():
        boss = with_account.get(by_id[employee_id]["manager_id"])
        entry["attributes"]["manager"] = boss["attributes"]["dn"] if boss else ""
    accounts += [account(by_id[employee_id], number=False) for employee_id in by_name[:3]]
    # Two without mail: only the name says who it might be.
    accounts += [account(by_id[employee_id], number=False, mail="", sAMAccountName=f"u{employee_id}",
                         userPrincipalName=f"u{employee_id}@{DOMAIN}") for employee_id in by_name[3:]]
    services = "OU=Services,DC=corp,DC=example"
    accounts += [
        stray("adm-breakglass", "Break Glass", "OU=Admins,DC=corp,DC=example"),
        stray("svc-backup", "Backup Service", services),
        stray("svc-scanner", "Floor Scanners", services),
        stray("kiosk-lobby", "Lobby Kiosk", services, enabled=False),
        # Holds the login that Ngozi Okafor, who has no account yet, would get.
        stray(people.OCCUPIED_LOGIN, "Okafor Notary Mailbox", services, mail=f"notary@{DOMAIN}"),
    ]
    for entry in accounts:
        entry["attributes"] = {name: value for name, value in entry["attributes"].items() if value}
    return accounts


def seed_groups(accounts):
    """Staff, Contractors, one group per department, and the privileged one."""
    def group(name, description, members):
        return {"class": "group", "attributes": {"cn": name, "dn": f"CN={name},{GROUPS_BASE}",
                                                 "description": description}, "members": members}

    people_dns = [(e["attributes"]["dn"], e["attributes"]) for e in accounts if "employeeNumber" in e["attributes"]]
    contractors = [dn for dn, a in people_dns if a["title"] == "Contractor"]
    staff = [dn for dn, _ in people_dns if dn not in contractors]
    groups = [group("Staff", "Everyone employed", staff), group("Contractors", "Everyone contracted", contractors)]
    for name in people.DEPARTMENTS:
        members = [dn for dn, a in people_dns if a["department"] == name]
        groups.append(group(name, f"Department {name}", members))
    admin = next(e["attributes"]["dn"] for e in accounts if e["attributes"]["sAMAccountName"] == "adm-breakglass")
    groups.append(group("Domain Admins", "Privileged", [admin]))
    return groups


def csv_text(rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for person in rows:
        writer.writerow(person | {"full_name": f"{person['first_name']} {person['last_name']}".strip()})
    return out.getvalue()


def json_lines(entries):
    return "[\n" + ",\n".join("  " + json.dumps(e, ensure_ascii=False) for e in entries) + "\n]\n"


def verify(first, second, third, accounts, groups):
    """What the examples and their tests count on."""
    ids = [person["employee_id"] for person in first]
    assert len(first) == 500 and len(set(ids)) == 500
    for rows in (first, second):
        known = {person["employee_id"] for person in rows}
        assert all(person["manager_id"] in known for person in rows[1:]), "a manager is missing"
        assert all(person["manager_id"] != person["employee_id"] for person in rows)
    assert len(third) == TRUNCATED_ROWS
    assert max(len(person["last_name"]) for person in first) == 60
    han = [p for p in first if not p["last_name_romanized"] and any("\u4e00" <= c <= "\u9fff" for c in p["last_name"])]
    assert len(han) == 3, han
    assert len(accounts) == 40 and len(groups) == 13
    assert len({a["attributes"]["sAMAccountName"] for a in accounts}) == 40
    assert len({a["attributes"]["dn"] for a in accounts}) == 40
    numbers = [a["attributes"]["employeeNumber"] for a in accounts if "employeeNumber" in a["attributes"]]
    assert len(set(numbers)) == 30 and set(numbers) <= set(ids)
    owners = [p for p in first if plain(p["last_name"])[:19] + plain(p["first_name"])[:1] == people.OCCUPIED_LOGIN]
    assert [p["last_name"] for p in owners] == ["Okafor"] and owners[0]["employee_id"] not in numbers
    smiths = [p for p in second if (p["first_name"], p["last_name"]) == ("John", "Smith")]
    assert len(smiths) == 2 and len({p["department"] for p in smiths}) == 1


def main():
    first = day_one()
    second = day_two(first)
    third = day_three(second)
    accounts = seed_accounts(first)
    groups = seed_groups(accounts)
    verify(first, second, third, accounts, groups)
    files = {
        f"hr/{DAY_ONE}.csv": csv_text(first),
        f"hr/{DAY_TWO}.csv": csv_text(second),
        f"hr/{DAY_THREE}.csv": csv_text(third),
        "directory-seed.json": json_lines(accounts + groups),
    }
    different = [name for name, text in files.items()
                 if not (HERE / name).exists() or (HERE / name).read_bytes() != text.encode()]
    if sys.argv[1:] == ["--check"]:
        if different:
            sys.exit(f"not what the generator writes: {', '.join(different)}")
        print(f"{len(files)} files are what the generator writes")
        return
    for name in different:
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_bytes(files[name].encode())
    print(f"wrote {', '.join(different) or 'nothing: all up to date'}")


if __name__ == "__main__":
    main()
