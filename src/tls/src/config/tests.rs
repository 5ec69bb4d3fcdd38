//! Real handshakes, in memory: accepted and refused peers.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::{ApiTls, ApiTlsFiles, ClusterCa, Issued, server_name_of};
use keymoot_model::NodeId;

fn cluster() -> ClusterName {
    ClusterName::new("moot").unwrap()
}

fn ca() -> ClusterCa {
    ClusterCa::generate(&cluster()).unwrap()
}

fn credentials(ca: &ClusterCa, issued: &Issued) -> PeerCredentials {
    let authority = CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap();
    PeerCredentials::new(vec![authority], vec![issued.certificate()], issued.private_key(), &cluster())
        .unwrap()
}

/// Shakes hands and passes one byte. Returns the server's view of the client, or the error.
async fn shake(
    server: &PeerCredentials,
    client: Arc<ClientConfig>,
    demanded: NodeId,
) -> Result<PeerIdentity, String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(peer_server_config(server).unwrap());
    let connector = TlsConnector::from(client);
    let serve = async {
        let mut stream = acceptor.accept(far).await.map_err(|e| e.to_string())?;
        stream.write_all(b"!").await.map_err(|e| e.to_string())?;
        let (_, session) = stream.get_ref();
        PeerIdentity::of_connection(session.peer_certificates(), &cluster()).map_err(|e| e.to_string())
    };
    let dial = async {
        let name = server_name_of(demanded, &cluster()).unwrap();
        let mut stream = connector.connect(name, near).await.map_err(|e| e.to_string())?;
        stream.read_u8().await.map_err(|e| e.to_string())
    };
    let (served, dialled) = tokio::join!(serve, dial);
    dialled?;
    served
}

#[tokio::test]
async fn nodes_and_the_operator_of_one_cluster_know_each_other() {
    let ca = ca();
    let one = credentials(&ca, &ca.issue_node(1).unwrap());
    let two = credentials(&ca, &ca.issue_node(2).unwrap());
    let operator = credentials(&ca, &ca.issue_operator().unwrap());
    assert_eq!(two.identity(), PeerIdentity::Node(2));
    assert_eq!(shake(&one, peer_client_config(&two).unwrap(), 1).await, Ok(PeerIdentity::Node(2)));
    assert_eq!(shake(&one, peer_client_config(&operator).unwrap(), 1).await, Ok(PeerIdentity::Operator));
}

#[tokio::test]
async fn a_node_of_another_id_is_refused_by_the_dialling_side() {
    let ca = ca();
    let one = credentials(&ca, &ca.issue_node(1).unwrap());
    let two = credentials(&ca, &ca.issue_node(2).unwrap());
    let error = shake(&one, peer_client_config(&two).unwrap(), 3).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn an_operator_cannot_pass_for_a_node() {
    let ca = ca();
    let operator = credentials(&ca, &ca.issue_operator().unwrap());
    let two = credentials(&ca, &ca.issue_node(2).unwrap());
    assert!(shake(&operator, peer_client_config(&two).unwrap(), 1).await.is_err());
}

#[tokio::test]
async fn certificates_of_another_authority_are_refused_on_both_sides() {
    let (ours, theirs) = (ca(), ca());
    let one = credentials(&ours, &ours.issue_node(1).unwrap());
    let stranger = credentials(&theirs, &theirs.issue_node(2).unwrap());
    assert!(shake(&one, peer_client_config(&stranger).unwrap(), 1).await.is_err());

    // A client that trusts this authority is still refused with a certificate of another one.
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ours.certificate_pem().as_bytes()).unwrap()).unwrap();
    let issued = theirs.issue_node(2).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![issued.certificate()], issued.private_key())
        .unwrap();
    config.alpn_protocols = vec![PEER_ALPN.to_vec()];
    assert!(shake(&one, Arc::new(config), 1).await.is_err());
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let ca = ca();
    let one = credentials(&ca, &ca.issue_node(1).unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![PEER_ALPN.to_vec()];
    assert!(shake(&one, Arc::new(config), 1).await.is_err());
}

#[test]
fn credentials_that_every_peer_would_refuse_do_not_load() {
    let (ours, theirs) = (ca(), ca());
    let authority = CertificateDer::from_pem_slice(ours.certificate_pem().as_bytes()).unwrap();
    let load = |issued: &Issued| {
        PeerCredentials::new(
            vec![authority.clone()],
            vec![issued.certificate()],
            issued.private_key(),
            &cluster(),
        )
    };
    assert!(matches!(load(&theirs.issue_node(1).unwrap()), Err(TlsError::NotTrusted(_))));
    assert!(matches!(load(&ours.issue_loopback_api().unwrap()), Err(TlsError::Identity(_))));
}

