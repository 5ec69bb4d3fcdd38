//! The tables of the state: a row each, with its number, its name on disk, and what its keys and values are.

/// Makes the tables, the list of them and their names from one list.
macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident = $number:literal, $name:literal;)*) => {
        /// A table of the state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Table {
            $($(#[$doc])* $table = $number,)*
        }

        /// The tables' names on disk, in the order of [`Table`].
        pub const TABLE_NAMES: &[&str] = &[$($name),*];

        impl Table {
            /// Every table, in the order of their numbers.
            pub const ALL: [Self; TABLE_COUNT] = [$(Self::$table),*];

            /// The table's name on disk.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$table => $name,)*
                }
            }
        }
    };
}

tables! {
    /// Place → the track with its current key.
    Tracks = 0, "tracks";
    /// Place and version → a key that is no longer current, or was supplied for one period.
    OldKeys = 1, "old_keys";
    /// KID → place and version.
    Kids = 2, "kids";
    /// Account id → account.
    Accounts = 3, "accounts";
    /// Client → session of a proposer; client and serial → answers.
    Sessions = 4, "sessions";
    /// The cluster's identity, the digest, counters, and records of the `cluster` crate.
    Meta = 5, "meta";
    /// Digest and time → a spent nonce; position → the nonce in the queue.
    Nonces = 6, "nonces";
    /// Account and content → the content's number, once a track of it rotates.
    Contents = 7, "contents";
    /// Content's number, track's number and version → seed.
    Seeds = 8, "seeds";
    /// Place and period length → the current seed.
    Schedules = 9, "schedules";
    /// Place, period length and index → the version of the key supplied for that period.
    Periods = 10, "periods";
    /// Account and content → auxiliary data.
    Auxiliary = 11, "auxiliary";
    /// Account and name → the policy and its next version number.
    Policies = 12, "policies";
    /// Account and name → how many contents the policy is attached to.
    PolicyUses = 13, "policy_uses";
    /// Account and content → the name of the policy attached to it.
    ContentPolicies = 14, "content_policies";
    /// Account → the name of the default policy.
    DefaultPolicies = 15, "default_policies";
    /// Viewer's place → the devices that play; second and viewer's place → leases that end then.
    Leases = 16, "leases";
    /// Viewer's place → start of the rental.
    Rentals = 17, "rentals";
    /// Node id → the node.
    Nodes = 18, "nodes";
    /// Token id → the token.
    JoinTokens = 19, "join_tokens";
    /// Account and content → a content that documents made.
    Documents = 20, "documents";
    /// Account and KID → what is noted of a key id of documents.
    DocumentKids = 21, "document_kids";
    /// Account, content and KID → nothing: which key ids are noted of a content.
    DocumentKeys = 22, "document_keys";
    /// Account and number → a seed of the account's documents.
    DocumentSeeds = 23, "document_seeds";
}

/// The number of tables.
pub(crate) const TABLE_COUNT: usize = TABLE_NAMES.len();

impl Table {
    /// The table of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_in_the_order_of_their_numbers_and_are_found_by_name() {
        for (number, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!((table as usize, TABLE_NAMES[number]), (number, table.name()));
            assert_eq!(Table::named(table.name()), Some(table));
        }
    }
}
