//! Random expressions and people: the same seed gives the same ones.

use provision_core::model::Identity;
use provision_core::value::{Date, Value, Zone};

/// A small generator with a seed.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides.max(1)
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

/// Attributes the expressions read, with the kinds they are declared with under `inputs`.
pub const INPUTS: &str = "[count: number, flag: truth, list: list of text, numbers: list of number, start: date, \
                          seen: instant, loose]";

/// A person with any data at all for the attributes that expressions read; declared kinds are kept.
pub fn anybody(dice: &mut Dice) -> Identity {
    let mut who = super::person("1", &[]);
    let texts = [
        "",
        "a",
        "Sales",
        "Smith",
        "Zoë",
        "2026-11-20",
        "1",
        "e\u{301}\u{302}",
        "王",
        "a@x, b",
        "İI",
        "ß\u{0}",
        "👩‍👩‍👧x",
    ];
    let numbers = [0, 1, -1, 7, i64::MIN, i64::MAX, 134_395_200_000_000_000, 4096];
    let text = |dice: &mut Dice| match dice.roll(8) {
        0 => Value::text("ab ".repeat(dice.roll(2000))),
        _ => Value::text(dice.pick(&texts)),
    };
    let number = |dice: &mut Dice| Value::Int(numbers[dice.roll(numbers.len())]);
    let date = |dice: &mut Dice| {
        let day = Date::new([-9999, 1600, 2024, 2026, 9999][dice.roll(5)], 1 + dice.roll(12) as i8, 28);
        Value::Date(day.unwrap())
    };
    let time = |dice: &mut Dice| {
        let times =
            ["0001-01-01T00:00:00Z", "2026-03-29T00:59:59Z", "2026-11-20T08:00:00Z", "9999-12-30T00:00:00Z"];
        Value::Time(dice.pick(&times).parse().unwrap())
    };
    let loose = |dice: &mut Dice| match dice.roll(7) {
        0 => text(dice),
        1 => number(dice),
        2 => date(dice),
        3 => time(dice),
        4 => Value::Bytes(vec![0, 255]),
        5 => Value::Bool(true),
        _ => Value::Record([("part".into(), number(dice))].into()),
    };
    let names = "title nickName userName count flag list numbers start seen loose givenName familyName department \
                 displayName costCenter manager";
    for name in names.split(' ') {
        let many = if matches!(name, "list" | "numbers" | "loose") { dice.roll(4) } else { 1 };
        let values: Vec<Value> = (0..many)
            .map(|_| match name {
                "count" | "numbers" => number(dice),
                "flag" => Value::Bool(dice.roll(2) == 0),
                "start" => date(dice),
                "seen" => time(dice),
                "loose" => loose(dice),
                _ => text(dice),
            })
            .collect();
        match dice.roll(6) {
            0 => {}
            1 => who.attributes = std::mem::take(&mut who.attributes).with_null(name),
            _ => who.attributes.set(name, values),
        }
    }
    let zones = ["UTC", "Europe/Zurich", "Pacific/Kiritimati", "Etc/GMT+12", "America/St_Johns"];
    who.zone = Zone::new(dice.pick(&zones)).unwrap();
    who
}

/// Writes expressions of known kinds.
#[derive(Debug)]
pub struct Grammar {
    pub dice: Dice,
    /// Only what CEL has too.
    pub cel: bool,
}

impl Grammar {
    pub fn any(&mut self, depth: u32) -> String {
        match self.dice.roll(if self.cel { 4 } else { 6 }) {
            0 => self.number(depth),
            1 => self.text(depth),
            2 => self.truth(depth),
            3 => self.list(depth),
            4 => self.date(depth),
            _ => self.instant(depth),
        }
    }