#[test]
fn files_load_and_an_exposed_key_file_does_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let ca = ca();
    ca.save_new(&path("ca.pem"), &path("ca-key.pem")).unwrap();
    ca.issue_node(1).unwrap().save_new(&path("n.pem"), &path("n-key.pem")).unwrap();
    ca.issue_loopback_api().unwrap().save_new(&path("api.pem"), &path("api-key.pem")).unwrap();
    let load = || PeerCredentials::load(&path("ca.pem"), &path("n.pem"), &path("n-key.pem"), &cluster());
    assert!(load().is_ok());
    let api = |key: &str, client_ca: Option<&str>| {
        let client_ca = client_ca.map(path);
        ApiTls::load(ApiTlsFiles { cert: path("api.pem"), key: path(key), client_ca, client_required: false })
            .map(drop)
    };
    assert!(api("api-key.pem", None).is_ok());
    assert!(api("api-key.pem", Some("ca.pem")).is_ok());
    assert!(matches!(api("api-key.pem", Some("api-key.pem")), Err(TlsError::NoCertificate { .. })));
    assert!(matches!(api("n-key.pem", None), Err(TlsError::Pair(_))));
    std::fs::set_permissions(path("n-key.pem"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(load(), Err(TlsError::KeyFile(SecretFileError::Exposed { .. }))));
}

/// A node without a certificate dials `server` with a token that pins `pinned`.
async fn join(server: &PeerCredentials, pinned: [u8; 32], name: &str) -> Result<(), String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(peer_server_config(server).unwrap());
    let client = crate::join_client_config(&ClusterName::new(name).unwrap(), pinned).unwrap();
    let dial = TlsConnector::from(client).connect(server_name_of(1, &cluster()).unwrap(), near);
    let (served, dialled) = tokio::join!(acceptor.accept(far), dial);
    let mut dialled = dialled.map_err(|error| error.to_string())?;
    let mut served = served.map_err(|error| error.to_string())?;
    served.write_all(b"!").await.map_err(|error| error.to_string())?;
    dialled.read_u8().await.map_err(|error| error.to_string())?;
    let session = served.get_ref().1;
    assert!(session.peer_certificates().is_none());
    assert_eq!(session.alpn_protocol(), Some(crate::JOIN_ALPN_2));
    Ok(())
}

#[tokio::test]
async fn a_new_node_believes_the_pinned_authority_and_nobody_else() {
    let (ca, other) = (ca(), ca());
    let pinned = |ca: &ClusterCa| {
        fingerprint(&CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap())
    };
    let member = credentials(&ca, &ca.issue_node(7).unwrap());
    assert_eq!(member.authority_fingerprint(), Some(pinned(&ca)));
    assert_eq!(join(&member, pinned(&ca), "moot").await, Ok(()));
    assert!(join(&member, pinned(&other), "moot").await.unwrap_err().contains("in between"));
    assert!(join(&member, pinned(&ca), "toom").await.is_err(), "another cluster's name");
    let operator = credentials(&ca, &ca.issue_operator().unwrap());
    assert!(join(&operator, pinned(&ca), "moot").await.is_err(), "no node");
    // A man in the middle shows the true authority together with a certificate of his own.
    let his = other.issue_node(7).unwrap();
    let authority = CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap();
    let liar = PeerCredentials { authority: vec![authority], ..credentials(&other, &his) };
    assert!(join(&liar, pinned(&ca), "moot").await.is_err(), "not signed by the pinned authority");
}

