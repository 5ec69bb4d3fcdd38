//! openraft's own test suite on Keymoot's adapters, with real files.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use keymoot_state::TABLE_NAMES;
use keymoot_store::{Directory, Identity, Log, LogOptions, Tables, TablesOptions};
use keymoot_telemetry::Metrics;

use crate::raft::log_storage::LogStorage;
use crate::raft::state_machine::StateMachine;
use crate::raft::state_view::StateView;
use crate::vote_ledger::VoteLedger;
use crate::wire::raft_types::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, LogStorage, StateMachine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStorage, StateMachine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let owner = Identity { cluster: "suite".into(), node: 1, fence: 0 };
        let directory = Arc::new(Directory::open(&folder.path().join("node"), &owner).unwrap());
        let log = Log::open(&directory.log(), LogOptions::default()).unwrap();
        let tables = Tables::open(directory.root(), TABLE_NAMES, TablesOptions::default()).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let view = StateView::new(tables.clone());
        let machine =
            StateMachine::new(tables, view, directory, metrics.clone(), VoteLedger::detached()).unwrap();
        Ok((folder, LogStorage::new(log, metrics, VoteLedger::detached(), None), machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_storage_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}
