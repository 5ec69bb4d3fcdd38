//! An RSA key and what was signed with it by another implementation.

/// Made with pyca/cryptography, as are the signatures.
pub const PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxa3djnzTA37yht5qPWzN
Kwl1Q2ZXtmv9dMWuBL9r5J4/YRw3G+HzHFI9ux0L4vu2u25Dh+S09yQAGWnd3e4P
BIQ1o+4J48rMPJovSe5/4SrQmPvWljiw8OCzWKXUrwvRy+gXzs+MxOba1eC6EwWp
FYX+3PACGiq/4+fbmLfAEXGZv5XUSRD3gIfQcH/0ir8AEGShNkhDXesq3XBv8EU+
QCib8EbJyMsBKuP0y7F4oTt16wjZSpfRXJkTGARagIGk3RbJJeyDizAxlQys/7Tb
3GgHMzSNhmz58vpNt79cXAn23xGPni1D3xkDjQQME5FpOGgehbOhiIUnEL7E6tAq
0QIDAQAB
-----END PUBLIC KEY-----
";
pub const MESSAGE: &[u8] = br#"{"content_id":"YQ=="}"#;
pub const SIGNATURE: &str = "BIbZF4aLaMGOtN/+pooYloyyygOg7IEcIjAVX0z57ZZVbBecp21EJs2QYsI+R6SAZEgGMokOQf8MfTaE78LpdAywy4SIink67kKg3RNQumXpvy6vShRs+S8lwwruX+U0SM2So3kSivvBFDzuQFLKDXmcaJmFKV7jn/nhKViGTxLQvf8Xi2Hvof4HRhl+QRCCDyG+q5xMqD8E1mQaC5lhBLVpUNN3rURTtDzdDW7T7WN1nkjv7lBSyzat7N6Z11/Bk2TP8xolFyIEuq8zNpm8kzyj6QVQ3Xq5NWFgnZY6qKvETKsbsnxj0U/KGHUtDLRxlnY6jRT2Ha81XFwh7p5rhg==";
