//! Limits what openraft logs while something lasts: it warns at each heartbeat and each append to a
//! peer that is away, nine lines a second. Keymoot says itself which peer is away.

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use keymoot_telemetry::LastingConditions;

/// The crates that are limited, by the beginning of their targets.
const LIMITED: &str = "openraft";

/// Lets one line a minute pass of each place in openraft's code that warns. What is logged below
/// `warn` passes whole: somebody has asked for it.
#[derive(Debug, Default)]
pub(crate) struct RaftLineLimit(LastingConditions<Place>);

/// A place in the code: the module and the line.
type Place = (&'static str, Option<u32>);

impl<S: Subscriber> Filter<S> for RaftLineLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let about = event.metadata();
        let is_limited = *about.level() <= Level::WARN && about.target().starts_with(LIMITED);
        !is_limited || self.0.note((about.target(), about.line())).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The targets of the events that were let through.
    #[derive(Clone, Default)]
    struct Passed(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Passed {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(event.metadata().target().to_owned());
        }
    }

    #[test]
    fn a_warning_of_openraft_passes_once_and_everything_else_each_time() {
        let passed = Passed::default();
        let limited = passed.clone().with_filter(RaftLineLimit::default());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(limited), || {
            for peer in [2, 3, 2, 3] {
                tracing::warn!(target: "openraft::core::heartbeat", peer, "failed to send a heartbeat");
                tracing::error!(target: "openraft::core::heartbeat", peer, "another place");
                tracing::info!(target: "openraft::engine", peer, "asked for");
                tracing::warn!(target: "keymoot_cluster", peer, "our own");
            }
        });
        let passed = passed.0.lock().unwrap();
        let count = |target: &str| passed.iter().filter(|passed| *passed == target).count();
        assert_eq!(count("openraft::core::heartbeat"), 2);
        assert_eq!((count("openraft::engine"), count("keymoot_cluster")), (4, 4));
    }
}
