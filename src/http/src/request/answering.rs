//! The request that is being answered: whose it is, and the trail that its audit is gathered on.

use std::net::IpAddr;
use std::sync::Arc;

use keymoot_audit::Trail;

tokio::task_local! {
    static ANSWERING: Answering;
}

struct Answering {
    /// Whose lines the log may leave out: the network of the caller.
    client: IpAddr,
    trail: Arc<Trail>,
}

/// Answers a request that came from there: what is logged and audited meanwhile is this client's.
pub(crate) async fn on_behalf_of<F: Future>(client: IpAddr, trail: Arc<Trail>, answer: F) -> F::Output {
    ANSWERING.scope(Answering { client, trail }, answer).await
}

/// Who asks, if a request is being answered.
pub(crate) fn client() -> Option<IpAddr> {
    ANSWERING.try_with(|answering| answering.client).ok()
}

/// The trail of the request, if one is being answered.
pub(crate) fn trail() -> Option<Arc<Trail>> {
    ANSWERING.try_with(|answering| answering.trail.clone()).ok()
}
