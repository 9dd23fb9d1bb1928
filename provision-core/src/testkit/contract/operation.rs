//! Clause 9: how every call behaves under deadlines, lost answers, company and limits.

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::profile::{Bench, Profile, Trouble};
use super::verdict::{Finding, Verdict, ensure, fails, skip};
use crate::connector::{Connector, Context, ListRequest};
use crate::delta::{Change, Delta};
use crate::error::{Effect, ErrorKind, Retry};
use crate::value::{Attributes, Timestamp, Value};

/// C-9.1
pub async fn deadline_and_cancellation_are_kept(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("91a").await?;
    let before = bench.list(ListRequest::all(bench.class.clone())).await?.len();
    let late = Context { deadline: Some(Timestamp::EPOCH), ..bench.cx.clone() };
    let result = bench.writer()?.create(&late, bench.birth("91b")).await;
    fails("create after its deadline", result, ErrorKind::Unavailable, Some(Effect::None))?;
    let after = bench.list(ListRequest::all(bench.class.clone())).await?.len();
    ensure(before == after, || "a create after its deadline was done".to_owned())?;
    for suffix in ["91c", "91d", "91e"] {
        // Polled once, then dropped: what was begun may be done or not, and nothing is stuck.
        let _ = bench.writer()?.create(&bench.cx, bench.birth(suffix)).now_or_never();
    }
    bench.read(&key).await?;
    bench.create("91f").await.map(drop)
}

/// C-9.2
pub async fn lost_response_is_unknown(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    bench.writer()?;
    let before = bench.list(ListRequest::all(bench.class.clone())).await?;
    bench.provoke(Trouble::LoseCreate)?;
    let lost = bench.writer()?.create(&bench.cx, bench.birth("92a")).await;
    fails("create whose answer is lost", lost, ErrorKind::Unavailable, Some(Effect::Unknown))?;
    profile.provoke(Trouble::None);
    let again = bench.writer()?.create(&bench.cx, bench.birth("92a")).await;
    if bench.can().idempotent_create {
        bench.done(again?).await?;
    } else if !bench.can().unique.is_empty() {
        fails("the same create again", again, ErrorKind::AlreadyExists, Some(Effect::None))?;
    } else {
        return skip("the target makes a second object, as declared");
    }
    let after = bench.list(ListRequest::all(bench.class.clone())).await?;
    ensure(after.len() == before.len() + 1, || "not exactly one object was made".to_owned())
}

/// C-9.3
pub async fn parallel_calls_do_not_mix(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let work = (0..50).map(|number| {
        let bench = bench.clone();
        async move {
            let key = bench.create(&format!("93n{number}")).await?;
            let own = format!("of {number}");
            let change = Change::Replace(vec![Value::text(&own)]);
            bench.update(&key, Delta { changes: [(bench.profile.text(), change)].into() }).await?;
            let listed = bench.list(ListRequest::all(bench.class.clone())).await?;
            ensure(listed.iter().any(|object| object.key.id == key.id), || "a listing lacks it".to_owned())?;
            let object = bench.read(&key).await?;
            bench.shows(&object.attributes, &Attributes::new().with(bench.profile.text(), own))?;
            Ok::<_, Finding>(key.id)
        }
    });
    let mut ids = join_all(work).await.into_iter().collect::<Verdict<Vec<_>>>()?;
    ids.sort();
    ids.dedup();
    ensure(ids.len() == 50, || "two objects have one id".to_owned())
}

/// C-9.4
pub async fn rate_limit_is_told(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("94a").await?;
    bench.provoke(Trouble::RateLimit)?;
    let request = crate::connector::GetRequest { class: bench.class.clone(), key };
    let error = fails("get", connector.get(&bench.cx, request).await, ErrorKind::RateLimited, None)?;
    ensure(matches!(error.retry(), Retry::After(Some(_))), || {
        format!("the waiting time is not told: {:?}", error.retry())
    })?;
    let refused = bench.writer()?.create(&bench.cx, bench.birth("94b")).await;
    fails("create", refused, ErrorKind::RateLimited, Some(Effect::None)).map(drop)
}
