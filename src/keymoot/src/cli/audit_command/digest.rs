//! `keymoot audit digest`: how the audit names a viewer or a device.

use keymoot_service::admin::{AuditDigestCall, Call};

use super::args::DigestArgs;
use crate::cli::Failure;
use crate::cli::operator::{say, unexpected};

/// Runs `digest`.
pub(super) async fn run(args: DigestArgs) -> Result<(), Failure> {
    let (api, _) = args.config.api()?;
    let asked = AuditDigestCall {
        account: args.account,
        viewer: args.viewer.unwrap_or_default(),
        device: args.device.unwrap_or_default(),
    };
    let answer = api.call(&Call::AuditDigest(asked)).await?;
    let digest = answer.get("digest").and_then(|digest| digest.as_str()).ok_or_else(unexpected)?;
    say(&format!("{digest}\n"));
    Ok(())
}
