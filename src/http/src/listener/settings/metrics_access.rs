//! Who may read a node's metrics at the API's listener. At the operators' listener every operator may.

use serde::{Deserialize, Serialize};

use super::HttpSettings;

/// Who may read them there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsAccess {
    /// Anybody, but for why requests were refused, which would tell strangers of accounts.
    #[default]
    Open,
    /// Whoever shows the token of `http.metrics_token_file`.
    Token,
    /// Nobody.
    Off,
}

/// That anybody beyond this machine may read the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenMetrics(std::net::SocketAddr);

impl OpenMetrics {
    /// What is wrong.
    pub fn problem(&self) -> String {
        format!("http.listen {} serves /metrics to anybody, though without the reasons of refusals", self.0)
    }

    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        "set http.metrics = \"token\" and http.metrics_token_file, or http.metrics = \"off\": every operator may read \
         them at admin.listen"
    }
}

/// Whether anybody beyond this machine may read the metrics.
pub fn open_metrics(settings: &HttpSettings) -> Option<OpenMetrics> {
    let http = &settings.http;
    let is_open = http.metrics == MetricsAccess::Open && !http.listen.ip().is_loopback();
    is_open.then_some(OpenMetrics(http.listen))
}

#[cfg(test)]
mod tests {
    use super::super::{Http, Packager};
    use super::*;

    #[test]
    fn metrics_that_anybody_may_read_are_named() {
        let found = |listen: &str, metrics| {
            let http = Http { listen: listen.parse().unwrap(), metrics, ..Http::default() };
            open_metrics(&HttpSettings { http, packager: Packager::default(), waiting_checks_max: 1 })
                .is_some()
        };
        assert!(found("0.0.0.0:1", MetricsAccess::Open) && !found("127.0.0.1:1", MetricsAccess::Open));
        assert!(!found("0.0.0.0:1", MetricsAccess::Token) && !found("0.0.0.0:1", MetricsAccess::Off));
    }
}
