//! The text that is printed once the cluster is ready.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::demo::SignedRequest;
use super::materials::{Materials, NodeMaterials};
use super::{DEMO_CA_SYSTEM, DEMO_PARTNER};
use keymoot_command::{Column, Table};

/// The nodes, a request to paste, and how to kill a node. `pids` are in the order of the nodes.
pub(super) fn ready(
    materials: &Materials,
    root: &Path,
    pids: &[u32],
    restart_after: Option<Duration>,
    page: &str,
) -> String {
    let mut text = format!("\nA cluster of {} nodes is ready in {}\n\n", pids.len(), root.display());
    let mut table = Table::new(["node", "api", "pid"].map(Column::Left)).indented(2);
    for (node, pid) in materials.nodes.iter().zip(pids) {
        table.row([node.id.to_string(), materials.api(node), pid.to_string()]);
    }
    // Writing to a String cannot fail.
    let _ = write!(text, "{table}");
    if let Some(node) = materials.nodes.first() {
        let request = SignedRequest::for_content("my-first-video", &materials.encryption_key);
        let ca_file = materials.tls.then_some(materials.ca_file.as_path());
        let line = request.curl_line(&materials.api(node), ca_file);
        let _ = write!(text, "\nAsk for a content's keys; every node gives the same answer:\n\n  {line}\n");
    }
    if let Some(packager) = materials.nodes.first().and_then(NodeMaterials::packager) {
        let path = format!("/system/{DEMO_CA_SYSTEM}/edash/p/{DEMO_PARTNER}/entryId/my-first-video/");
        let _ = write!(
            text,
            "\nPackagers that cannot sign ask any node in this way:\n\n  curl {packager}{path}\n"
        );
    }
    let _ = write!(
        text,
        "\nWatch a film that this cluster encrypts (FFmpeg and Shaka Packager are needed):\n\n  {page}\n"
    );
    if let Some(pid) = pids.first() {
        let after = match restart_after {
            Some(after) => format!("it comes back after {} s and catches up", after.as_secs()),
            None => "it stays down".to_owned(),
        };
        let _ = write!(text, "\nKill a node and ask another one; {after}:\n\n  kill -9 {pid}\n");
    }
    let _ = write!(
        text,
        "\nLogs:        {root}/node-*/keymoot.log\nFor scripts: {root}/dev.json\nCtrl-C stops the cluster and keeps its keys.\n",
        root = root.display()
    );
    text
}
