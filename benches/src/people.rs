//! A population, the same in every run.

use std::io::Write;
use std::path::Path;

use crate::Outcome;

const STARTS: [&str; 24] = [
    "Ander", "Berg", "Car", "Dall", "Ek", "Fer", "Gar", "Hol", "Iva", "Jans", "Kov", "Lind", "Mar", "Nov",
    "Oli", "Pet", "Quin", "Ros", "Sor", "Tor", "Ull", "Vas", "Wal", "Zim",
];
const ENDS: [&str; 20] = [
    "son", "man", "ez", "ov", "ström", "ini", "acs", "mann", "eira", "aldi", "berg", "dahl", "sen", "ski",
    "ard", "eau", "os", "elli", "quist", "ins",
];
const GIVEN: [&str; 20] = [
    "Anna", "Björn", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jakub", "Karin", "Luis",
    "Mina", "Nora", "Oskar", "Petra", "Rosa", "Stefan", "Tomás", "Vera",
];
const DEPARTMENTS: [&str; 8] =
    ["Sales", "Finance", "Research", "Support", "Legal", "Logistics", "Production", "Marketing"];
const TITLES: [&str; 6] = ["Analyst", "Engineer", "Manager", "Assistant", "Specialist", "Director"];
const CITIES: [&str; 5] = ["Lisbon", "Kraków", "Malmö", "Porto", "Leipzig"];

/// Who is in a feed, and how often some of them have moved.
#[derive(Clone, Copy, Debug)]
pub struct People {
    /// How many.
    pub count: usize,
    /// The day of the feed, from 0. Every day another `changed` people have another title.
    pub day: usize,
    /// How many change from one day to the next.
    pub changed: usize,
}

impl People {
    /// On how many of the days so far a person was among those that changed.
    fn moves(self, person: usize) -> usize {
        if self.changed == 0 {
            return 0;
        }
        // Spread over the file: a change every so many rows, one row further each day.
        let stride = (self.count / self.changed).max(1);
        (1..=self.day).filter(|day| person % stride == day % stride).count()
    }
}

fn pick<'a>(list: &[&'a str], number: usize) -> &'a str {
    list.get(number % list.len().max(1)).copied().unwrap_or_default()
}

/// A number that looks arbitrary and is the same in every run (the finisher of splitmix64).
pub fn scatter(number: usize) -> usize {
    let mut x = (number as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((x ^ (x >> 31)) >> 8).unwrap_or(number)
}

/// Writes the feed of a day.
///
/// # Errors
/// Those of the disk.
pub fn write_csv(path: &Path, people: People) -> Outcome<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "id,given,family,title,department,city,mobile,start,status")?;
    for person in 0..people.count {
        let luck = scatter(person);
        writeln!(
            file,
            "{},{},{}{},{},{},{},+49 170 {:07},20{:02}-{:02}-{:02},active",
            100_000 + person,
            pick(&GIVEN, luck),
            pick(&STARTS, luck / 31),
            pick(&ENDS, luck / 1_009),
            pick(&TITLES, luck / 7_919 + people.moves(person)),
            pick(&DEPARTMENTS, luck / 104_729),
            pick(&CITIES, luck / 1_299_709),
            luck % 10_000_000,
            luck % 25,
            luck % 12 + 1,
            luck % 28 + 1,
        )?;
    }
    file.flush()?;
    Ok(())
}

/// A person's attributes by their SCIM names, without writing a file.
pub(crate) fn person(number: usize) -> Vec<(&'static str, String)> {
    let luck = scatter(number);
    let given = pick(&GIVEN, luck).to_owned();
    let family = format!("{}{}", pick(&STARTS, luck / 31), pick(&ENDS, luck / 1_009));
    vec![
        ("displayName", format!("{given} {family}")),
        ("givenName", given),
        ("familyName", family),
        ("title", pick(&TITLES, luck / 7_919).to_owned()),
        ("department", pick(&DEPARTMENTS, luck / 104_729).to_owned()),
        ("mobile", format!("+49 170 {:07}", luck % 10_000_000)),
    ]
}
