//! The configurations in `docs/guide/correlation.md` are read and have nothing wrong with them.

use provision_core::plan::TargetSettings;
use provision_core::source::SourceSettings;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    #[serde(default)]
    sources: Vec<SourceSettings>,
    #[serde(default)]
    targets: Vec<TargetSettings>,
}

#[test]
fn what_the_guide_shows_is_read_and_has_nothing_wrong_with_it() {
    let guide = include_str!("../../docs/guide/correlation.md");
    let blocks: Vec<&str> =
        guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    let mut rules = 0;
    for block in blocks {
        let shown: Shown = serde_saphyr::from_str(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        for source in shown.sources {
            assert_eq!(source.correlate.check("correlate"), []);
            rules += source.correlate.correlation().rules.len();
        }
        for class in shown.targets.iter().flat_map(|target| target.classes.values()) {
            assert_eq!(class.correlate.check("correlate"), []);
            rules += class.correlate.correlation().rules.len();
        }
    }
    assert_eq!(rules, 5);
    // The short forms, as they are written.
    for (short, read) in [("[[nationalId], [givenName, familyName]]", 2), ("[]", 0)] {
        let text = format!("sources: [{{ name: hr, kind: csv, correlate: {short} }}]");
        let shown: Shown = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(shown.sources[0].correlate.correlation().rules.len(), read);
    }
}