    fn with(&mut self, pattern: &str, depth: u32) -> String {
        let mut pieces = pattern.split('@');
        let mut out = pieces.next().unwrap().to_owned();
        for piece in pieces {
            match piece.chars().next().unwrap() {
                'N' => out.push_str(&self.number(depth)),
                'T' => out.push_str(&self.text(depth)),
                'B' => out.push_str(&self.truth(depth)),
                'C' => out.push_str(&self.condition(depth)),
                'L' => out.push_str(&self.list(depth)),
                'D' => out.push_str(&self.date(depth)),
                'I' => out.push_str(&self.instant(depth)),
                'A' => out.push_str(&self.any(depth)),
                // Small numbers, and texts.
                '#' => out.push_str(&self.dice.roll(9).to_string()),
                _ => out.push_str(self.dice.pick(&["'a'", "'Zoë'", "''", "'bb'", "' '"])),
            }
            out.push_str(&piece[1..]);
        }
        out
    }

    fn one_of(&mut self, leaves: &[&str], both: &[&str], ours: &[&str], depth: u32) -> String {
        let chosen = match depth {
            0 => self.dice.pick(leaves),
            _ if self.cel || self.dice.roll(3) == 0 => self.dice.pick(both),
            _ => self.dice.pick(ours),
        };
        let written = self.with(chosen, depth.saturating_sub(1));
        if chosen.contains(' ') && !chosen.starts_with('(') { format!("({written})") } else { written }
    }

    pub fn number(&mut self, depth: u32) -> String {
        self.one_of(
            &["@#", "user.count", "1@#"],
            &[
                "(@N + @N)",
                "(@N - @N)",
                "@# * @N",
                "(@N / 3 + -(@N) % 4)",
                "size(@T)",
                "size(@L)",
                "(@C ? @N : @N)",
                "int(string(@N))",
                "(@N + @#)",
                "@L.size()",
                "-@N",
            ],
            &[
                "index_of(@T, @T)",
                "last_index_of(@T, @$)",
                "bit_and(@N, @N)",
                "days_between(@D, @D)",
                "year(@D)",
                "months_between(@D, @D)",
                "weekday(@D)",
                "day(@D)",
                "month(@D)",
                "seconds_between(@I, @I)",
                "filetime(@I)",
                "first_nonempty(@N, @#)",
                "int(@T)",
                "(@N * @N)",
                "@N / @N",
                "user.numbers[@N]",
                "size(@A)",
            ],
            depth,
        )
    }

    pub fn text(&mut self, depth: u32) -> String {
        self.one_of(
            &[
                "'Xbc'",
                "@$",
                "\"it's\"",
                "'b\\u00e9'",
                "r'\\d'",
                "'''x'''",
                "user.title",
                "user.nickName",
                "user.userName",
            ],
            &["(@T + @T)", "(@C ? @T : @T)", "string(@N)", "string(@T)"],
            &[
                "lower(@T)",
                "upper(@T)",
                "lower(@T, 'tr')",
                "upper(@T, 'tr')",
                "fold(@T)",
                "title_case(@T)",
                "title_case(@T, @$)",
                "trim(@T)",
                "left(@T, @N)",
                "left_bytes(@T, @#)",
                "right(@T, @#)",
                "mid(@T, @#, @N)",
                "pad_left(@T, @#, @T)",
                "ascii(@T)",
                "ascii(@T, 'de')",
                "without_marks(@T)",
                "rdn(@T)",
                "replace(@T, @$, @T)",
                "only(@T, 'a-z')",
                "base64(@T)",
                "base64_utf16(@T)",
                "hex(@T)",
                "join_nonempty(@$, @L)",
                "first_nonempty(@T, @T)",
                "capture(@T, '[a-z]+')",
                "capture(@T, '(a)(b)?', '2')",
                "replace_matches(@T, '[ab]*', '${0}x')",
                "string(@D)",
                "string(@I)",
                "format_date(@D, '%d.%m.%Y')",
                "format_instant(@I, '%H:%M %z')",
                "kind(@A)",
                "lookup('t', @T)",
                "lookup('d', @T)",
                "values(@T)[0]",
                "split(@T, @$)[@N]",
                "words(@T)[0]",
                "user.list[@N]",
                "lifecycle",
                "string(@B)",
                "(user.loose + @T)",
            ],
            depth,
        )
    }

