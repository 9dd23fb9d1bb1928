//! What the observer is told.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use provision_core::Result;
use provision_core::connector::Context;
use provision_core::testkit::fault::{
    Answer, Fault, FaultLayer, FaultRule, LayerOptions, Observer, Operation, Request,
};

use crate::bench::Bench;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

#[async_trait]
impl Observer for Heard {
    async fn sending(&self, cx: &Context, request: &Request) {
        tokio::task::yield_now().await;
        self.0.lock().unwrap().push(format!("{:?} for {}", request.operation(), cx.correlation));
    }

    async fn answered(&self, _cx: &Context, request: &Request, answer: &Result<Answer>) {
        let answer = if answer.is_ok() { "done" } else { "refused" };
        self.0.lock().unwrap().push(format!("{:?} {answer}", request.operation()));
    }
}

#[tokio::test]
async fn the_observer_hears_what_reaches_the_connector_and_nothing_else() {
    let heard = Arc::new(Heard::default());
    let mut bench = Bench::new([]);
    let options = LayerOptions { observer: Some(heard.clone()), ..LayerOptions::default() };
    bench.layer = FaultLayer::with(Arc::new(bench.target.clone()), bench.clock.clone(), options);
    bench.layer.set_rules([
        FaultRule::at(Operation::Create, [1], Fault::LoseRequest),
        FaultRule::at(Operation::Create, [2], Fault::LoseResponse),
    ]);
    for _ in 0..3 {
        bench.create(1).await.unwrap_err();
    }
    bench.list(10).await.unwrap();
    let heard = heard.0.lock().unwrap().clone();
    assert_eq!(
        heard,
        [
            "Create for by hand",
            "Create done",
            "Create for by hand",
            "Create refused",
            "List for by hand",
            "List done",
        ]
    );
}