#[test]
fn an_authority_out_of_memory_signs_for_a_key_made_elsewhere() {
    let ca = ca();
    let again = ClusterCa::from_pem(&cluster(), ca.certificate_pem(), &ca.key_pem()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("key.pem");
    let made = crate::NodeKey::load_or_create(&key_file).unwrap().request().unwrap();
    let request = crate::NodeRequest::from_der(&made).unwrap();
    let same = crate::NodeKey::load_or_create(&key_file).unwrap().request().unwrap();
    assert_eq!(crate::NodeRequest::from_der(&same).unwrap().key_digest(), request.key_digest());
    let mut bent = made.clone();
    *bent.last_mut().unwrap() ^= 1;
    assert!(crate::NodeRequest::from_der(&bent).is_none(), "a request without its proof");
    let (ca_file, cert_file) = (dir.path().join("ca.pem"), dir.path().join("cert.pem"));
    std::fs::write(&ca_file, ca.certificate_pem()).unwrap();
    std::fs::write(&cert_file, again.issue_node_for(4, &request, crate::NODE_LIFE).unwrap()).unwrap();
    let loaded = PeerCredentials::load(&ca_file, &cert_file, &key_file, &cluster()).unwrap();
    assert_eq!(loaded.identity(), PeerIdentity::Node(4));
    assert_eq!(
        loaded.key_digest(),
        Some(request.key_digest()),
        "the key is known before there is a certificate"
    );
    assert_eq!(loaded.authority_pem().lines().count(), ca.certificate_pem().lines().count());
}

/// A client with this certificate dials an API listener that asks for certificates of the same authority.
async fn dial_api(ca: &ClusterCa, client: &Issued) -> Result<(), String> {
    dial_listener(ca, (vec![client.certificate()], client.private_key()), ApiTls::load).await
}

/// The same at a listener whose TLS `load` makes.
async fn dial_listener(
    ca: &ClusterCa,
    (chain, client_key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    load: fn(ApiTlsFiles) -> Result<ApiTls, TlsError>,
) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    ca.save_new(&path("ca.pem"), &path("ca-key.pem")).unwrap();
    ca.issue_loopback_api().unwrap().save_new(&path("api.pem"), &path("api-key.pem")).unwrap();
    let (cert, key, client_ca) = (path("api.pem"), path("api-key.pem"), Some(path("ca.pem")));
    let api = load(ApiTlsFiles { cert, key, client_ca, client_required: false }).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, client_key)
        .unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(Arc::new(api.server_config().unwrap()));
    let connector = TlsConnector::from(Arc::new(config));
    let dial = connector.connect("localhost".try_into().unwrap(), near);
    let (served, _) = tokio::join!(acceptor.accept(far), dial);
    served.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_api_listener_takes_no_nodes_or_operators_certificate_though_it_trusts_the_clusters_authority() {
    let ca = ca();
    let account = ca.issue_client("packager.example.net").unwrap();
    assert_eq!(dial_api(&ca, &account).await, Ok(()));
    for issued in [ca.issue_node(1).unwrap(), ca.issue_operator().unwrap()] {
        let refused = dial_api(&ca, &issued).await.unwrap_err();
        assert!(refused.contains("ApplicationVerificationFailure"), "{refused}");
    }
    let name = keymoot_model::OperatorName::new("alice").unwrap();
    let pem = ca.issue_operator_credential(&name, std::time::Duration::from_secs(60)).unwrap();
    let operator = || {
        let own = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        (vec![own], PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap())
    };
    assert_eq!(dial_listener(&ca, operator(), ApiTls::load_for_operators).await, Ok(()));
    let refused = dial_listener(&ca, operator(), ApiTls::load).await.unwrap_err();
    assert!(refused.contains("ApplicationVerificationFailure"), "{refused}");
    // Of another authority, whatever the names.
    let other = self::ca();
    assert!(dial_listener(&other, operator(), ApiTls::load_for_operators).await.is_err());
}

/// The key exchange that both sides come to agree on.
async fn agreed(server: Arc<ServerConfig>, client: ClientConfig, name: &str) -> rustls::NamedGroup {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(server);
    let name = name.to_owned().try_into().unwrap();
    let dialled = TlsConnector::from(Arc::new(client));
    let (served, dialled) = tokio::join!(acceptor.accept(far), dialled.connect(name, near));
    let mut dialled = dialled.unwrap();
    let mut served = served.unwrap();
    served.write_all(b"!").await.unwrap();
    dialled.read_u8().await.unwrap();
    served.get_ref().1.negotiated_key_exchange_group().unwrap().name()
}

#[tokio::test]
async fn keys_are_exchanged_as_no_quantum_computer_can_undo_by_all_who_can() {
    let ca = ca();
    let one = credentials(&ca, &ca.issue_node(1).unwrap());
    let two = credentials(&ca, &ca.issue_node(2).unwrap());
    let peer = |credentials| Arc::unwrap_or_clone(peer_client_config(credentials).unwrap());
    let name = PeerIdentity::Node(1).dns_name(&cluster());
    let group = agreed(peer_server_config(&one).unwrap(), peer(&two), &name).await;
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768, "between nodes");

    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    ca.save_new(&path("ca.pem"), &path("ca-key.pem")).unwrap();
    ca.issue_loopback_api().unwrap().save_new(&path("api.pem"), &path("api-key.pem")).unwrap();
    let api = || {
        let resolver = rustls::sign::SingleCertAndKey::from(
            certified_key(&path("api.pem"), &path("api-key.pem")).unwrap(),
        );
        Arc::new(api_builder().unwrap().with_no_client_auth().with_cert_resolver(Arc::new(resolver)))
    };
    let client = web_client_config(Some(&path("ca.pem")), None).unwrap();
    let group = agreed(api(), client, "localhost").await;
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768, "with clients that can");

    // A client, or a node, of before.
    let classical = CryptoProvider {
        kx_groups: vec![rustls::crypto::aws_lc_rs::kx_group::X25519],
        ..rustls::crypto::aws_lc_rs::default_provider()
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(classical))
        .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert_eq!(agreed(api(), client, "localhost").await, rustls::NamedGroup::X25519);
}
