//! Makes or fetches the key of one content, with fail-over between two service points.
//!
//! ```sh
//! cargo run -p keymoot-client --example fetch_key -- ACCOUNT SIGNING_KEY_FILE CONTENT URL [URL…]
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keymoot_client::{
    AccountId, ClientSettings, ContentId, ContentKeys, Credentials, EncryptionProvider, HttpTransport,
    KeyClient, KeySource, Prober, ServicePoint, ServicePoints, SystemClock, Timeouts, TlsFiles, UdrmSha1,
    secret_file,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [account, key_file, content, urls @ ..] = arguments.as_slice() else {
        return Err("give ACCOUNT SIGNING_KEY_FILE CONTENT URL [URL…]".into());
    };
    let points = urls.iter().map(|url| url.parse::<ServicePoint>()).collect::<Result<_, _>>()?;
    let keys = ContentKeys {
        account: AccountId::new(account.as_str())?,
        ca_system: "OVP".to_owned(),
        provider: EncryptionProvider::Cenc,
        scheme: None,
    };
    // While no service point answers, a key that was fetched before may be used for an hour.
    let settings =
        ClientSettings { outage_tolerance: Duration::from_secs(3600), ..ClientSettings::default() };
    let signer = UdrmSha1::new(secret_file::read_signing_key(Path::new(key_file))?);
    let transport = HttpTransport::new(Timeouts::default(), &TlsFiles::default())?;
    let client = Arc::new(KeyClient::new(
        ServicePoints::new(points)?,
        keys,
        Credentials::only(signer),
        Box::new(transport),
        Box::new(SystemClock::default()),
        settings,
    ));
    // Probes failed service points, so that the client goes back to a preferred one.
    let _prober = Prober::start(client.clone())?;
    let (key, freshness) = client.create(&ContentId::new(content.as_str())?, KeySource::Server)?;
    // A scrambler would get the key itself; the example shows only its public id.
    println!("{content}: key id {}, {freshness:?}", key.kid);
    Ok(())
}
