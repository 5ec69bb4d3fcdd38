//! What operators sign in with in a browser, and the sessions that begin so. Known from feature level 4 on.
//!
//! A one-time code is good once in the whole cluster: the last step that was used stands here. Of a session only the
//! digest of its token is kept, and what it opens is what its operator may do at the moment it is used.

use serde::{Deserialize, Serialize};

use keymoot_model::{Fingerprint, OperatorName, SignInSecret, Wrapped};

use super::acts::Act;
use super::layout::{META_OPERATOR_SESSION, META_SIGN_IN, operator_key, operator_session_key, sign_in_key};
use super::operators::{OperatorRecord, OperatorRefusal};
use super::response::Response;
use super::second_person;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::{Transaction, decode};

/// How many sessions an operator has at most; the oldest makes room.
pub const SESSIONS_MAX: usize = 16;
/// When a session ends, whatever is done in it: twelve hours.
pub const SESSION_LIFE_MS: u64 = 12 * 3600 * 1000;
/// When a session ends in which nothing is done: half an hour.
pub const SESSION_IDLE_MS: u64 = 30 * 60 * 1000;

/// What an operator signs in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInRecord {
    /// The hash of the password, wrapped.
    pub password: Wrapped,
    /// The secret of the one-time codes, wrapped.
    pub codes: Wrapped,
    /// Whether the operator must set another password before anything else: somebody else knows this one.
    pub must_change: bool,
    /// The time step of the last code that was used.
    pub last_step: u64,
    /// Counts the changes, so that nobody signs in with what was replaced meanwhile.
    pub version: u64,
}

/// A session of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorSession {
    pub operator: OperatorName,
    /// SHA-256 of its token.
    pub digest: Fingerprint,
    /// The address that signed in.
    pub from: String,
    /// Milliseconds since 1970 UTC.
    pub began_at_ms: u64,
    /// When it was last seen in use, to a minute or so: milliseconds since 1970 UTC.
    pub seen_at_ms: u64,
}

impl OperatorSession {
    /// When it ends if it is not used: milliseconds since 1970 UTC.
    pub fn ends_at_ms(&self) -> u64 {
        let idle = self.seen_at_ms.saturating_add(SESSION_IDLE_MS);
        idle.min(self.began_at_ms.saturating_add(SESSION_LIFE_MS))
    }
}

/// A change of what operators sign in with. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignInChange {
    /// Sets the password, and the secret of the codes if there is a new one. Sessions from before end.
    Set {
        name: OperatorName,
        by: OperatorName,
        /// The hash of the password, wrapped.
        password: Wrapped,
        /// The secret of the one-time codes, wrapped.
        codes: Option<Wrapped>,
    },
    /// Begins a session with a code that was good.
    Begin {
        name: OperatorName,
        /// What was signed in with.
        version: u64,
        /// The time step of the code.
        step: u64,
        digest: Fingerprint,
        from: String,
    },
    /// Notes that a session is used.
    See { name: OperatorName, digest: Fingerprint },
    /// Ends a session, or all of the operator's.
    End { name: OperatorName, digest: Option<Fingerprint> },
}

impl SignInChange {
    /// Whose it is.
    pub fn name(&self) -> &OperatorName {
        match self {
            Self::Set { name, .. }
            | Self::Begin { name, .. }
            | Self::See { name, .. }
            | Self::End { name, .. } => name,
        }
    }

    /// What it does, in a word that is safe to log.
    pub(super) const fn verb(&self) -> &'static str {
        match self {
            Self::Set { .. } => "set-operator-password",
            Self::Begin { .. } => "begin-operator-session",
            Self::See { .. } => "see-operator-session",
            Self::End { .. } => "end-operator-session",
        }
    }
}

fn refused(refusal: OperatorRefusal) -> Result<Response, StateError> {
    Ok(Response::OperatorRefused(refusal))
}

