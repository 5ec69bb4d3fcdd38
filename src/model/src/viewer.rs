//! Viewers and what they watch, as the replicated state counts them.

use serde::{Deserialize, Serialize};

use super::{AccountId, ContentId};

/// One viewer of one content. Viewers are known by a digest: the state keeps no names and no tokens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ViewerPlace {
    /// The account whose viewer it is.
    pub account: AccountId,
    pub content: ContentId,
    /// Digest of the viewer's name.
    pub viewer: [u8; 16],
}