    /// True or false, or null for some people.
    pub fn truth(&mut self, depth: u32) -> String {
        self.one_of(
            &["true", "false", "user.flag"],
            &[
                "@N < @N",
                "@N <= @N",
                "@N > @#",
                "@N >= @N",
                "@N == @N",
                "@N != @N",
                "@T < @T",
                "@T >= @T",
                "@T == @T",
                "@T != @$",
                "(@B && @B)",
                "(@B || @B)",
                "!(@B)",
                "@N in [1, @N]",
                "@T in @L",
                "@T.contains(@T)",
                "@T.startsWith(@$)",
                "@T.endsWith(@T)",
                "user.list.exists(x, x == @$)",
                "user.list.all(x, size(x) > @#)",
                "user.list.filter(x, x != @$).size() == @#",
                "user.list.map(x, x + 'z').exists_one(x, x.endsWith(@$))",
                "has(user.title)",
                "(@C ? @B : @B)",
                "@L == @L",
                "user.numbers.exists(n, n > @N)",
                "@B == @B",
                "@T.matches('^[A-Z]')",
            ],
            &[
                "empty(@A)",
                "@D < @D",
                "@D >= today",
                "@I < @I",
                "matches(@T, '^[a-z]+$')",
                "bool(@T)",
                "contains(@L, @A)",
                "first_nonempty(@B, false)",
                "user.loose == @A",
                "@D == @D",
                "@T in user.loose",
                "@D <= @T",
                "has(user.loose.part)",
                "@L.exists(x, empty(x))",
                "[@T, user.loose].exists(x, x < @T)",
                "first_nonempty(user.loose, @L).exists(x, size(x) > 1)",
                "[@L, @L][0].exists(x, size(x) > 1)",
                "[@L, @L].exists(x, @T in x)",
                "user.list.map(x, @L).exists(x, x.contains(@T))",
                "[user.loose, @A][1].exists(x, size(x) > 1)",
                "values(first_nonempty(user.loose, @L)).all(x, size(x) > 1)",
                "kind(@A) == 'text'",
            ],
            depth,
        )
    }

    /// True or false for everybody: what may be null is asked for first.
    pub fn condition(&mut self, depth: u32) -> String {
        let truth = self.truth(depth);
        if !self.cel {
            return format!("first_nonempty({truth}, false)");
        }
        let read = ["count", "flag", "title", "nickName", "userName", "numbers", "list"];
        let asked: String = read
            .iter()
            .filter(|name| truth.contains(**name))
            .map(|name| format!("has(user.{name}) && "))
            .collect();
        format!("({asked}({truth}))")
    }

    pub fn list(&mut self, depth: u32) -> String {
        self.one_of(
            &["user.list", "['a', 'Zoë']", "['a']"],
            &[
                "(@L + @L)",
                "[@T, @T]",
                "user.list.filter(x, x != @T)",
                "user.list.map(x, x + @T)",
                "(@C ? @L : @L)",
            ],
            &[
                "values(@A)",
                "unique(@L)",
                "split(@T, @$)",
                "words(@T)",
                "words(@T, @$)",
                "unique(@L + @L)",
                "@L.filter(x, !empty(x))",
                "first_nonempty(@L, @L)",
            ],
            depth,
        )
    }

    pub fn date(&mut self, depth: u32) -> String {
        self.one_of(
            &["today", "user.start", "date('2026-02-29')", "date('2024-02-29')"],
            &["(@C ? @D : @D)"],
            &[
                "plus_days(@D, @N)",
                "plus_months(@D, @N)",
                "date(@I)",
                "date_in(@I, 'Pacific/Kiritimati')",
                "parse_date(@T, '%Y-%m-%d')",
                "first_nonempty(@D, today)",
                "parse_date(string(@D), '%Y-%m-%d')",
            ],
            depth,
        )
    }

    pub fn instant(&mut self, depth: u32) -> String {
        self.one_of(
            &["user.seen", "instant('2026-03-29T01:30:00Z')", "start_of(today)"],
            &["(@C ? @I : @I)"],
            &[
                "start_of(@D)",
                "end_of(@D)",
                "plus_seconds(@I, @N)",
                "from_filetime(@N)",
                "instant(@T)",
                "parse_instant(@T, '%Y-%m-%d %H:%M')",
                "parse_instant('2026-03-29 02:30', '%Y-%m-%d %H:%M')",
                "first_nonempty(@I, start_of(today))",
            ],
            depth,
        )
    }
}
