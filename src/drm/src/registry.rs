//! The provider trait, and the set of providers a node answers with.

use std::fmt;

use super::{
    CencCommon, ContentKeyInfo, DrmError, EncryptionProvider, PlayReady, Primetime, System, SystemData,
    SystemId, Widevine,
};
use keymoot_model::Kid;

/// Makes and reads the data of one DRM system. Pure: the same key always gives the same bytes, on any node.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The UUID its data is announced under.
    fn system_id(&self) -> SystemId;

    /// Makes the system's data for a key.
    ///
    /// # Errors
    /// [`DrmError::SchemeNotPlayable`] when the system's clients do not know the protection scheme.
    fn system_data(&self, info: &ContentKeyInfo<'_>) -> Result<SystemData, DrmError>;

    /// The key ids named in data of this system, by any maker. There may be none.
    ///
    /// # Errors
    /// [`DrmError`] when the bytes are not such data.
    fn kids(&self, data: &[u8]) -> Result<Vec<Kid>, DrmError>;
}

/// A provider for each system; each can be replaced on its own.
#[derive(Clone, Copy, Debug)]
pub struct Registry {
    pub widevine: &'static dyn Provider,
    pub playready: &'static dyn Provider,
    pub common: &'static dyn Provider,
    pub primetime: &'static dyn Provider,
}

impl Registry {
    /// The server's own providers.
    pub const fn standard() -> Self {
        Self { widevine: &Widevine, playready: &PlayReady, common: &CencCommon, primetime: &Primetime }
    }

    /// The provider of a system.
    pub const fn provider(&self, system: System) -> &'static dyn Provider {
        match system {
            System::Widevine => self.widevine,
            System::PlayReady => self.playready,
            System::Common => self.common,
            System::Primetime => self.primetime,
        }
    }

    /// The data for a uDRM answer's `pssh` array, in order. If it is empty, the answer omits the array.
    ///
    /// # Errors
    /// The error of the first provider that cannot make its data. An answer without it would look complete to
    /// a packager.
    pub fn system_data(
        &self,
        provider: EncryptionProvider,
        info: &ContentKeyInfo<'_>,
    ) -> Result<Vec<SystemData>, DrmError> {
        provider.systems().iter().map(|system| self.provider(*system).system_data(info)).collect()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::standard()
    }
}
