//! What carries secrets: over the admin API in the clear, for the node to wrap; over the peer port wrapped here.

use super::{Operator, read, unexpected};
use crate::cli::Failure;
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_model::{Account, AccountId, AccountStatus};
use keymoot_service::Differs;
use keymoot_service::admin::{
    Call, NewAccount, NewAccountChange, NewDeclaredAccount, Operation, OperationOutcome,
};

impl Operator {
    /// Has an account added.
    pub(in crate::cli) async fn add_account(
        &self,
        account: NewAccount,
        if_absent: bool,
    ) -> Result<OperationOutcome, Failure> {
        let call = Call::AddAccount { account: Box::new(account.clone()), if_absent };
        if let Some(done) = self.over_api(&call).await? {
            return read(done);
        }
        let account = Box::new(account.wrap(self.own_keyring()?).map_err(Failure::misuse)?);
        self.perform_by_keyring(Operation::AddAccount { account, if_absent }).await
    }

    /// Has an account changed.
    pub(in crate::cli) async fn change_account(
        &self,
        change: NewAccountChange,
    ) -> Result<OperationOutcome, Failure> {
        if let Some(done) = self.over_api(&Call::ChangeAccount(Box::new(change.clone()))).await? {
            return read(done);
        }
        let operation = change.into_operation(self.own_keyring()?).map_err(Failure::misuse)?;
        self.perform_by_keyring(operation).await
    }

    /// How the cluster's account differs from one of a declaration.
    pub(in crate::cli) async fn compare_account(
        &self,
        declared: NewDeclaredAccount,
    ) -> Result<Vec<Differs>, Failure> {
        if let Some(differs) = self.over_api(&Call::CompareAccount(Box::new(declared.clone()))).await? {
            return read(differs);
        }
        let known = self.known_by_keyring(declared.id()).await?;
        declared.compare(known.as_ref(), self.own_keyring()?).map_err(Failure::misuse)
    }

    /// Has an account stored as the declaration of this revision has it.
    pub(in crate::cli) async fn declare_account(
        &self,
        revision: u64,
        declared: NewDeclaredAccount,
    ) -> Result<OperationOutcome, Failure> {
        let call = Call::DeclareAccount { revision, declared: Box::new(declared.clone()) };
        if let Some(done) = self.over_api(&call).await? {
            return read(done);
        }
        let known = self.known_by_keyring(declared.id()).await?;
        let operation = declared.into_operation(revision, known.as_ref(), self.own_keyring()?);
        self.perform_by_keyring(operation.map_err(Failure::misuse)?).await
    }

    /// The account of this name with its secrets, which whoever proves the keyring gets wrapped.
    async fn known_by_keyring(&self, id: &AccountId) -> Result<Option<(Account, AccountStatus)>, Failure> {
        match self.ask_by_keyring(AdminRequest::AccountDetails(Some(id.clone()))).await? {
            AdminResponse::AccountDetails(mut details) => Ok(details.accounts.pop()),
            _ => Err(unexpected()),
        }
    }
}
