//! Bodies that an earlier version wrote are read as they were meant.

use provision_core::correlate::{ClassCorrelation, SourceCorrelation};
use provision_core::model::Dispute;
use provision_core::plan::TargetSettings;
use provision_core::source::SourceSettings;

#[test]
fn settings_and_disputes_of_an_earlier_version_are_read_and_written_back() {
    let source = r#"{"name":"phones","kind":"csv","config":null,"precedence":2,"asserts":["mobile"],
        "asserts_lifecycle":false,"absence":{"remove_after":1},
        "guard":{"removed_percent_max":10,"removed_always":5,"cleared_percent_max":20,"canaries":[]},
        "correlate":[["mail"],["givenName","familyName"]],"zone":"UTC"}"#;
    let read: SourceSettings = serde_json::from_str(source).unwrap();
    assert!(matches!(&read.correlate, SourceCorrelation::Lists(lists) if lists.len() == 2));
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["correlate"], serde_json::json!([["mail"], ["givenName", "familyName"]]));

    let target = r#"{"name":"directory","kind":"memory","classes":{"user":{"on_delete":"disable",
        "marker":"employeeNumber","correlate":{"mail":"mail"}},"group":{"correlate":{}}}}"#;
    let read: TargetSettings = serde_json::from_str(target).unwrap();
    let class = read.class(&"user".into());
    assert!(matches!(&class.correlate, ClassCorrelation::Pairs(pairs) if pairs.len() == 1));
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["classes"]["user"]["correlate"], serde_json::json!({ "mail": "mail" }));
    assert_eq!(written["classes"]["group"]["correlate"], serde_json::json!({}));

    let dispute = r#"{"realm":"corp","about":{"kind":"match","target":"directory","class":"user","object":"o-1",
        "candidates":[]},"detail":"matched by name only","open":false,"at":"2026-03-01T00:00:00Z",
        "decision":[{"kind":"person","name":"ann"},"not the same"]}"#;
    let read: Dispute = serde_json::from_str(dispute).unwrap();
    assert!(read.candidates.is_empty() && read.evidence.is_empty() && read.decision.is_some());
    let (old, new): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(dispute).unwrap(), serde_json::to_value(&read).unwrap());
    assert_eq!(old, new, "what is not known is not written");
}
