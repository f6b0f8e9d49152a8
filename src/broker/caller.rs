//! Where a request came from, for the record of its refusal and for the log. An address is not an identity: it
//! stands beside the request and not in it, so that no verb is given it and none can decide by it.

use std::net::IpAddr;

use futures_util::future::Either;

tokio::task_local! {
    /// The client that work is being done for.
    static CLIENT: IpAddr;
}

/// Does `work` for a client at this address; nobody on this machine has one.
pub fn on_behalf<F: Future>(client: Option<IpAddr>, work: F) -> impl Future<Output = F::Output> {
    match client {
        Some(client) => Either::Left(CLIENT.scope(client, work)),
        None => Either::Right(work),
    }
}

/// Whom the work that is under way is done for.
pub fn client() -> Option<IpAddr> {
    CLIENT.try_with(|client| *client).ok()
}
