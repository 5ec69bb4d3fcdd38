//! The pure types every room speaks: identifiers, accounts, keys, crypto periods.
//!
//! Nothing here does I/O, knows a clock or holds a plaintext secret. Identifiers are
//! validated once, when they are parsed; a value of such a type is valid ever after.

mod account;
mod auxiliary;
mod ids;
mod key;
mod period;
mod scheme;
mod time_stamp;
mod wrapped;

pub use account::{Account, Consistency, Credential, ResponseShape, Scheme, Scope};
pub use auxiliary::{Auxiliary, Rating, SystemHeader};
pub use ids::{AccountId, ContentId, IdError, Kid, NodeId, TrackName};
pub use key::{KeyOrigin, KeyPlace, KeyRecord};
pub use period::{Period, SeedId, SeedRecord};
pub use scheme::SchemeError;
pub use time_stamp::{TimeStamp, TimeStampError};
pub use wrapped::{MasterKeyId, Wrapped};