/// Applies a change.
pub(super) fn change<T: Tables>(
    run: &mut Transaction<'_, T>,
    change: &SignInChange,
    now_ms: u64,
) -> Result<Response, StateError> {
    let name = change.name();
    match run.get::<OperatorRecord>(Table::Meta, &operator_key(name))? {
        None => return refused(OperatorRefusal::Unknown),
        Some(record) if record.revoked_at_ms.is_some() => return refused(OperatorRefusal::Revoked),
        Some(_) => {}
    }
    match change {
        SignInChange::Set { by, password, codes, .. } => {
            set(run, name, by, (password, codes.as_ref()), now_ms)
        }
        SignInChange::Begin { version, step, digest, from, .. } => {
            let Some(record) = run.get::<SignInRecord>(Table::Meta, &sign_in_key(name))? else {
                return refused(OperatorRefusal::NoPassword);
            };
            if record.version != *version {
                return refused(OperatorRefusal::PasswordChanged);
            }
            if *step <= record.last_step {
                return refused(OperatorRefusal::CodeUsed);
            }
            run.put(Table::Meta, &sign_in_key(name), &SignInRecord { last_step: *step, ..record })?;
            let session = OperatorSession {
                operator: name.clone(),
                digest: *digest,
                from: from.clone(),
                began_at_ms: now_ms,
                seen_at_ms: now_ms,
            };
            begin(run, &session, now_ms)
        }
        SignInChange::See { digest, .. } => {
            let key = operator_session_key(digest);
            match run.get::<OperatorSession>(Table::Meta, &key)? {
                Some(session)
                    if session.operator == *name
                        && now_ms < session.ends_at_ms()
                        && session.seen_at_ms < now_ms =>
                {
                    run.put(Table::Meta, &key, &OperatorSession { seen_at_ms: now_ms, ..session })?;
                    Ok(Response::Done)
                }
                _ => Ok(Response::Unchanged),
            }
        }
        SignInChange::End { digest, .. } => {
            let mut ended = false;
            for session in sessions_of(run, name)? {
                if digest.is_none_or(|digest| digest == session.digest) {
                    run.delete(Table::Meta, &operator_session_key(&session.digest))?;
                    ended = true;
                }
            }
            Ok(if ended { Response::Done } else { Response::Unchanged })
        }
    }
}

fn set<T: Tables>(
    run: &mut Transaction<'_, T>,
    name: &OperatorName,
    by: &OperatorName,
    (password, codes): (&Wrapped, Option<&Wrapped>),
    now_ms: u64,
) -> Result<Response, StateError> {
    let before = run.get::<SignInRecord>(Table::Meta, &sign_in_key(name))?;
    let Some(codes) = codes.or(before.as_ref().map(|before| &before.codes)) else {
        return refused(OperatorRefusal::NoPassword);
    };
    if by != name {
        let act = Act::SetPassword { name: name.clone() };
        if let Some(refusal) = second_person::hold(run, &act, Some(by), now_ms)? {
            return Ok(refusal);
        }
    }
    let record = SignInRecord {
        password: password.clone(),
        codes: codes.clone(),
        must_change: by != name,
        // Codes of before stay used, also those of another secret: nobody waits long for the next step.
        last_step: before.as_ref().map_or(0, |before| before.last_step),
        version: before.map_or(0, |before| before.version).saturating_add(1),
    };
    run.put(Table::Meta, &sign_in_key(name), &record)?;
    for session in sessions_of(run, name)? {
        run.delete(Table::Meta, &operator_session_key(&session.digest))?;
    }
    Ok(Response::Done)
}

/// Stores a session. Those of the operator that ended are forgotten, and the oldest if there are too many.
fn begin<T: Tables>(
    run: &mut Transaction<'_, T>,
    session: &OperatorSession,
    now_ms: u64,
) -> Result<Response, StateError> {
    let mut open = Vec::new();
    for earlier in sessions_of(run, &session.operator)? {
        match earlier.ends_at_ms() <= now_ms {
            true => run.delete(Table::Meta, &operator_session_key(&earlier.digest))?,
            false => open.push(earlier),
        }
    }
    open.sort_by_key(|earlier| earlier.began_at_ms);
    let too_many = (open.len() + 1).saturating_sub(SESSIONS_MAX);
    for earlier in open.iter().take(too_many) {
        run.delete(Table::Meta, &operator_session_key(&earlier.digest))?;
    }
    run.put(Table::Meta, &operator_session_key(&session.digest), session)?;
    Ok(Response::Done)
}

