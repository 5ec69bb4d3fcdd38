//! Default times that suit a network, for operators who do not set each of them.

use serde::{Deserialize, Serialize};

use super::ClusterSection;

/// The network between the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkProfile {
    /// One site: a round trip of a few milliseconds.
    #[default]
    Lan,
    /// Several sites: a round trip of up to some 100 ms.
    Wan,
}

impl NetworkProfile {
    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wan => "wan",
        }
    }
}

impl ClusterSection {
    /// Sets every time that the configuration leaves to the profile, and returns their keys.
    pub fn apply_profile(&mut self) -> Vec<&'static str> {
        let [heartbeat, shortest, longest, connect] = match self.profile {
            NetworkProfile::Lan => [100, 300, 600, 500],
            NetworkProfile::Wan => [500, 2000, 4000, 3000],
        };
        let times = [
            ("cluster.heartbeat_ms", &mut self.heartbeat_ms, heartbeat),
            ("cluster.election_timeout_min_ms", &mut self.election_timeout_min_ms, shortest),
            ("cluster.election_timeout_max_ms", &mut self.election_timeout_max_ms, longest),
            ("cluster.connect_timeout_ms", &mut self.connect_timeout_ms, connect),
        ];
        let mut given = Vec::new();
        for (key, time_ms, value_ms) in times {
            if *time_ms == 0 {
                *time_ms = value_ms;
                given.push(key);
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_gives_what_nobody_chose() {
        let mut cluster =
            ClusterSection { profile: NetworkProfile::Wan, heartbeat_ms: 700, ..ClusterSection::default() };
        assert_eq!(cluster.apply_profile().len(), 3);
        assert_eq!((cluster.heartbeat_ms, cluster.election_timeout_max_ms), (700, 4000));
        assert_eq!(cluster.apply_profile(), [""; 0], "once is enough");
    }
}
