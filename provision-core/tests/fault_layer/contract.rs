//! The contract suite cannot tell a layered connector from a bare one, and the layer can make every trouble of the
//! suite.

use std::sync::Arc;

use provision_core::connector::Connector;
use provision_core::id::ClassName;
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::runtime::SystemClock;
use provision_core::testkit::contract::{Profile, Report, Trouble, hold};
use provision_core::testkit::fault::{Fault, FaultLayer, FaultRule, Operation};
use provision_core::value::{AttrName, Attributes, Secret};

/// What the suite must know of the directory; trouble is made by the layer, where there is one.
struct Directory(Option<FaultLayer>);

fn naming(suffix: &str) -> Attributes {
    Attributes::new().with("cn", suffix).with("dn", format!("CN={suffix},DC=example"))
}

impl Profile for Directory {
    fn class(&self) -> ClassName {
        "user".into()
    }
    fn attributes(&self, suffix: &str) -> Attributes {
        naming(suffix).with("sAMAccountName", suffix).with("givenName", "Zoë").with("mobile", "1")
    }
    fn text(&self) -> AttrName {
        "title".into()
    }
    fn set(&self) -> Option<AttrName> {
        Some("description".into())
    }
    fn renamed(&self, suffix: &str) -> Option<Attributes> {
        Some(naming(&format!("{suffix}x")))
    }
    fn group(&self, suffix: &str) -> Option<(ClassName, Attributes)> {
        Some(("group".into(), naming(suffix)))
    }
    fn password(&self, acceptable: bool) -> Option<Secret> {
        Some(Secret::new(if acceptable { "Correct-horse-7-battery" } else { "Sh0rt!" }))
    }
    fn provoke(&self, trouble: Trouble) -> bool {
        let Some(layer) = &self.0 else { return false };
        let limit = Fault::RateLimit(Some(1500));
        layer.set_rules(match trouble {
            Trouble::RefuseCredentials => vec![FaultRule::always(Operation::Check, Fault::RefuseCredentials)],
            Trouble::Unreachable => [Operation::Get, Operation::List, Operation::Changes]
                .map(|operation| FaultRule::always(operation, Fault::Refuse))
                .into(),
            Trouble::RepeatToken => vec![FaultRule::always(Operation::List, Fault::RepeatToken)],
            Trouble::CutListing => vec![FaultRule::always(Operation::List, Fault::Truncate(1))],
            Trouble::LoseCreate => vec![FaultRule::at(Operation::Create, [1], Fault::LoseResponse)],
            Trouble::RateLimit => {
                vec![FaultRule { on: [].into(), ..FaultRule::always(Operation::Get, limit) }]
            }
            _ => vec![],
        });
        true
    }
}

fn verdicts(report: &Report) -> Vec<(&'static str, String)> {
    report.trials.iter().map(|trial| (trial.clause, format!("{:?}", trial.verdict))).collect()
}

fn target() -> Arc<dyn Connector> {
    Arc::new(MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock)).unwrap())
}

#[tokio::test]
async fn a_calm_layer_gets_the_verdicts_of_the_bare_connector() {
    let bare = hold(target().as_ref(), &Directory(None)).await;
    let layer = FaultLayer::new(target(), Arc::new(SystemClock));
    let layered = hold(&layer, &Directory(None)).await;
    assert_eq!(verdicts(&bare), verdicts(&layered));
    assert_eq!((layered.broken(), layer.injected_count()), (vec![], 0));
    // Two layers are still none.
    let layer = FaultLayer::new(target(), Arc::new(SystemClock));
    let twice = FaultLayer::new(Arc::new(layer), Arc::new(SystemClock));
    assert_eq!(verdicts(&hold(&twice, &Directory(None)).await), verdicts(&bare));
}

/// The factory was not given; creates are not remembered; no write is pending.
const NOT_OF_THE_LAYER: [&str; 3] = ["C-1.1", "C-4.10", "C-9.5"];

#[tokio::test]
async fn the_layer_makes_every_trouble_of_the_suite() {
    let layer = FaultLayer::new(target(), Arc::new(SystemClock));
    let report = hold(&layer, &Directory(Some(layer.clone()))).await;
    assert_eq!(report.broken(), Vec::<&str>::new(), "\n{report}");
    assert_eq!(report.not_applicable(), NOT_OF_THE_LAYER, "\n{report}");
    assert!(layer.injected_count() >= 6, "{layer}");
}

#[tokio::test]
async fn a_connector_without_a_facet_gets_none_from_the_layer() {
    #[derive(Debug)]
    struct ReadOnly(Arc<dyn Connector>);
    #[async_trait::async_trait]
    impl Connector for ReadOnly {
        fn info(&self) -> provision_core::connector::ConnectorInfo {
            self.0.info()
        }
        async fn check(&self, cx: &provision_core::connector::Context) -> provision_core::Result<()> {
            self.0.check(cx).await
        }
        async fn discover(
            &self,
            cx: &provision_core::connector::Context,
        ) -> provision_core::Result<provision_core::connector::Discovery> {
            self.0.discover(cx).await
        }
        async fn get(
            &self,
            cx: &provision_core::connector::Context,
            request: provision_core::connector::GetRequest,
        ) -> provision_core::Result<Option<provision_core::connector::Object>> {
            self.0.get(cx, request).await
        }
        fn list(
            &self,
            cx: &provision_core::connector::Context,
            request: provision_core::connector::ListRequest,
        ) -> provision_core::Result<provision_core::connector::Listing> {
            self.0.list(cx, request)
        }
    }
    let layer = FaultLayer::new(Arc::new(ReadOnly(target())), Arc::new(SystemClock));
    assert!(layer.writer().is_none() && layer.membership().is_none() && layer.lifecycle().is_none());
    assert!(layer.credential().is_none() && layer.change_feed().is_none());
}