fn sessions_of<T: Tables>(
    run: &Transaction<'_, T>,
    name: &OperatorName,
) -> Result<Vec<OperatorSession>, StateError> {
    let mut own = Vec::new();
    for (_, value) in run.prefix(Table::Meta, META_OPERATOR_SESSION)? {
        let session: OperatorSession = decode(Table::Meta, &value)?;
        if session.operator == *name {
            own.push(session);
        }
    }
    Ok(own)
}

/// Ends what an operator signed in with, for good.
pub(super) fn forget_operator<T: Tables>(
    run: &mut Transaction<'_, T>,
    name: &OperatorName,
) -> Result<(), StateError> {
    run.delete(Table::Meta, &sign_in_key(name))?;
    for session in sessions_of(run, name)? {
        run.delete(Table::Meta, &operator_session_key(&session.digest))?;
    }
    Ok(())
}

/// Forgets every password and session, of a state that a backup brings back.
pub(super) fn forget<T: Tables>(run: &mut Transaction<'_, T>) -> Result<(), StateError> {
    for prefix in [META_SIGN_IN, META_OPERATOR_SESSION] {
        for (key, _) in run.prefix(Table::Meta, prefix)? {
            run.delete(Table::Meta, &key)?;
        }
    }
    Ok(())
}

/// What one signs in with, in the record of this key of [`Table::Meta`].
pub(super) fn secrets_in(
    key: &[u8],
    value: &[u8],
) -> Result<Vec<(OperatorName, SignInSecret, Wrapped)>, StateError> {
    let name = key.strip_prefix(META_SIGN_IN).and_then(|name| std::str::from_utf8(name).ok());
    let name = name.and_then(|name| OperatorName::new(name).ok());
    let name = name.ok_or(StateError::Key { table: Table::Meta.name() })?;
    let SignInRecord { password, codes, .. } = decode(Table::Meta, value)?;
    Ok(vec![(name.clone(), SignInSecret::Password, password), (name, SignInSecret::Codes, codes)])
}

/// An operator, and what the operator signs in with.
///
/// # Errors
/// When the tables cannot be read.
pub fn sign_in<T: Tables>(
    tables: &T,
    name: &OperatorName,
) -> Result<Option<(OperatorRecord, SignInRecord)>, StateError> {
    let run = Transaction::new(tables);
    let operator: Option<OperatorRecord> = run.get(Table::Meta, &operator_key(name))?;
    let record: Option<SignInRecord> = run.get(Table::Meta, &sign_in_key(name))?;
    Ok(operator.zip(record))
}

/// A session with its operator, revoked or not, and whether another password must be set before anything else.
///
/// # Errors
/// When the tables cannot be read.
pub fn operator_of_session<T: Tables>(
    tables: &T,
    digest: &Fingerprint,
) -> Result<Option<(OperatorRecord, OperatorSession, bool)>, StateError> {
    let run = Transaction::new(tables);
    let Some(session) = run.get::<OperatorSession>(Table::Meta, &operator_session_key(digest))? else {
        return Ok(None);
    };
    let found = sign_in(tables, &session.operator)?;
    Ok(found.map(|(operator, record)| (operator, session, record.must_change)))
}

/// Every session on record, ended ones too.
///
/// # Errors
/// When the tables cannot be read.
pub fn operator_sessions<T: Tables>(tables: &T) -> Result<Vec<OperatorSession>, StateError> {
    let pairs = tables.prefix(Table::Meta, META_OPERATOR_SESSION)?;
    pairs.iter().map(|(_, value)| read(tables, Table::Meta, value)).collect()
}
