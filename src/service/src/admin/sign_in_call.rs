//! What is asked about passwords and sessions of operators.

use serde::{Deserialize, Serialize};

use keymoot_model::{Fingerprint, OperatorName};

use super::{Password, UseCase};

/// What is asked about passwords and sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum SignInCall {
    SetOwnPassword {
        password: Password,
        /// The one that is set: whoever asks in a session must know it.
        #[serde(default)]
        current: Option<Password>,
        /// Whether the authenticator app gets another secret. It does at the first time.
        #[serde(default)]
        new_codes: bool,
    },
    SetPassword {
        name: OperatorName,
        password: Password,
    },
    Sessions {
        /// Whose; everybody's if it is not said.
        #[serde(default)]
        name: Option<OperatorName>,
    },
    EndSession {
        name: OperatorName,
        /// Which one, by the digest of its token; all if it is not said.
        #[serde(default)]
        session: Option<Fingerprint>,
    },
    EndOwnSession {},
}

impl SignInCall {
    pub(super) const fn use_case(&self) -> UseCase {
        match self {
            Self::SetOwnPassword { .. } => UseCase::SetOwnPassword,
            Self::SetPassword { .. } => UseCase::SetPassword,
            Self::Sessions { .. } => UseCase::Sessions,
            Self::EndSession { .. } => UseCase::EndSession,
            Self::EndOwnSession {} => UseCase::EndOwnSession,
        }
    }

    pub(super) fn object(&self) -> String {
        match self {
            Self::SetOwnPassword { .. } | Self::EndOwnSession {} => "self".to_owned(),
            Self::SetPassword { name, .. } | Self::EndSession { name, .. } => name.to_string(),
            Self::Sessions { name: Some(name) } => name.to_string(),
            Self::Sessions { name: None } => "sessions".to_owned(),
        }
    }
}
