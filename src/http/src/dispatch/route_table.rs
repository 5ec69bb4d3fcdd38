//! The routes of a listener. Paths match without regard to case, doubled and trailing slashes, which is why
//! they are matched here and not by the framework.

use std::sync::LazyLock;

use super::endpoint::{Endpoint, api_routes, packager_routes};
use crate::request::path::RequestPath;

/// The routes of the API's listener.
pub(crate) static API: LazyLock<RouteTable> =
    LazyLock::new(|| RouteTable::new(api_routes(), "other", Callers::Signing));

/// The routes of the packagers' listener. The API has none of them, and this one none of the API's.
pub(crate) static PACKAGERS: LazyLock<RouteTable> =
    LazyLock::new(|| RouteTable::new(packager_routes(), PACKAGER, Callers::Packagers));

/// The packagers' route and listener in metrics.
pub(crate) const PACKAGER: &str = "packager";

/// Who asks at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Clients that prove themselves by headers, and may have answers signed.
    Signing,
    /// Packagers, whose headers are those of their viewers: they are told no schemes, and a connection of
    /// theirs carries one request, for whose end they wait.
    Packagers,
}

/// What a listener's paths lead to.
#[derive(Debug)]
pub(crate) struct RouteTable {
    routes: Vec<Route>,
    /// The name in metrics of requests that no route takes.
    pub unrouted: &'static str,
    pub callers: Callers,
}

impl RouteTable {
    fn new(rows: Vec<(String, Endpoint)>, unrouted: &'static str, callers: Callers) -> Self {
        let routes = rows.into_iter().map(|(path, endpoint)| Route::new(path, endpoint)).collect();
        Self { routes, unrouted, callers }
    }

    /// The route that a path takes.
    pub(crate) fn find<'p>(&self, path: &'p RequestPath<'_>) -> Option<RouteMatch<'p>> {
        let route = self.routes.iter().find(|route| route.takes(path))?;
        let captured = route.segments.iter().enumerate().filter(|(_, own)| matches!(own, Segment::Any));
        let captured = captured.filter_map(|(index, _)| path.segment(index)).collect();
        let next = path.segment(route.segments.len());
        Some(RouteMatch { endpoint: route.endpoint, captured, next })
    }

    /// Each path, as it is documented, and what it leads to.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, Endpoint)> {
        self.routes.iter().map(|route| (route.path.as_str(), route.endpoint))
    }
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RouteMatch<'p> {
    pub endpoint: Endpoint,
    /// The path's own segments, in the case they came in.
    pub captured: Vec<&'p str>,
    /// The first segment of what may follow.
    pub next: Option<&'p str>,
}

/// One path, split once: every request is held against it.
#[derive(Debug)]
struct Route {
    path: String,
    segments: Vec<Segment>,
    /// Whether more may follow.
    is_open: bool,
    endpoint: Endpoint,
}

/// One segment of a route.
#[derive(Debug)]
enum Segment {
    /// Exactly this, in any case.
    Exact(String),
    /// Any one; written in braces.
    Any,
}

impl Route {
    fn new(path: String, endpoint: Endpoint) -> Self {
        let (fixed, is_open) = match path.strip_suffix("/*") {
            Some(fixed) => (fixed, true),
            None => (path.as_str(), false),
        };
        let segments = fixed.split('/').skip(1).map(|own| match own.starts_with('{') {
            true => Segment::Any,
            false => Segment::Exact(own.to_owned()),
        });
        Self { segments: segments.collect(), path, is_open, endpoint }
    }

    fn takes(&self, path: &RequestPath<'_>) -> bool {
        let fixed = self.segments.len();
        (path.count() == fixed || (self.is_open && path.count() > fixed))
            && self.segments.iter().enumerate().all(|(index, own)| match own {
                Segment::Exact(own) => path.is(index, own),
                Segment::Any => true,
            })
    }
}

#[cfg(test)]
mod tests;
